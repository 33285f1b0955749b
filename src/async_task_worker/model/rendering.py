"""Showing any Python value as strict JSON: what is not JSON becomes a placeholder that names its type.

A placeholder is an object ``{"$type": "bytes", "$text": "12 bytes"}``. It never holds the
``repr`` of a foreign object, which may be endless, raise, or tell a secret.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from .failure import class_name
from .secret_values import HIDDEN, is_secret

_MOST_LEVELS: Final = 64
_MOST_BITS: Final = 1024

TOO_LARGE: Final = "too large to be shown"
"""Begins the text of a placeholder for a value that takes too much room."""


class _TooLargeError(Exception):
    """The value takes more room than there is."""


class _Room:
    """How many more characters may be shown, and which containers one is inside of."""

    __slots__ = ("inside", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.inside: list[int] = []

    def take(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise _TooLargeError


def text(value: str) -> str:
    """Return the string with what UTF-8 cannot hold escaped."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def rfc3339(moment: datetime | None) -> str | None:
    """Return an aware moment as UTC text, None for None."""
    if moment is None:
        return None
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat()[:-6] + "Z"


def clipped(written: str, limit: int) -> str:
    """Return the string, or the first *limit* characters of it, with what UTF-8 cannot hold escaped."""
    return text(written if len(written) <= limit else written[:limit] + " …")


def placeholder(value: object, about: str | None = None) -> dict[str, str]:
    """Return what stands for a value that cannot be shown."""
    name = class_name(type(value))
    return {"$type": text(name)} if about is None else {"$type": text(name), "$text": about}


def rendered(value: Any, limit: int) -> Any:
    """Return *value* as plain data that can be written as JSON, in about *limit* characters at most.

    Dataclasses, pydantic models and named tuples are shown as objects, dates, UUIDs,
    decimals and paths as text, enum members as their value.
    """
    try:
        return _plain(value, _Room(limit))
    except _TooLargeError:
        return placeholder(value, f"{TOO_LARGE}: over {limit} bytes")
    except Exception:  # noqa: BLE001 - a class without a hash, a dict a thread still writes to, …
        return placeholder(value)


def _stand_in(value: object, room: _Room, about: str | None = None) -> dict[str, str]:
    """Return a placeholder inside of something: a million of them take room like anything else."""
    shown = placeholder(value, about)
    room.take(20 + sum(map(len, shown.values())))
    return shown


def _plain(value: Any, room: _Room) -> Any:
    if value is None or value is True or value is False:
        room.take(5)
        return value
    shown = _SHOWN.get(type(value))
    return shown(value, room) if shown is not None else _plain_other(value, room)


def _plain_str(value: str, room: _Room) -> Any:
    room.take(len(value) + 2)
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return _stand_in(value, room, text(value))
    return value


def _plain_int(value: int, room: _Room) -> Any:
    bits = value.bit_length()
    if bits > _MOST_BITS:
        return _stand_in(value, room, f"{bits} bits")
    room.take(2 + bits // 3)
    return value


def _plain_float(value: float, room: _Room) -> Any:
    room.take(20)
    return value if isfinite(value) else _stand_in(value, room, repr(value))


def _plain_bytes(value: bytes | bytearray, room: _Room) -> Any:
    return _stand_in(value, room, f"{len(value)} bytes")


def _plain_list(value: Iterable[Any], room: _Room) -> Any:
    return _within(value, room, lambda: [_plain(item, room) for item in value])


def _plain_dict(value: dict[Any, Any], room: _Room) -> Any:
    return _within(value, room, lambda: _plain_items(value, dict.items(value), room))


def _plain_items(value: object, items: Iterable[tuple[Any, Any]], room: _Room) -> Any:
    shown: dict[str, Any] = {}
    for key, item in items:
        if type(key) is int and key.bit_length() <= _MOST_BITS:
            name: Any = str(key)
        else:
            name = _plain_str(key, room) if type(key) is str else None
        if type(name) is not str or name in shown:
            return _stand_in(value, room, "keys that are not text")
        room.take(4)
        shown[name] = _plain(item, room)
    return shown


def _within(value: object, room: _Room, show: Callable[[], Any]) -> Any:
    """Return what *show* makes of a container, unless one is inside of that already."""
    room.take(2)
    if id(value) in room.inside:
        return _stand_in(value, room, "contains itself")
    if len(room.inside) == _MOST_LEVELS:
        return _stand_in(value, room, f"over {_MOST_LEVELS} levels deep")
    room.inside.append(id(value))
    try:
        return show()
    finally:
        room.inside.pop()


def _plain_other(value: Any, room: _Room) -> Any:
    """Return what a less common type is shown as; a class that fails to tell gets a placeholder."""
    try:
        simpler = _simpler(value)
    except BaseException:  # noqa: BLE001 - properties and methods of a user's class, which may raise anything
        return _stand_in(value, room)
    if simpler is value:
        return _stand_in(value, room)
    return _within(value, room, lambda: _plain(simpler, room))


def _simpler(value: Any) -> Any:
    """Return a value nearer to JSON that says the same, or *value* itself if none is known."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _AS_TEXT):
        return value.isoformat() if isinstance(value, date | time) else str(value)
    if _is_model(value):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _base_of(value)


def _is_model(value: Any) -> bool:
    main = sys.modules.get("pydantic.main")  # it is never imported here
    return main is not None and isinstance(value, main.BaseModel)


def _base_of(value: Any) -> Any:
    """Return an instance of a subclass as its plain base, or *value* itself."""
    if is_secret(value):
        return HIDDEN
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", None)) is not None:
        return dict(zip(fields, value, strict=True))
    if isinstance(value, dict):
        return dict(dict.items(value))
    for base, plain in _PLAIN_BASES:
        if isinstance(value, base):
            return plain(value)
    return value


_PLAIN_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
_AS_TEXT: Final = (date, time, UUID, Decimal, PurePath)

_SHOWN: Final[dict[type, Callable[[Any, _Room], Any]]] = {
    str: _plain_str,
    int: _plain_int,
    float: _plain_float,
    list: _plain_list,
    tuple: _plain_list,
    dict: _plain_dict,
    bytes: _plain_bytes,
    bytearray: _plain_bytes,
}
