"""Schemas of enums, named tuples and dataclasses.

An instance is decoded without calling ``__new__``, ``__init__``, ``__setattr__`` or any
other code of its class. A class is refused if its instances have state besides their fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from enum import Enum, EnumMeta, Flag
from functools import cached_property
from types import MemberDescriptorType
from typing import Any, Final

from .qualified_names import class_attribute
from .schemas import (
    ClassBinding,
    ClassSchema,
    has_slots_besides,
    holds_exactly,
    is_plain_object,
    new_instance,
    read_attribute,
    write_attribute,
)
from .typed_lists import HEAD_LENGTH, MARK, TYPING_ATTRIBUTES, Decoder, Encoder, require, require_type

_tuple: Any = tuple
_member_of: Callable[[Any, Any], Any] = EnumMeta.__call__
_FLAG_MISSING: Final = Flag._missing_.__func__  # type: ignore[attr-defined]


def enum_schema(binding: ClassBinding) -> ClassSchema:
    """Return the schema of an enum. Members are looked up by name, combined flags by value; none is created."""
    kind, namespace, name, redecode = binding
    members = kind._member_map_
    # Members can be combined if the class is a Flag that keeps the standard library's rules.
    combines = issubclass(kind, Flag) and getattr(kind._missing_, "__func__", None) is _FLAG_MISSING

    def values_of(value: Enum) -> Iterable[Any]:
        if members.get(value._name_) is value:
            return (value._name_,)
        require(combines and _member_of(kind, value._value_) is value, kind, "it is not a member of its enum")
        return (value._value_,)

    def decode(items: list[Any]) -> Any:
        if namespace.get(name) is not kind:
            return redecode(items)
        _, _, member = items
        if type(member) is str or not combines:
            return members[member]
        return _member_of(kind, require_type(int, member))

    return ClassSchema("en", (), values_of, decode)


def named_tuple_schema(binding: ClassBinding) -> ClassSchema:
    """Return the schema of a named tuple."""
    kind, namespace, name, redecode = binding
    fields: Any = class_attribute(kind, "_fields")
    is_plain = type(fields) is _tuple and not class_attribute(kind, "__del__")
    require(is_plain, kind, "it is not a plain named tuple")
    length = len(fields) + HEAD_LENGTH

    def values_of(value: Any) -> Iterable[Any]:
        has_all_fields = _tuple.__len__(value) + HEAD_LENGTH == length
        is_complete = has_all_fields and getattr(value, "__dict__", {}).keys() <= TYPING_ATTRIBUTES
        require(is_complete, kind, "it has state besides its fields")
        values: Iterable[Any] = _tuple.__iter__(value)
        return values

    def decode(items: list[Any]) -> Any:
        if namespace.get(name) is not kind:
            return redecode(items)
        if len(items) != length:
            raise TypeError(f"{kind} has other fields")
        return _tuple.__new__(kind, items[2:])

    return ClassSchema("nt", fields, values_of, decode)


def dataclass_schema(binding: ClassBinding) -> ClassSchema:
    """Return the schema of a dataclass."""
    kind = binding.kind
    fields = tuple(field.name for field in dataclasses.fields(kind))
    holders = {name: class_attribute(kind, name) for name in fields}
    stored = tuple(name for name in fields if type(holders[name]) is not MemberDescriptorType)
    has_dict = kind.__dictoffset__ != 0
    runs_code = class_attribute(kind, "__del__") or any(hasattr(type(holders[name]), "__set__") for name in stored)
    is_known = not has_slots_besides(kind, fields) and (has_dict or not stored)
    # is_plain_object() creates an instance, so it comes last.
    is_plain = is_known and not runs_code and is_plain_object(kind, has_dict)
    require(is_plain, kind, "it has state besides its fields")

    def values_of(value: Any) -> Iterable[Any]:
        state: dict[str, Any] = read_attribute(value, "__dict__") if has_dict else {}
        if tuple(state) == fields:
            return state.values()
        require(holds_exactly(state, stored, kind), kind, "it has attributes that are not fields")
        return [read_attribute(value, field) for field in fields]

    return ClassSchema("dc", fields, values_of, _dataclass_decoder(binding, fields, all_stored=stored == fields))


def _dataclass_decoder(binding: ClassBinding, fields: tuple[str, ...], *, all_stored: bool) -> Decoder:
    kind, namespace, name, redecode = binding
    length = HEAD_LENGTH + len(fields)

    def decode(items: list[Any]) -> Any:
        if namespace.get(name) is not kind:
            return redecode(items)
        if len(items) != length:
            raise TypeError(f"{kind} has other fields")
        instance = new_instance(kind)
        if all_stored:
            read_attribute(instance, "__dict__").update(zip(fields, items[HEAD_LENGTH:]))  # noqa: B905 - length checked above
        else:
            for field, value in zip(fields, items[HEAD_LENGTH:], strict=True):
                write_attribute(instance, field, value)
        return instance

    return decode


def allows_extra_attributes(kind: Any) -> bool:
    """Return whether this is a pydantic dataclass whose instances may have attributes besides their fields."""
    config = class_attribute(kind, "__pydantic_config__")
    return type(config) is dict and config.get("extra") == "allow" and kind.__dictoffset__ != 0


def with_extra_attributes(
    kind: Any, tag: str, schema: ClassSchema, encode_fields: Encoder
) -> tuple[Encoder, str, Decoder]:
    """Return an encoder for a dataclass with extra attributes, and the tag and decoder of instances that have some.

    Such an instance has a dict of its extra attributes in front of its fields.
    """
    fields, extra_tag = tuple(schema.fields), f"dx{tag[2:]}"

    def encode(value: Any) -> list[Any]:
        state = read_attribute(value, "__dict__")
        extra = {name: part for name, part in state.items() if name not in fields and name not in TYPING_ATTRIBUTES}
        if not extra or any(type(class_attribute(kind, name)) is cached_property for name in extra):
            return encode_fields(value)
        require(state.keys() >= set(fields), kind, "it has state besides its fields")
        return [MARK, extra_tag, extra, *[state[field] for field in fields]]

    def decode(items: list[Any]) -> Any:
        _, _, extra, *values = items
        names = require_type(dict, extra).keys()
        if not all(type(name) is str and class_attribute(kind, name) is None for name in names):
            raise TypeError(f"{kind} does not take {names}")
        instance = schema.decode([MARK, tag, *values])
        read_attribute(instance, "__dict__").update(extra)
        return instance

    return encode, extra_tag, decode
