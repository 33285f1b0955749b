"""Parts that the schemas of all classes share: how to inspect a class and to create an instance without calling it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple

from .qualified_names import class_attribute
from .typed_lists import TYPING_ATTRIBUTES, Decoder

new_instance: Final[Callable[[Any], Any]] = object.__new__
read_attribute: Final = object.__getattribute__
write_attribute: Final = object.__setattr__

Namespace = Mapping[str, object]


class ClassBinding(NamedTuple):
    """A class and where it is found by name. A schema is valid only while the name leads to the class.

    Attributes:
        kind: The class.
        namespace: The live namespace that holds it.
        name: Its name there.
        redecode: Decodes an instance whose class has been replaced by another of the same name.
    """

    kind: Any
    namespace: Namespace
    name: str
    redecode: Decoder


class ClassSchema(NamedTuple):
    """How the instances of one class are encoded.

    Attributes:
        prefix: Start of the tag; denotes the kind of class.
        fields: Names of the encoded fields, which are part of the tag.
        values_of: Returns the parts of an instance.
        decode: Returns an instance for a list form.
    """

    prefix: str
    fields: Iterable[str]
    values_of: Callable[[Any], Iterable[Any]]
    decode: Decoder


SchemaFactory = Callable[[ClassBinding], ClassSchema]
"""Returns the schema of a class; raises UnencodableError if instances have state besides their fields."""


def is_plain_object(kind: type, has_dict: bool) -> bool:
    """Return whether instances consist of a ``__dict__`` and slots only, without content of a builtin base class."""
    try:
        new_instance(kind)
    except TypeError:  # for an exception, a dict or an abstract class
        return False
    return not has_dict or type(class_attribute(kind, "__dict__")) is GetSetDescriptorType


def has_slots_besides(kind: type, fields: Iterable[str]) -> bool:
    """Return whether the class or a base defines a slot that is not among the fields."""
    slots = {name for base in kind.__mro__ for name, held in vars(base).items() if type(held) is MemberDescriptorType}
    return not slots <= set(fields)


def holds_exactly(state: dict[str, Any], names: Iterable[str], kind: type) -> bool:
    """Return whether *state* holds these names and otherwise only values of cached properties."""
    extra = state.keys() - set(names) - TYPING_ATTRIBUTES
    return state.keys() >= set(names) and all(type(class_attribute(kind, name)) is cached_property for name in extra)
