"""Encode arguments, metadata, results and errors of tasks for the database, and decode them. Nothing is pickled."""

from __future__ import annotations

from typing import Any, Final

from async_cache.codec import Codec, CorruptError, UnencodableError

from ..exceptions import NotStorableError, TaskFailedError
from ..model.failure import class_name, error_text, qualified_name, traceback_text
from ..model.functions import TaskFunction
from ..model.record import TaskRecord
from ..model.status import ErrorDetail, MissingResult

_CODEC: Final = Codec()
_MAX_TRACEBACK: Final = 16_000
"""Characters of a traceback that are stored: the last ones."""

MAX_VALUE_SIZE: Final = 900_000_000
"""Bytes of one value. A row of SQLite has at most 1,000,000,000, and one larger row would fail the whole commit."""

Call = tuple[list[Any], dict[str, Any]]


def encode_call(function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bytes | None:
    """Return the arguments of a call as bytes; None if there are none.

    Raises:
        NotStorableError: One of them has no faithful encoding. The error names its parameter.
    """
    if not args and kwargs is None:
        return None
    try:
        return _encode([list(args), kwargs or {}])
    except (UnencodableError, RecursionError) as error:
        raise _not_storable(function, args, kwargs or {}, error) from None


def _not_storable(
    function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any], error: UnencodableError | RecursionError
) -> NotStorableError:
    """Return an error that names the parameter whose argument cannot be encoded, if it is a single one."""
    named = [(function.parameter_at(index), arg) for index, arg in enumerate(args)]
    for name, value in [*named, *kwargs.items()]:
        try:
            _encode(value)
        except (UnencodableError, RecursionError) as fault:
            return NotStorableError(f"the argument {name!r} cannot be stored ({fault})", parameter=name)
    return NotStorableError(f"the arguments cannot be stored ({error})")


def decode_call(data: bytes | None) -> Call:
    """Decode what :func:`encode_call` returned.

    Raises:
        CorruptError: The data is damaged, or a class of an argument was changed or removed since.
    """
    if data is None:
        return [], {}
    args, kwargs = _CODEC.decode(data)
    return args, kwargs


def encode_metadata(metadata: dict[Any, Any] | None) -> bytes | None:
    """Return the metadata as bytes; None if there is none.

    Raises:
        NotStorableError: It has no faithful encoding.
    """
    return _encode_or_refuse(metadata, "the metadata") if metadata else None


def decode_metadata(data: bytes | None) -> dict[Any, Any] | None:
    """Decode what :func:`encode_metadata` returned; if that fails, return the reason under the key "unreadable"."""
    if data is None:
        return None
    try:
        return dict(_CODEC.decode(data))
    except CorruptError as error:
        return {"unreadable": str(error)}


def encode_result(result: Any) -> tuple[bytes | None, bytes | None]:
    """Return a result as bytes and None; or, if it cannot be encoded, None and its type and the reason as bytes."""
    if result is None:
        return None, None
    try:
        return _encode(result), None
    except BaseException as error:  # noqa: BLE001 - the result's class may raise anything, and others wait for the commit
        return None, _CODEC.encode([printable(qualified_name(type(result))), printable(error_text(error))])


def decode_result(data: bytes | None, detail: bytes | None) -> Any:
    """Decode what :func:`encode_result` returned; a result that cannot be decoded is a :class:`MissingResult`."""
    if data is None:
        return None if detail is None else MissingResult(*_CODEC.decode(detail))
    try:
        return _CODEC.decode(data)
    except CorruptError as error:
        return MissingResult("unknown", str(error))


def encode_error(record: TaskRecord) -> tuple[str, bytes]:
    """Return the message of a failed task's error, and its class and traceback as bytes."""
    error = record.error
    trace = printable(traceback_text(error, record.traceback)[-_MAX_TRACEBACK:])
    return printable(error_text(error)), _CODEC.encode([printable(class_name(type(error))), trace])


def decode_error(task_id: str, error: str | None, detail: bytes | None) -> ErrorDetail | None:
    """Decode what :func:`encode_error` returned; None if there was no error."""
    if error is None:
        return None
    kind, trace = ("", "") if detail is None else _CODEC.decode(detail)
    return ErrorDetail.written(TaskFailedError(error, task_id=task_id), kind, error, trace)


def printable(text: str) -> str:
    """Return the text with lone surrogates escaped, which UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_text(text: str) -> bool:
    """Whether UTF-8 can encode the text: it cannot encode a lone surrogate."""
    return text.isascii() or printable(text) == text


def _encode(value: object) -> bytes:
    data = _CODEC.encode(value)
    if len(data) > MAX_VALUE_SIZE:
        raise UnencodableError(type(value), f"too large: {len(data):,} bytes")
    return data


def _encode_or_refuse(value: object, what: str) -> bytes:
    try:
        return _encode(value)
    except (UnencodableError, RecursionError) as error:
        raise NotStorableError(f"{what} cannot be stored ({error})") from None
