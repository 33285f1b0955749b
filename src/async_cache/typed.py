"""Typed values: how one that msgpack has no type for is written as a list, and read from it.

The list is headed by a marker no plain data has, then comes the tag of its type, then
its parts, which may be typed in turn. What none of the tables lists is refused: nothing
is ever flattened.
"""

from __future__ import annotations

from typing import Any, Final

from .arrays import BUILD_ARRAY, take_array
from .exceptions import UnencodableError
from .instances import BUILD_INSTANCE, take_instance
from .values import BUILD, MARK, TAKE
from .wire import ExtType

_BUILD: Final = BUILD | BUILD_INSTANCE | BUILD_ARRAY


def taken_apart(value: object) -> list[Any]:
    """Return *value* as a list of marker, tag and parts.

    Raises:
        UnencodableError: It would not come back as it was.
    """
    take = TAKE.get(type(value))
    items = take(value) if take else take_instance(value) or take_array(value)
    if items is None:
        raise UnencodableError(type(value))
    return items


def marker_or_data(code: int, data: bytes) -> ExtType:
    """Return msgpack's extension types as they are, but the marker always as the one object :data:`MARK`."""
    return MARK if code == MARK.code and not data else ExtType(code, data)


def put_together(items: list[Any]) -> Any:
    """Return the value a list stands for: the list itself unless the marker heads it."""
    if items and items[0] is MARK:
        return _BUILD[items[1]](items)
    return items
