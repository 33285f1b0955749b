"""Schemas of pydantic models, URLs and secrets, for programs that have imported pydantic themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import MemberDescriptorType
from typing import Any, Final, cast

from .exceptions import UnencodableError
from .generics import parameters_of, parametrised_class
from .pydantic_types import is_valid_content, wrapped_attribute
from .qualified_names import class_attribute, name_of, namespace_of
from .schemas import (
    ClassBinding,
    ClassSchema,
    SchemaFactory,
    has_slots_besides,
    holds_exactly,
    is_plain_object,
    new_instance,
    read_attribute,
)
from .typed_lists import HEAD_LENGTH, MARK, Decoder, Encoder, require, require_type

_List: type[list[Any]] = list
_MODEL_STATE: Final = "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"


def is_model(kind: type) -> bool:
    """Return whether *kind* is a pydantic model."""
    main = sys.modules.get("pydantic.main")
    return main is not None and getattr(main, "BaseModel", None) in kind.__mro__


def model_schema(binding: ClassBinding) -> ClassSchema:
    """Return the schema of a model. All of its state is encoded, and decoded without being validated again."""
    kind = binding.kind
    fields = tuple(kind.model_fields)
    is_plain = not class_attribute(kind, "__del__") and not has_slots_besides(kind, _MODEL_STATE)
    require(is_plain, kind, "it has state besides its fields")
    all_fields = set(fields)

    def values_of(value: Any) -> Iterable[Any]:
        state = read_attribute(value, "__dict__")
        fields_set, extra, private = [read_attribute(value, name) for name in _MODEL_STATE]
        is_known = fields_set == all_fields or fields_set <= all_fields.union(extra or ())
        is_complete = tuple(state) == fields or holds_exactly(state, fields, kind)
        require(is_known and is_complete, kind, "it has state besides its fields")
        names_set = None if fields_set == all_fields else sorted(fields_set)
        return [names_set, extra, private, *[state[field] for field in fields]]

    return ClassSchema("pm", fields, values_of, _model_decoder(binding, fields))


def _model_decoder(binding: ClassBinding, fields: tuple[str, ...]) -> Decoder:
    kind, namespace, name, redecode = binding
    all_fields, length = set(fields), HEAD_LENGTH + len(_MODEL_STATE) + len(fields)
    private_names = frozenset(kind.__private_attributes__)
    set_fields_set, set_extra, set_private = (_setter(kind, name) for name in _MODEL_STATE)

    def decode(items: list[Any]) -> Any:
        if namespace.get(name) is not kind:
            return redecode(items)
        _, _, names_set, extra, private, *state = items
        if len(items) != length or (private and not private_names.issuperset(private)):
            raise TypeError(f"{kind} has other fields")
        model = new_instance(kind)
        read_attribute(model, "__dict__").update(zip(fields, state))  # noqa: B905 - length checked above
        known = all_fields if names_set is None else all_fields.union(extra or ())
        set_fields_set(model, known.copy() if names_set is None else _checked_names(names_set, known))
        set_extra(model, extra if extra is None else require_type(dict, extra))
        set_private(model, private if private is None else require_type(dict, private))
        return model

    return decode


def _setter(kind: type, name: str) -> Callable[[object, object], None]:
    """Return what sets a slot; a function that does nothing if the class has no such slot, as a RootModel."""
    slot: Any = class_attribute(kind, name)
    return slot.__set__ if type(slot) is MemberDescriptorType else lambda _model, _value: None


def _checked_names(names: object, known: set[str]) -> set[str]:
    checked = {require_type(str, name) for name in require_type(_List, names)}
    if not checked <= known:
        raise TypeError(f"not fields: {checked - known}")
    return checked


def parametrised_encoder(kind: type, origin: type, factory: SchemaFactory) -> Encoder:
    """Return the encoder of a parametrised model such as ``Page[int]``: its origin and its parameters."""
    name, parameters = name_of(origin), parameters_of(kind)
    require(name is not None, origin, "its module and name do not lead back to it")
    namespace, last = namespace_of(str(name))
    schema = factory(_unnamed(kind))
    values_of = schema.values_of
    tag = f"pg:{name}({','.join(schema.fields)})"

    def encode(value: Any) -> list[Any]:
        if namespace.get(last) is not origin:
            raise UnencodableError(kind, "its module and name do not lead back to it")
        return [MARK, tag, parameters, *values_of(value)]

    return encode


def parametrised_decoder(origin: type, name: str, tag: str, redecode: Decoder) -> Decoder:
    """Return the decoder of all parametrised models of an origin that have the fields named in the tag."""
    namespace, last = namespace_of(name)

    def decode(items: list[Any]) -> Any:
        if namespace.get(last) is not origin:
            return redecode(items)
        _, _, parameters, *state = items
        kind = parametrised_class(origin, parameters)
        schema = model_schema(_unnamed(kind))
        if tag != f"pg:{name}({','.join(schema.fields)})":
            raise TypeError(f"{kind} has other fields")
        return schema.decode([MARK, tag, *state])

    return decode


def _unnamed(kind: type) -> ClassBinding:
    """Return a binding that is always valid, for a class that no module names."""
    return ClassBinding(kind, {"": kind}, "", _never_replaced)


def _never_replaced(items: list[Any]) -> Any:
    raise LookupError(f"the class of {items[1]} cannot have been replaced")


def wrapper_schema(binding: ClassBinding) -> ClassSchema:
    """Return the schema of a URL or secret, or of a class derived from one: its only attribute."""
    kind, namespace, name, redecode = binding
    prefix, attribute = cast("tuple[str, str]", wrapped_attribute(kind))
    no_other_state = not class_attribute(kind, "__del__") and not has_slots_besides(kind, ())
    is_plain = no_other_state and is_plain_object(kind, has_dict=True)
    require(is_plain, kind, f"it has state besides its {attribute}")

    def values_of(value: Any) -> Iterable[Any]:
        state = read_attribute(value, "__dict__")
        require(holds_exactly(state, (attribute,), kind), kind, f"it has state besides its {attribute}")
        return (state[attribute],)

    def decode(items: list[Any]) -> Any:
        if namespace.get(name) is not kind:
            return redecode(items)
        _, _, part = items
        if not is_valid_content(prefix, part):
            raise TypeError(f"{kind} cannot hold {type(part)}")
        instance = new_instance(kind)
        read_attribute(instance, "__dict__")[attribute] = part
        return instance

    return ClassSchema(prefix, (attribute,), values_of, decode)
