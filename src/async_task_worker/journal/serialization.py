"""What users hand in and get back, as the bytes that are written down, and back again. Nothing here is pickled."""

from __future__ import annotations

from typing import Any, Final

from async_cache.codec import Codec, CorruptError, UnencodableError

from ..exceptions import NotStorableError, TaskFailedError
from ..model.failure import class_name, error_text, qualified_name, traceback_text
from ..model.functions import TaskFunction
from ..model.record import TaskRecord
from ..model.status import ErrorDetail, MissingResult

_CODEC: Final = Codec()
_LONGEST_TRACEBACK: Final = 16_000
"""Characters kept of a traceback, from its end."""

LARGEST: Final = 900_000_000
"""Bytes of one value. SQLite takes a row of at most a thousand million, and a commit fails with any of its rows."""

Call = tuple[list[Any], dict[str, Any]]


def encoded_call(function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bytes | None:
    """Return the arguments of a call as bytes, None for none.

    Raises:
        NotStorableError: One of them would not come back. It names its parameter.
    """
    if not args and kwargs is None:
        return None
    try:
        return _bytes_of([list(args), kwargs or {}])
    except (UnencodableError, RecursionError) as error:
        raise _refusal(function, args, kwargs or {}, error) from None


def _refusal(
    function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any], error: UnencodableError | RecursionError
) -> NotStorableError:
    """Return the error that names the parameter whose argument cannot be written, as far as it is a single one."""
    named = [(function.parameter_at(index), arg) for index, arg in enumerate(args)]
    for name, value in [*named, *kwargs.items()]:
        try:
            _bytes_of(value)
        except (UnencodableError, RecursionError) as fault:
            return NotStorableError(f"the argument {name!r} cannot be written down ({fault})", parameter=name)
    return NotStorableError(f"the arguments cannot be written down ({error})")


def decoded_call(data: bytes | None) -> Call:
    """Return what :func:`encoded_call` wrote; raises CorruptError, as for a class that is not what it was."""
    if data is None:
        return [], {}
    args, kwargs = _CODEC.decode(data)
    return args, kwargs


def encoded_metadata(metadata: dict[Any, Any] | None) -> bytes | None:
    """Return the metadata as bytes, None for none; NotStorableError if it would not come back."""
    return _encoded(metadata, "the metadata") if metadata else None


def decoded_metadata(data: bytes | None) -> dict[Any, Any] | None:
    """Return what :func:`encoded_metadata` wrote, or what there is to say if it cannot be read any more."""
    if data is None:
        return None
    try:
        return dict(_CODEC.decode(data))
    except CorruptError as error:
        return {"unreadable": str(error)}


def encoded_result(result: Any) -> tuple[bytes | None, bytes | None]:
    """Return a result as bytes and, if that cannot be, what is known of it as other bytes."""
    if result is None:
        return None, None
    try:
        return _bytes_of(result), None
    except BaseException as error:  # noqa: BLE001 - the result's class may raise anything, and others wait for the commit
        return None, _CODEC.encode([printable(qualified_name(type(result))), printable(error_text(error))])


def decoded_result(data: bytes | None, detail: bytes | None) -> Any:
    """Return what :func:`encoded_result` wrote, or a :class:`MissingResult`."""
    if data is None:
        return None if detail is None else MissingResult(*_CODEC.decode(detail))
    try:
        return _CODEC.decode(data)
    except CorruptError as error:
        return MissingResult("unknown", str(error))


def encoded_error(record: TaskRecord) -> tuple[str, bytes]:
    """Return the text of a failed task's error, and its class and traceback as bytes."""
    error = record.error
    trace = printable(traceback_text(error, record.traceback)[-_LONGEST_TRACEBACK:])
    return printable(error_text(error)), _CODEC.encode([printable(class_name(type(error))), trace])


def decoded_error(task_id: str, error: str | None, detail: bytes | None) -> ErrorDetail | None:
    """Return what :func:`encoded_error` wrote."""
    if error is None:
        return None
    kind, trace = ("", "") if detail is None else _CODEC.decode(detail)
    return ErrorDetail.written(TaskFailedError(error, task_id=task_id), kind, error, trace)


def printable(text: str) -> str:
    """Return the text with what UTF-8 cannot express written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_text(text: str) -> bool:
    """Whether all of it can be written: half of a surrogate pair cannot."""
    return text.isascii() or printable(text) == text


def _bytes_of(value: object) -> bytes:
    data = _CODEC.encode(value)
    if len(data) > LARGEST:
        raise UnencodableError(type(value), f"too large: {len(data):,} bytes")
    return data


def _encoded(value: object, what: str) -> bytes:
    try:
        return _bytes_of(value)
    except (UnencodableError, RecursionError) as error:
        raise NotStorableError(f"{what} cannot be written down ({error})") from None
