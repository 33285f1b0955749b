"""The texts of an exception: its class's name, its message and its traceback.

An exception is the user's object, and its class may define anything: properties that raise,
a message of 100 MB, causes that form a ring. None of the functions here raises, and each
returns a text of bounded size.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

LONGEST_TEXT: Final = 1_000_000
"""Characters kept of an exception's message."""

LONGEST_TRACEBACK: Final = 200_000
"""Characters kept of a traceback: its beginning and its end."""

_LONGEST_MESSAGE: Final = 10_000
"""Characters of each message within a traceback."""

_MOST_ERRORS: Final = 100
"""Exceptions shown in one traceback: causes, contexts and members of groups."""

_MOST_NOTES: Final = 100
_MOST_FRAMES: Final = 1_000
_MOST_MEMBERS: Final = 10

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
    """Stands in a log record for an exception that cannot be formatted."""


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return where *error* was raised, past whatever its own class may have put in front of that."""
    found: TracebackType | None = _traceback(error)
    return found


def qualified_name(cls: type) -> str:
    """Return a class's name with its module, ``?`` for a module that is not text; its metaclass is not asked."""
    name = str.__str__(_qualname(cls))
    try:
        module = _module(cls)
    except AttributeError:  # the class was made where there is no ``__name__``, as in exec() with a bare dict
        return f"?.{name}"
    return f"{str.__str__(module)}.{name}" if issubclass(type(module), str) else f"?.{name}"


def class_name(cls: type) -> str:
    """Return what :func:`qualified_name` does, without the module if that is ``builtins``."""
    return qualified_name(cls).removeprefix("builtins.")


def error_text(error: BaseException) -> str:
    """Return ``str(error)``, the class name if that is empty, and a stand-in if it raises.

    A text of more than :data:`LONGEST_TEXT` characters is cut.
    """
    try:
        text = str.__str__(str(_shortened(error)))
    except BaseException as fault:  # noqa: BLE001 - the user's own __str__: whatever it raises, the task has ended
        return f"<{bare_name(error)}; its str() raised {bare_name(fault)}>"
    return _clipped(text, LONGEST_TEXT) or bare_name(error)


def traceback_text(error: BaseException, raised: TracebackType | None = None) -> str:
    """Return the formatted traceback of *error*; a plainer one if it cannot be formatted as usual.

    Args:
        error: The exception.
        raised: Where it was raised; None for what its traceback says now.
    """
    raised = raised or traceback_of(error)
    text = _formatted(error, raised)
    if text is None:
        text = "".join(_plain_lines(error, raised))
    if len(text) <= LONGEST_TRACEBACK:
        return text
    half = LONGEST_TRACEBACK // 2
    return f"{text[:half]}\n …\n{text[-half:]}"


def exc_info_of(error: BaseException, raised: TracebackType | None = None) -> ExcInfo:
    """Return what to give a logger as ``exc_info``: the exception, or a stand-in if it cannot be formatted.

    A logging handler that cannot format an exception writes to stderr and drops the record.
    """
    raised = raised or traceback_of(error)
    if _is_ordinary(error) or _formatted(error, raised) is not None:
        return type(error), error, raised
    if len(_chain(error)) == 1:
        return UnprintableError, UnprintableError(_heading(error)), raised
    return UnprintableError, UnprintableError("\n" + traceback_text(error, raised)), raised


def bare_name(error: BaseException) -> str:
    """Return the name of the error's class without its module; its metaclass is not asked."""
    return str.__str__(_name(type(error)))


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"


_TEXTS_OF_ARGS: Final = BaseException.__dict__["__str__"], KeyError.__dict__["__str__"]


def _shortened(error: BaseException) -> BaseException:
    """Return an exception of the same text whose arguments are short enough to be written out."""
    args = _args(error)
    if not any(type(arg) in _LONG and len(arg) > LONGEST_TEXT for arg in args):
        return error
    own = next(_dict(base)["__str__"] for base in _mro(type(error)) if "__str__" in _dict(base))
    if own not in _TEXTS_OF_ARGS:
        return error
    kind = BaseException if own is _TEXTS_OF_ARGS[0] else KeyError
    return kind(*[arg[: LONGEST_TEXT + 1] if type(arg) in _LONG else arg for arg in args])


_LONG: Final = frozenset({str, bytes, bytearray})


def _formatted(error: BaseException, raised: TracebackType | None) -> str | None:
    """Return what the standard library makes of *error*; None if it fails, or would make too much of it."""
    try:
        if _is_modest(error):
            return "".join(traceback.format_exception(type(error), error, raised, limit=-_MOST_FRAMES))
    except BaseException:  # noqa: BLE001 - properties and methods of the user's class, which may raise anything
        return None
    return None


def _is_modest(error: BaseException) -> bool:
    """Whether *error* and all it refers to are few and short. Raises what the user's class raises."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        related = list(_related(one))
        if len(seen) + len(related) > _MOST_ERRORS or not _is_short(one):
            return False
        left += related
    return True


def _related(error: BaseException) -> Iterator[BaseException]:
    for one in (_cause(error), _context(error)):
        if one is not None:
            yield one
    if issubclass(type(error), BaseExceptionGroup):
        yield from _members(error)


def _is_short(error: BaseException) -> bool:
    if len(error_text(error)) > _LONGEST_MESSAGE:
        return False
    notes = getattr(error, "__notes__", None)
    if notes is None:
        return True
    return type(notes) is list and len(notes) <= _MOST_NOTES and sum(map(_size, notes)) <= _LONGEST_MESSAGE


def _size(note: object) -> int:
    return len(note) if type(note) is str else _LONGEST_MESSAGE + 1


_ASKED: Final = (
    *("__cause__", "__class__", "__context__", "__getattribute__", "__suppress_context__", "__traceback__"),
    *("__dict__", "__getattr__", "__notes__", "__str__"),
)
"""Attributes that formatting an exception asks for."""

_BUILTIN: Final = {object, *(kind for kind in vars(builtins).values() if isinstance(kind, type))}


def _is_ordinary(error: BaseException) -> bool:
    """Whether an exception can be formatted for sure, as can be told in a few microseconds: most can."""
    kind = type(error)
    if type(kind) is not type or issubclass(kind, SyntaxError | BaseExceptionGroup):
        return False
    if _cause(error) is not None or _context(error) is not None:
        return False
    own = [base for base in kind.__mro__ if base not in _BUILTIN]
    if own and "__module__" not in vars(kind):  # as :func:`qualified_name` says
        return False
    if any(name in vars(base) for base in own for name in _ASKED):
        return False
    return "__notes__" not in error.__dict__ and _are_small(_args(error))


def _are_small(args: tuple[Any, ...]) -> bool:
    return all(type(arg) in {int, float, bool} or (type(arg) is str and len(arg) < _LONGEST_MESSAGE) for arg in args)


def _plain_lines(error: BaseException, raised: TracebackType | None) -> Iterator[str]:
    """Yield what there is to say without asking the classes of *error* and its causes for anything but a text."""
    chain = _chain(error)
    for one, joint in reversed(chain):
        frames = raised if one is error else traceback_of(one)
        if frames is not None:
            yield "Traceback (most recent call last):\n"
            yield from _frames(frames)
        yield f"{_heading(one)}\n"
        yield from _member_lines(one)
        yield joint


def _heading(error: BaseException, most: int = _LONGEST_MESSAGE) -> str:
    return f"{class_name(type(error))}: {_clipped(error_text(error), most)}"


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """Return *error* and what led to it, and what to write between each and the one it led to."""
    chain = [(error, "")]
    seen = {id(error)}
    one: BaseException | None = error
    while one is not None and len(chain) < _MOST_ERRORS:
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
        yield from traceback.format_tb(raised, limit=-_MOST_FRAMES)
    except BaseException:  # noqa: BLE001 - the loader of a user's module is asked for its source
        yield "  (the frames cannot be shown)\n"


def _member_lines(error: BaseException) -> Iterator[str]:
    if not issubclass(type(error), BaseExceptionGroup):
        return
    members = _members(error)
    for one in members[:_MOST_MEMBERS]:
        yield f"  - {_heading(one, _LONGEST_MESSAGE // _MOST_MEMBERS)}\n"
    if len(members) > _MOST_MEMBERS:
        yield f"  - and {len(members) - _MOST_MEMBERS} more\n"
