"""Find the encoder of a type and the decoder of a tag; register classes when they are first encountered.

The tag of an instance names its class and its fields, such as
``dc:shop.orders:Order(id,price)``. So a payload can only create an instance of a class that
is loaded and has exactly these fields.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, Final

from .classes import (
    allows_extra_attributes,
    dataclass_schema,
    enum_schema,
    named_tuple_schema,
    with_extra_attributes,
)
from .exceptions import UnencodableError
from .generics import origin_of
from .numpy_types import NUMPY_DECODERS, numpy_encoder
from .pydantic_models import is_model, model_schema, parametrised_decoder, parametrised_encoder, wrapper_schema
from .pydantic_types import PYDANTIC_DECODERS, pydantic_encoder, wrapped_attribute
from .qualified_names import class_attribute, find_loaded, is_class, name_of, namespace_of
from .schemas import ClassBinding, SchemaFactory
from .stdlib_types import STDLIB_DECODERS, STDLIB_ENCODERS
from .typed_lists import MARK, Decoder, Encoder, require

ENCODERS: Final = dict(STDLIB_ENCODERS)
"""Encoders by type, including those of the classes registered so far."""
DECODERS: Final = STDLIB_DECODERS | NUMPY_DECODERS | PYDANTIC_DECODERS
"""Decoders by tag, including those of the classes registered so far."""
_by_name: Final[dict[str, tuple[type, str]]] = {}  # the class registered under a qualified name, and its tag


def to_parts(value: object) -> list[Any]:
    """Return the list form of *value*; raise UnencodableError if decoding would not return an equal value."""
    kind = type(value)
    encode = ENCODERS.get(kind) or numpy_encoder(kind) or pydantic_encoder(kind) or register_class(kind)
    return encode(value)


def is_encodable(kind: type) -> bool:
    """Return whether instances of *kind* can be encoded, unless one holds a part that cannot."""
    if kind in ENCODERS or numpy_encoder(kind) is not None or pydantic_encoder(kind) is not None:
        return True
    try:
        _schema_factory(kind)
    except UnencodableError:
        return False
    return True


def from_parts(items: list[Any]) -> Any:
    """Return the value of a list form; a list that does not start with the marker is returned as it is.

    An invalid list form may raise any exception.
    """
    if items and items[0] is MARK:
        try:
            decode = DECODERS[items[1]]
        except KeyError:
            decode = _register_tag(items[1])
        return decode(items)
    return items


def _register_tag(tag: str) -> Decoder:
    """Register the class that a tag names and return the decoder of the tag."""
    name = tag.partition(":")[2].rpartition("(")[0]
    kind = find_loaded(name)
    if not is_class(kind) or name_of(kind) != name:  # other paths may lead to the same class, without limit
        raise LookupError(f"no class named {name!r} is loaded")
    if tag.startswith("pg:"):
        DECODERS[tag] = parametrised_decoder(kind, name, tag, _redecode)
        return DECODERS[tag]
    register_class(kind)
    if tag not in DECODERS:
        raise TypeError(f"{name} has other fields")
    return DECODERS[tag]


def _redecode(items: list[Any]) -> Any:
    """Decode an instance whose class has been replaced by another of the same name."""
    del DECODERS[items[1]]
    return from_parts(items)


def register_class(kind: type) -> Encoder:
    """Register a class and return its encoder. The registry cannot outgrow the number of loaded classes."""
    factory = _schema_factory(kind)
    name = name_of(kind)
    if name is None and (origin := origin_of(kind)) is not None:
        encoder = ENCODERS[kind] = parametrised_encoder(kind, origin, factory)
        return encoder
    require(name is not None, kind, "its module and name do not lead back to it")
    return _register_named(kind, str(name), factory)


def _register_named(kind: type, name: str, factory: SchemaFactory) -> Encoder:
    namespace, last = namespace_of(name)
    schema = factory(ClassBinding(kind, namespace, last, _redecode))
    values_of = schema.values_of
    tag = f"{schema.prefix}:{name}({','.join(schema.fields)})"

    def encode(value: Any) -> list[Any]:
        if namespace.get(last) is not kind:
            raise UnencodableError(kind, "its module and name do not lead back to it")
        return [MARK, tag, *values_of(value)]

    encoder: Encoder = encode
    if schema.prefix == "dc" and allows_extra_attributes(kind):
        encoder, extra_tag, extra_decoder = with_extra_attributes(kind, tag, schema, encode)
        DECODERS[extra_tag] = extra_decoder
    replaced, replaced_tag = _by_name.get(name, (kind, tag))
    ENCODERS.pop(replaced, None)
    DECODERS.pop(replaced_tag, None)
    _by_name[name] = kind, tag
    ENCODERS[kind], DECODERS[tag] = encoder, schema.decode
    return encoder


def _schema_factory(kind: type) -> SchemaFactory:
    if kind in STDLIB_ENCODERS:  # a payload named it as a class, but its values are not encoded as instances
        raise UnencodableError(kind)
    if issubclass(kind, Enum):
        return enum_schema
    if issubclass(kind, tuple) and class_attribute(kind, "_fields") is not None:
        return named_tuple_schema
    if dataclasses.is_dataclass(kind):
        return dataclass_schema
    if is_model(kind):
        return model_schema
    if wrapped_attribute(kind) is not None:
        return wrapper_schema
    raise UnencodableError(kind)
