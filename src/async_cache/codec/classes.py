"""Instances of classes: enums, named tuples, dataclasses and pydantic models.

One is written as a tag that names its class and its fields, such as
``dc:shop.orders:Order(id,price)``, and its values. It is read back without a call of
``__new__``, ``__init__``, ``__setattr__``, a validator or any other code of the class. So
a payload can make an object of a class that is loaded and is what the payload says,
with the fields it has, and nothing else. Only classes are taken whose fields are all
there is to their instances.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, EnumMeta, Flag
from functools import cached_property
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple, cast

from .exceptions import UnencodableError
from .generics import origin_of, parameters_of, parametrised
from .numpy_types import BUILD_ARRAY, taker_of_arrays
from .pydantic_types import BUILD_PYDANTIC, is_content, state_name, taker_of_pydantic
from .qualified_names import find_loaded, held_by, home_of, is_class, name_of
from .stdlib_types import ALIAS, BUILD, MARK, TAKE, Build, Take, exactly, refuse_unless

_new: Callable[[Any], Any] = object.__new__
_read = object.__getattribute__
_write = object.__setattr__
_tuple: Any = tuple
_List: type[list[Any]] = list
_HEAD: Final = 2  # marker and tag

Home = Mapping[str, object]


class Sort(NamedTuple):
    """How instances of one class are written and read."""

    sort: str  # what kind of class it is
    fields: Iterable[str]
    take: Callable[[Any], Iterable[Any]]  # returns the values of an instance
    build: Build


TAKERS: Final = dict(TAKE)
"""By type: how a value is taken apart, as far as it is known yet."""
BUILDERS: Final = BUILD | BUILD_ARRAY | BUILD_PYDANTIC
"""By tag: how a value is put together again, as far as it is known yet."""
_bearers: Final[dict[str, tuple[type, str]]] = {}  # by name: the class that was learned under it, and its tag


def taken_apart(value: object) -> list[Any]:
    """Return *value* as a list of marker, tag and parts; UnencodableError if it would not come back as it was."""
    kind = type(value)
    take = TAKERS.get(kind) or taker_of_arrays(kind) or taker_of_pydantic(kind) or _learned(kind)
    return take(value)


def can_be_taken_apart(kind: type) -> bool:
    """Whether instances of *kind* are written at all; one that holds something else may be refused all the same."""
    if kind in TAKERS or taker_of_arrays(kind) is not None or taker_of_pydantic(kind) is not None:
        return True
    try:
        _maker_for(kind)
    except UnencodableError:
        return False
    return True


def put_together(items: list[Any]) -> Any:
    """Return the value a list stands for: the list itself unless the marker heads it. Garbage may raise anything."""
    if items and items[0] is MARK:
        try:
            build = BUILDERS[items[1]]
        except KeyError:
            build = _learned_by(items[1])
        return build(items)
    return items


def _learned_by(tag: str) -> Build:
    name = tag.partition(":")[2].rpartition("(")[0]
    kind = find_loaded(name)
    if not is_class(kind) or name_of(kind) != name:  # there may be endless other paths to it
        raise LookupError(f"no class is loaded by the name of {name!r}")
    if tag.startswith("pg:"):
        BUILDERS[tag] = _builder_of_parametrised(kind, name, tag)
        return BUILDERS[tag]
    _learned(kind)
    if tag not in BUILDERS:
        raise TypeError(f"{name} has other fields")
    return BUILDERS[tag]


def _built_anew(items: list[Any]) -> Any:
    """Put together an instance of a class that was replaced by another of its name."""
    del BUILDERS[items[1]]
    return put_together(items)


def _learned(kind: type) -> Take:
    """Note how instances of *kind* are written and read: bounded by the code that is loaded."""
    make = _maker_for(kind)
    name = name_of(kind)
    if name is None and (origin := origin_of(kind)) is not None:
        return _learned_parametrised(kind, origin, make)
    refuse_unless(name is not None, kind, "its module and name do not lead back to it")
    home, last = home_of(str(name))
    sort, fields, values_of, build = make(kind, home, last)
    tag = f"{sort}:{name}({','.join(fields)})"

    def take(value: Any) -> list[Any]:
        if home.get(last) is not kind:
            raise UnencodableError(kind, "its module and name do not lead back to it")
        return [MARK, tag, *values_of(value)]

    taker: Take = take
    if sort == "dc" and _takes_extra(kind):
        taker = _with_extra(kind, tag, tuple(fields), take)
    replaced, its_tag = _bearers.get(str(name), (kind, tag))
    TAKERS.pop(replaced, None)
    BUILDERS.pop(its_tag, None)
    _bearers[str(name)] = kind, tag
    TAKERS[kind], BUILDERS[tag] = taker, build
    return taker


def _maker_for(kind: type) -> Callable[[Any, Home, str], Sort]:
    if kind in TAKE:  # a payload named it: it is not written as an instance
        raise UnencodableError(kind)
    if issubclass(kind, Enum):
        return _enum
    if issubclass(kind, tuple) and held_by(kind, "_fields") is not None:
        return _named_tuple
    if dataclasses.is_dataclass(kind):
        return _dataclass
    if _is_model(kind):
        return _model
    if state_name(kind) is not None:
        return _of_one_attribute
    raise UnencodableError(kind)


# Enums: members are looked up, never made.

_member_of: Callable[[type, Any], Any] = EnumMeta.__call__
_FLAG_MISSING: Final = Flag._missing_.__func__  # type: ignore[attr-defined]


def _enum(kind: type[Enum], home: Home, last: str) -> Sort:
    members = kind._member_map_
    # Members that combine, in the way of the standard library's flags.
    combines = issubclass(kind, Flag) and getattr(kind._missing_, "__func__", None) is _FLAG_MISSING

    def take(value: Enum) -> Iterable[Any]:
        if members.get(value._name_) is value:
            return (value._name_,)
        refuse_unless(combines and _member_of(kind, value._value_) is value, kind, "it is no member of its enum")
        return (value._value_,)

    def build(items: list[Any]) -> Any:
        if home.get(last) is not kind:
            return _built_anew(items)
        _, _, told = items
        return members[told] if type(told) is str or not combines else _member_of(kind, exactly(int, told))

    return Sort("en", (), take, build)


# Named tuples.


def _named_tuple(kind: type, home: Home, last: str) -> Sort:
    fields: Any = held_by(kind, "_fields")
    plain = type(fields) is _tuple and not held_by(kind, "__del__")
    refuse_unless(plain, kind, "it is no plain named tuple")
    length = len(fields) + _HEAD

    def take(value: Any) -> Iterable[Any]:
        complete = _tuple.__len__(value) + _HEAD == length and getattr(value, "__dict__", {}).keys() <= ALIAS
        refuse_unless(complete, kind, "its fields are not all there is to it")
        values: Iterable[Any] = _tuple.__iter__(value)
        return values

    def build(items: list[Any]) -> Any:
        if home.get(last) is not kind:
            return _built_anew(items)
        if len(items) != length:
            raise TypeError(f"{kind} has other fields")
        return _tuple.__new__(kind, items[2:])

    return Sort("nt", fields, take, build)


# Dataclasses.


def _dataclass(kind: Any, home: Home, last: str) -> Sort:
    fields = tuple(field.name for field in dataclasses.fields(kind))
    holders = {name: held_by(kind, name) for name in fields}
    stored = tuple(name for name in fields if type(holders[name]) is not MemberDescriptorType)
    has_dict = kind.__dictoffset__ != 0
    runs_code = held_by(kind, "__del__") or any(hasattr(type(holders[name]), "__set__") for name in stored)
    known = not _has_slots_beside(kind, fields) and (has_dict or not stored)
    plain = known and not runs_code and _plain_object(kind, has_dict)  # which makes one, so that comes last
    refuse_unless(plain, kind, "its fields are not all there is to it")

    def take(value: Any) -> Iterable[Any]:
        state: dict[str, Any] = _read(value, "__dict__") if has_dict else {}
        if tuple(state) == fields:
            return state.values()
        refuse_unless(_holds_just(state, stored, kind), kind, "it has attributes that are no fields")
        return [_read(value, field) for field in fields]

    return Sort("dc", fields, take, _builder_of_dataclasses(kind, fields, stored, home, last))


def _builder_of_dataclasses(
    kind: type, fields: tuple[str, ...], stored: tuple[str, ...], home: Home, last: str
) -> Build:
    length, all_stored = _HEAD + len(fields), stored == fields

    def build(items: list[Any]) -> Any:
        if home.get(last) is not kind:
            return _built_anew(items)
        if len(items) != length:
            raise TypeError(f"{kind} has other fields")
        instance = _new(kind)
        if all_stored:
            _read(instance, "__dict__").update(zip(fields, items[_HEAD:]))  # noqa: B905 - told by the length
        else:
            for field, value in zip(fields, items[_HEAD:], strict=True):
                _write(instance, field, value)
        return instance

    return build


def _takes_extra(kind: Any) -> bool:
    """Whether this is a dataclass of pydantic's whose instances may have attributes beside their fields."""
    config = held_by(kind, "__pydantic_config__")
    return type(config) is dict and config.get("extra") == "allow" and kind.__dictoffset__ != 0


def _with_extra(kind: Any, tag: str, fields: tuple[str, ...], take_fields: Take) -> Take:
    """Return how an instance is written that may have more attributes: those are a dict in front of its fields."""
    its_tag = f"dx{tag[2:]}"

    def take(value: Any) -> list[Any]:
        state = _read(value, "__dict__")
        extra = {name: part for name, part in state.items() if name not in fields and name not in ALIAS}
        if not extra or any(type(held_by(kind, name)) is cached_property for name in extra):
            return take_fields(value)
        refuse_unless(state.keys() >= set(fields), kind, "its fields are not all there is to it")
        return [MARK, its_tag, extra, *[state[field] for field in fields]]

    def build(items: list[Any]) -> Any:
        _, _, extra, *values = items
        names = exactly(dict, extra).keys()
        if not all(type(name) is str and held_by(kind, name) is None for name in names):
            raise TypeError(f"{kind} does not take {names}")
        instance = BUILDERS[tag]([MARK, tag, *values])
        _read(instance, "__dict__").update(extra)
        return instance

    BUILDERS[its_tag] = build
    return take


def _plain_object(kind: type, has_dict: bool) -> bool:
    """Whether instances consist of a ``__dict__`` and slots, with no builtin type's content below."""
    try:
        _new(kind)
    except TypeError:  # an exception, a dict, or abstract
        return False
    return not has_dict or type(held_by(kind, "__dict__")) is GetSetDescriptorType


def _has_slots_beside(kind: type, fields: tuple[str, ...]) -> bool:
    slots = {name for base in kind.__mro__ for name, held in vars(base).items() if type(held) is MemberDescriptorType}
    return not slots <= set(fields)


def _holds_just(state: dict[str, Any], names: tuple[str, ...], kind: type) -> bool:
    """Return whether *state* holds these names and beside them only what is computed from them again."""
    extra = state.keys() - set(names) - ALIAS
    return state.keys() >= set(names) and all(type(held_by(kind, name)) is cached_property for name in extra)


# Pydantic's models, for programs that have loaded pydantic; it is never imported here.


def _is_model(kind: type) -> bool:
    main = sys.modules.get("pydantic.main")
    return main is not None and getattr(main, "BaseModel", None) in kind.__mro__


_STATE: Final = "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"


def _model(kind: Any, home: Home, last: str) -> Sort:
    """Tell how a model is written with all of its state; it is read back without being validated again."""
    fields = tuple(kind.model_fields)
    plain = not held_by(kind, "__del__") and not _has_slots_beside(kind, _STATE)
    refuse_unless(plain, kind, "its fields are not all there is to it")
    every = set(fields)

    def take(value: Any) -> Iterable[Any]:
        state, (given, extra, private) = _read(value, "__dict__"), [_read(value, name) for name in _STATE]
        known = given == every or given <= every.union(extra or ())
        alone = tuple(state) == fields or _holds_just(state, fields, kind)
        refuse_unless(known and alone, kind, "its fields are not all there is to it")
        told = None if given == every else sorted(given)
        return [told, extra, private, *[state[field] for field in fields]]

    return Sort("pm", fields, take, _builder_of_models(kind, fields, home, last))


def _builder_of_models(kind: Any, fields: tuple[str, ...], home: Home, last: str) -> Build:
    every, length = set(fields), _HEAD + len(_STATE) + len(fields)
    private_names = frozenset(kind.__private_attributes__)
    put_given, put_extra, put_private = (_setter(kind, name) for name in _STATE)

    def build(items: list[Any]) -> Any:
        if home.get(last) is not kind:
            return _built_anew(items)
        _, _, given, extra, private, *state = items
        if len(items) != length or (private and not private_names.issuperset(private)):
            raise TypeError(f"{kind} has other fields")
        model = _new(kind)
        _read(model, "__dict__").update(zip(fields, state))  # noqa: B905 - told by the length
        put_given(model, every.copy() if given is None else _names_in(given, every.union(extra or ())))
        put_extra(model, extra if extra is None else exactly(dict, extra))
        put_private(model, private if private is None else exactly(dict, private))
        return model

    return build


def _learned_parametrised(kind: type, origin: type, make: Callable[[Any, Home, str], Sort]) -> Take:
    """Note how a model such as ``Page[int]`` is written: as the class it was made from, and its parameters."""
    name, told = name_of(origin), parameters_of(kind)
    refuse_unless(name is not None, origin, "its module and name do not lead back to it")
    home, last = home_of(str(name))
    _, fields, values_of, _ = make(kind, {"": kind}, "")
    tag = f"pg:{name}({','.join(fields)})"

    def take(value: Any) -> list[Any]:
        if home.get(last) is not origin:
            raise UnencodableError(kind, "its module and name do not lead back to it")
        return [MARK, tag, told, *values_of(value)]

    TAKERS[kind] = take
    return take


def _builder_of_parametrised(origin: type, name: str, tag: str) -> Build:
    home, last = home_of(name)

    def build(items: list[Any]) -> Any:
        if home.get(last) is not origin:
            return _built_anew(items)
        _, _, told, *state = items
        kind = parametrised(origin, told)
        _, fields, _, build_model = _model(kind, {"": kind}, "")
        if tag != f"pg:{name}({','.join(fields)})":
            raise TypeError(f"{kind} has other fields")
        return build_model([MARK, tag, *state])

    return build


# Pydantic's URLs and secrets, and classes derived from them.


def _of_one_attribute(kind: Any, home: Home, last: str) -> Sort:
    sort, attribute = cast("tuple[str, str]", state_name(kind))
    plain = not held_by(kind, "__del__") and not _has_slots_beside(kind, ()) and _plain_object(kind, has_dict=True)
    refuse_unless(plain, kind, f"its {attribute} is not all there is to it")

    def take(value: Any) -> Iterable[Any]:
        state = _read(value, "__dict__")
        refuse_unless(_holds_just(state, (attribute,), kind), kind, f"its {attribute} is not all there is to it")
        return (state[attribute],)

    def build(items: list[Any]) -> Any:
        if home.get(last) is not kind:
            return _built_anew(items)
        _, _, part = items
        if not is_content(sort, part):
            raise TypeError(f"{kind} is not made of {type(part)}")
        instance = _new(kind)
        _read(instance, "__dict__")[attribute] = part
        return instance

    return Sort(sort, (attribute,), take, build)


def _setter(kind: type, name: str) -> Callable[[object, object], None]:
    slot: Any = held_by(kind, name)
    return slot.__set__ if type(slot) is MemberDescriptorType else lambda _model, _none: None  # as in a RootModel


def _names_in(given: object, known: set[str]) -> set[str]:
    names = {exactly(str, name) for name in exactly(_List, given)}
    if not names <= known:
        raise TypeError(f"no fields: {names - known}")
    return names
