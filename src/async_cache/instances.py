"""Instances of classes: enums and named tuples here, dataclasses and pydantic models next door.

They are read back without a call of ``__new__``, ``__init__``, ``__setattr__``, a
validator or any other code of the class. So a payload can make an object of a class that
is loaded and is what the payload says, with the fields it has, and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum, EnumMeta, Flag
from typing import Any, Final, NamedTuple

from .classes import KnownClasses, held_by, named, refuse_unless, require
from .exceptions import UnencodableError
from .models import build_model, is_model, take_model
from .records import build_dataclass, take_dataclass
from .values import MARK, exactly


def take_instance(value: object) -> list[Any] | None:
    """Return *value* as marker, tag and parts, or None if it is of no kind known here.

    Raises:
        UnencodableError: It is, but would not come back as it was.
    """
    kind = type(value)
    if isinstance(value, Enum):
        return _take_enum(value)
    if issubclass(kind, tuple):
        return _take_named_tuple(value, type(value))
    if dataclasses.is_dataclass(kind):
        return take_dataclass(value)
    return take_model(value) if is_model(kind) else None


# Enums: members are looked up, never made.


def _take_enum(value: Enum) -> list[Any]:
    kind = type(value)
    if kind._member_map_.get(value._name_) is value:
        return [MARK, "en", named(kind), value._name_]
    if _combines(kind) and _member_of(kind, value._value_) is value:
        return [MARK, "fl", named(kind), value._value_]
    raise UnencodableError(kind, "it is no member of its enum")


def _members(kind: Any) -> Mapping[str, Any]:
    require(issubclass(kind, Enum), f"{kind} is no enum")
    members: Mapping[str, Any] = kind._member_map_
    return members


def _flag(kind: type) -> type:
    require(_combines(kind), f"{kind} is no plain flag")
    return kind


_enums: Final = KnownClasses(_members)
_flags: Final = KnownClasses(_flag)
_member_of: Callable[[type, Any], Any] = EnumMeta.__call__
_FLAG_MISSING: Final = Flag._missing_.__func__  # type: ignore[attr-defined]


def _combines(kind: type) -> bool:
    """Whether members of this enum combine, in the way of the standard library's flags."""
    return issubclass(kind, Flag) and getattr(kind._missing_, "__func__", None) is _FLAG_MISSING


def _build_enum(items: list[Any]) -> Any:
    _, _, name, member = items
    return _enums.read(name)[exactly(str, member)]


def _build_flag(items: list[Any]) -> Any:
    _, _, name, value = items
    return _member_of(_flags.read(name), exactly(int, value))


# Named tuples.


class Shape(NamedTuple):
    """A named tuple's class and the names of its fields, as written into payloads too."""

    kind: type
    fields: tuple[str, ...]
    signature: str


_tuple: Any = tuple


def _shape(kind: type) -> Shape:
    fields: Any = held_by(kind, "_fields")
    if type(fields) is not _tuple or not issubclass(kind, _tuple) or held_by(kind, "__del__"):
        raise UnencodableError(kind, "it is no plain named tuple")
    return Shape(kind, fields, ",".join(fields))


_shapes: Final = KnownClasses(_shape)


def _take_named_tuple(value: object, kind: type) -> list[Any] | None:
    if held_by(kind, "_fields") is None:
        return None
    name = named(kind)
    shape = _shapes.written(kind, name)
    complete = len(shape.fields) == _tuple.__len__(value) and not getattr(value, "__dict__", None)
    refuse_unless(complete, kind, "its fields are not all there is to it")
    return [MARK, "nt", name, shape.signature, *_tuple.__iter__(value)]


def _build_named_tuple(items: list[Any]) -> Any:
    shape = _shapes.read(items[2])
    if shape.signature != items[3] or len(shape.fields) != len(items) - 4:
        raise TypeError(f"{items[2]} has other fields")
    return _tuple.__new__(shape.kind, items[4:])


BUILD_INSTANCE: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "en": _build_enum,
    "fl": _build_flag,
    "nt": _build_named_tuple,
    "dc": build_dataclass,
    "pm": build_model,
}
"""By tag: how the list becomes the instance again. Raises for a list we did not write."""
