"""Exceptions that raise when they are read or formatted, and a task that raises each of them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from async_task_worker import task


def _refuse(*_: Any) -> NoReturn:
    raise RuntimeError("no")


class MuteError(Exception):
    __str__ = __repr__ = _refuse


class FacelessError(Exception):
    __class__ = property(_refuse)  # type: ignore[assignment]


class RootlessError(Exception):
    __traceback__ = __cause__ = __context__ = __suppress_context__ = property(_refuse)  # type: ignore[assignment]


class NotedError(Exception):
    __notes__ = property(_refuse)  # type: ignore[assignment]


class SealedError(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")


class StubbornError(Exception):
    with_traceback = add_note = _refuse  # type: ignore[assignment]


class Text(str):
    """A str whose length cannot be read."""

    __slots__ = ()
    __len__ = __eq__ = __format__ = casefold = isascii = encode = __add__ = _refuse  # type: ignore[assignment]
    __hash__ = str.__hash__


class OddTextError(Exception):
    def __str__(self) -> str:
        return Text("odd text")


class LeavingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError("no")


class MetaError(Exception, metaclass=Meta):
    pass


class StoppingError(StopIteration):
    __class__ = property(_refuse)  # type: ignore[assignment]


class MetaLeavingError(BaseException, metaclass=Meta):
    pass


_names: dict[str, Any] = {}  # no __name__ among them, so the class has no __module__
exec("HomelessError = type('HomelessError', (Exception,), {})", _names)  # noqa: S102 - a text of ours


def _in_a_ring() -> Exception:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def _in_a_chain() -> Exception:
    error = ValueError("first")
    for number in range(2000):
        later = ValueError(number)
        later.__context__ = error
        error = later
    return error


def _nested_groups() -> Exception:
    error: Exception = ValueError("innermost")
    for _ in range(500):
        error = ExceptionGroup("outer", [error])
    return error


def _noted() -> Exception:
    error = ValueError("many notes")
    error.__notes__ = ["note" * 1000] * 10_000
    return error


HUGE = "x" * 20_000_000

HOSTILE: dict[str, Callable[[], BaseException]] = {
    "mute": MuteError,
    "faceless": FacelessError,
    "rootless": RootlessError,
    "noted": NotedError,
    "sealed": SealedError,
    "stubborn": StubbornError,
    "odd text": OddTextError,
    "leaving": LeavingError,
    "meta": MetaError,
    "stopping": StoppingError,
    "homeless": _names["HomelessError"],
    "meta leaving": MetaLeavingError,
    "bytes for text": lambda: SyntaxError("bad input", ("mail.eml", 1, 1, b"\xff\xfe")),
    "places that are none": lambda: SyntaxError("bad input", ("mail.eml", -1, 10**9, "text", "x", [])),
    "ring": _in_a_ring,
    "chain": _in_a_chain,
    "wide group": lambda: ExceptionGroup("many", [ValueError(number) for number in range(20_000)]),
    "nested groups": _nested_groups,
    "many notes": _noted,
    "huge text": lambda: ValueError(HUGE),
    "huge arguments": lambda: ValueError(HUGE, HUGE.encode()),
    "huge key": lambda: KeyError(HUGE),
    "surrogate": lambda: ValueError("\ud800"),
    "caused by one": lambda: _caused_by(SealedError()),
}


def _caused_by(cause: BaseException) -> Exception:
    error = ValueError("outer")
    error.__cause__ = cause
    return error


@task("raise_hostile")
async def raise_hostile(kind: str) -> NoReturn:
    """Raise the error of that name."""
    raise HOSTILE[kind]()  # noqa: RSE102
