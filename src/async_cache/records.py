"""Dataclasses: written as the name of their class and the values of their fields.

Reading one back calls nothing of the class, so it is for classes only whose fields are
all there is to their instances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple

from .classes import KnownClasses, held_by, named, refuse_unless, require
from .exceptions import UnencodableError
from .values import MARK

_new: Callable[[type], object] = object.__new__
_read = object.__getattribute__
_write = object.__setattr__


class Layout(NamedTuple):
    """Where the instances of a dataclass keep their state.

    Attributes:
        kind: The dataclass.
        fields: Names of its fields, in order.
        signature: The same, as written into payloads.
        stored: Those fields that live in the instance's ``__dict__``.
        has_dict: Whether instances have a ``__dict__`` at all.
        extra_slots: Slots that are no fields; they have to be empty.
    """

    kind: type
    fields: tuple[str, ...]
    signature: str
    stored: frozenset[str]
    has_dict: bool
    extra_slots: tuple[MemberDescriptorType, ...]


def _work_out(kind: type) -> Layout:
    require(dataclasses.is_dataclass(kind), f"{kind} is no dataclass")
    fields = tuple(field.name for field in dataclasses.fields(kind))
    holders = {name: held_by(kind, name) for name in fields}
    in_slots = {name for name, holder in holders.items() if type(holder) is MemberDescriptorType}
    stored = frozenset(fields) - in_slots
    has_dict = kind.__dictoffset__ != 0
    runs_code = held_by(kind, "__del__") or any(hasattr(type(holders[name]), "__set__") for name in stored)
    if runs_code or not _plain_object(kind, has_dict) or (stored and not has_dict):
        raise UnencodableError(kind, "its fields are not all there is to it")
    return Layout(kind, fields, ",".join(fields), stored, has_dict, tuple(_slots(kind, in_slots)))


_layouts: Final = KnownClasses(_work_out)


def _plain_object(kind: type, has_dict: bool) -> bool:
    """Whether instances consist of a ``__dict__`` and slots, with no builtin type's content below."""
    try:
        object.__new__(kind)
    except TypeError:  # an exception, a dict, or abstract
        return False
    return not has_dict or type(held_by(kind, "__dict__")) is GetSetDescriptorType


def _slots(kind: type, besides: set[str]) -> Iterable[MemberDescriptorType]:
    for base in kind.__mro__:
        for name, held in vars(base).items():
            if type(held) is MemberDescriptorType and name not in besides:
                yield held


def take_dataclass(value: object) -> list[Any]:
    """Return a dataclass's instance as marker, tag and parts.

    Raises:
        UnencodableError: It would not come back as it was.
    """
    kind = type(value)
    name = named(kind)
    layout = _layouts.written(kind, name)
    state: dict[str, Any] = _read(value, "__dict__") if layout.has_dict else {}
    refuse_unless(holds_just(state, layout.stored, kind), kind, "it has attributes that are no fields")
    if layout.extra_slots:
        refuse_unless(not any(map(_filled(value), layout.extra_slots)), kind, "it has slots that are no fields")
    try:
        return [MARK, "dc", name, layout.signature, *[_read(value, field) for field in layout.fields]]
    except AttributeError:
        raise UnencodableError(kind, "a field has no value") from None


def holds_just(state: dict[str, Any], names: frozenset[str], kind: type) -> bool:
    """Return whether *state* holds these names and beside them only what is computed from them again."""
    if state.keys() == names:
        return True
    extra = state.keys() - names
    return names <= state.keys() and all(type(held_by(kind, name)) is cached_property for name in extra)


def _filled(value: object) -> Callable[[MemberDescriptorType], bool]:
    def filled(slot: MemberDescriptorType) -> bool:
        try:
            slot.__get__(value)
        except AttributeError:
            return False
        return True

    return filled


def build_dataclass(items: list[Any]) -> Any:
    """Return the instance a list of parts stands for. Raises for a list we did not write."""
    layout = _layouts.read(items[2])
    if layout.signature != items[3] or len(items) != len(layout.fields) + _HEAD:
        raise TypeError(f"{items[2]} has other fields")
    instance = _new(layout.kind)
    for place, field in enumerate(layout.fields, _HEAD):
        _write(instance, field, items[place])
    return instance


_HEAD: Final = 4  # marker, tag, name of the class, names of its fields
