"""Texts of an exception: the name of its class, its message and its traceback.

The class of a user's exception may define anything: properties that raise, a message of 100 MB,
causes that form a ring. The functions here never raise, and their texts are of bounded size.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

MAX_TEXT: Final = 1_000_000
"""Characters kept of an exception's message."""

MAX_TRACEBACK: Final = 200_000
"""Characters kept of a traceback: its beginning and its end."""

_MAX_MESSAGE: Final = 10_000
"""Characters of each message within a traceback."""

_MAX_EXCEPTIONS: Final = 100
"""Exceptions shown in one traceback: causes, contexts and members of groups."""

_MAX_NOTES: Final = 100
_MAX_FRAMES: Final = 1_000
_MAX_MEMBERS: Final = 10

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# The interpreter's own attributes of an exception, whatever its class defines under these names.
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_args = BaseException.__dict__["args"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__
_name = type.__dict__["__name__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_mro = type.__dict__["__mro__"].__get__
_dict = type.__dict__["__dict__"].__get__


class UnprintableError(Exception):
    """Takes the place of an exception that cannot be formatted in a log record."""


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of *error*, even if its class overrides ``__traceback__``."""
    found: TracebackType | None = _traceback(error)
    return found


def qualified_name(cls: type) -> str:
    """Return the name of a class with its module (``?`` if that is not text), without calling its metaclass."""
    name = str.__str__(_qualname(cls))
    try:
        module = _module(cls)
    except AttributeError:  # the class was created without a ``__name__``, as in exec() with an empty dict
        return f"?.{name}"
    return f"{str.__str__(module)}.{name}" if issubclass(type(module), str) else f"?.{name}"


def class_name(cls: type) -> str:
    """Return :func:`qualified_name`, without the module if that is ``builtins``."""
    return qualified_name(cls).removeprefix("builtins.")


def error_text(error: BaseException) -> str:
    """Return ``str(error)``; the class name if that is empty, or a placeholder if it raises.

    A text of more than :data:`MAX_TEXT` characters is cut.
    """
    try:
        text = str.__str__(str(_shortened(error)))
    except BaseException as fault:  # noqa: BLE001 - a __str__ of user code may raise anything
        return f"<{bare_name(error)}; its str() raised {bare_name(fault)}>"
    return _clipped(text, MAX_TEXT) or bare_name(error)


def traceback_text(error: BaseException, raised: TracebackType | None = None) -> str:
    """Return the formatted traceback of *error*; a simpler one if the standard library cannot format it.

    Args:
        error: The exception.
        raised: Its traceback; None for its current ``__traceback__``.
    """
    raised = raised or traceback_of(error)
    text = _formatted(error, raised)
    if text is None:
        text = "".join(_plain_lines(error, raised))
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n …\n{text[-half:]}"


def exc_info_of(error: BaseException, raised: TracebackType | None = None) -> ExcInfo:
    """Return ``exc_info`` for a logger: the exception, or an UnprintableError if it cannot be formatted.

    A logging handler that cannot format an exception writes to stderr and drops the record.
    """
    raised = raised or traceback_of(error)
    if _is_ordinary(error) or _formatted(error, raised) is not None:
        return type(error), error, raised
    if len(_chain(error)) == 1:
        return UnprintableError, UnprintableError(_heading(error)), raised
    return UnprintableError, UnprintableError("\n" + traceback_text(error, raised)), raised


def bare_name(error: BaseException) -> str:
    """Return the name of the error's class without its module, without calling its metaclass."""
    return str.__str__(_name(type(error)))


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …"


_TEXTS_OF_ARGS: Final = BaseException.__dict__["__str__"], KeyError.__dict__["__str__"]


def _shortened(error: BaseException) -> BaseException:
    """Return an exception with the same text, but with long arguments cut, so that ``str()`` of it is cheap."""
    args = _args(error)
    if not any(type(arg) in _LONG and len(arg) > MAX_TEXT for arg in args):
        return error
    own = next(_dict(base)["__str__"] for base in _mro(type(error)) if "__str__" in _dict(base))
    if own not in _TEXTS_OF_ARGS:
        return error
    kind = BaseException if own is _TEXTS_OF_ARGS[0] else KeyError
    return kind(*[arg[: MAX_TEXT + 1] if type(arg) in _LONG else arg for arg in args])


_LONG: Final = frozenset({str, bytes, bytearray})


def _formatted(error: BaseException, raised: TracebackType | None) -> str | None:
    """Return the traceback as the standard library formats it; None if that fails or is too long."""
    try:
        if _is_small(error):
            return "".join(traceback.format_exception(type(error), error, raised, limit=-_MAX_FRAMES))
    except BaseException:  # noqa: BLE001 - properties and methods of a user's class may raise anything
        return None
    return None


def _is_small(error: BaseException) -> bool:
    """Return whether *error* and its related exceptions are few and short. May raise errors of user code."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        related = list(_related(one))
        if len(seen) + len(related) > _MAX_EXCEPTIONS or not _is_short(one):
            return False
        pending += related
    return True


def _related(error: BaseException) -> Iterator[BaseException]:
    for one in (_cause(error), _context(error)):
        if one is not None:
            yield one
    if issubclass(type(error), BaseExceptionGroup):
        yield from _members(error)


def _is_short(error: BaseException) -> bool:
    if len(error_text(error)) > _MAX_MESSAGE:
        return False
    notes = getattr(error, "__notes__", None)
    if notes is None:
        return True
    return type(notes) is list and len(notes) <= _MAX_NOTES and sum(map(_size, notes)) <= _MAX_MESSAGE


def _size(note: object) -> int:
    return len(note) if type(note) is str else _MAX_MESSAGE + 1


_FORMATTING_ATTRIBUTES: Final = (
    *("__cause__", "__class__", "__context__", "__getattribute__", "__suppress_context__", "__traceback__"),
    *("__dict__", "__getattr__", "__notes__", "__str__"),
)
"""Attributes that are read when an exception is formatted."""

_BUILTIN: Final = {object, *(kind for kind in vars(builtins).values() if isinstance(kind, type))}


def _is_ordinary(error: BaseException) -> bool:
    """Return whether an exception can certainly be formatted. Takes a few microseconds, and is True for most."""
    kind = type(error)
    if type(kind) is not type or issubclass(kind, SyntaxError | BaseExceptionGroup):
        return False
    if _cause(error) is not None or _context(error) is not None:
        return False
    own = [base for base in kind.__mro__ if base not in _BUILTIN]
    if own and "__module__" not in vars(kind):  # created without a ``__name__``, see :func:`qualified_name`
        return False
    if any(name in vars(base) for base in own for name in _FORMATTING_ATTRIBUTES):
        return False
    return "__notes__" not in error.__dict__ and _are_small(_args(error))


def _are_small(args: tuple[Any, ...]) -> bool:
    return all(type(arg) in {int, float, bool} or (type(arg) is str and len(arg) < _MAX_MESSAGE) for arg in args)


def _plain_lines(error: BaseException, raised: TracebackType | None) -> Iterator[str]:
    """Yield the lines of a traceback that needs nothing of the classes of *error* and its causes but their text."""
    chain = _chain(error)
    for one, joint in reversed(chain):
        frames = raised if one is error else traceback_of(one)
        if frames is not None:
            yield "Traceback (most recent call last):\n"
            yield from _frames(frames)
        yield f"{_heading(one)}\n"
        yield from _member_lines(one)
        yield joint


def _heading(error: BaseException, limit: int = _MAX_MESSAGE) -> str:
    return f"{class_name(type(error))}: {_clipped(error_text(error), limit)}"


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """Return *error* and its causes, each with the line that connects it to the exception before it."""
    chain = [(error, "")]
    seen = {id(error)}
    one: BaseException | None = error
    while one is not None and len(chain) < _MAX_EXCEPTIONS:
        cause, context = _cause(one), None if _suppresses_context(one) else _context(one)
        joint = _CAUSED if cause is not None else _DURING
        one = context if cause is None else cause
        if one is None or id(one) in seen:
            break
        seen.add(id(one))
        chain.append((one, joint))
    return chain


_CAUSED: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def _frames(raised: TracebackType) -> Iterator[str]:
    try:
        yield from traceback.format_tb(raised, limit=-_MAX_FRAMES)
    except BaseException:  # noqa: BLE001 - the loader of a user's module, which returns its source, may raise anything
        yield "  (the frames cannot be shown)\n"


def _member_lines(error: BaseException) -> Iterator[str]:
    if not issubclass(type(error), BaseExceptionGroup):
        return
    members = _members(error)
    for one in members[:_MAX_MEMBERS]:
        yield f"  - {_heading(one, _MAX_MESSAGE // _MAX_MEMBERS)}\n"
    if len(members) > _MAX_MEMBERS:
        yield f"  - and {len(members) - _MAX_MEMBERS} more\n"
