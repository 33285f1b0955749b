"""The canonical form of a value: the same bytes for equal values of the same types, and for no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final, cast

from msgpack import Packer, Timestamp  # type: ignore[import-untyped]

from .classes import can_be_taken_apart, taken_apart
from .exceptions import UnencodableError, describe
from .generics import origin_of
from .qualified_names import held_by, identity_of, is_class, name_of
from .stdlib_types import MARK, TAKE, refuse_unless


class DefaultValue:
    """Type of :data:`DEFAULT_VALUE`."""


DEFAULT_VALUE: Final = DefaultValue()
"""Stands for the default value of a parameter that has no canonical form of its own."""

_AS_THEY_ARE: Final = frozenset({NoneType, bool, int, float, str, bytes, Timestamp})
_ONLY_STR: Final = frozenset({str})


def canonical_form(value: object) -> bytes:
    """Return the canonical form of *value*; UnencodableError if a part has none, or it contains itself."""
    try:
        return _packed(_form(value))
    except Exception as error:  # noqa: BLE001 - classes of all sorts are asked what they are
        raise _without_form(value, error) from _cause(error)


def canonical_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """Return the canonical form of a call's arguments, likewise; the order of *kwargs* does not show."""
    try:
        form: list[Any] = [[*_forms(args)]]
        if kwargs:
            for name in sorted(kwargs):
                form += name, _form(kwargs[name])
        return _packed(form)
    except Exception as error:  # noqa: BLE001 - as above
        raise _without_form((args, kwargs), error) from _cause(error)


_cause: Final = BaseException.__dict__["__cause__"].__get__


def _without_form(value: object, error: Exception) -> UnencodableError:
    if issubclass(type(error), UnencodableError):  # isinstance() would ask the error itself, which may raise
        return cast("UnencodableError", error)
    if issubclass(type(error), RecursionError):
        return UnencodableError(type(value), "it contains itself, or is nested too deep")
    return UnencodableError(type(value), describe(error))


def _packed(form: object) -> bytes:
    try:
        packer = _idle.pop()  # nobody else's meanwhile
    except IndexError:
        packer = Packer(default=_large_int, strict_types=True)
    try:
        packed: bytes = packer.pack(form)
    except UnicodeEncodeError:  # lone surrogates
        packed = Packer(default=_large_int, strict_types=True, unicode_errors="surrogatepass").pack(form)
    if len(packed) < LARGE:
        _idle.append(packer)
    return packed


LARGE: Final = 2**18
"""Bytes from which on what packed them is not kept: its buffer grows with what it packs, and never shrinks."""

_idle: Final[list[Packer]] = []
"""Packers at rest. To make one, with its buffer, takes as long as to pack the arguments of a call."""


def _large_int(value: int) -> list[Any]:
    return [MARK, "i", f"{value:x}"]


def _form(value: object) -> Any:
    """Return plain data in one order, and everything else as marker, tag and parts."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    take = _FORMS.get(kind)
    return take(value) if take else _form_of_other(value, kind)


def _forms(values: Collection[Any]) -> Iterable[Any]:
    return values if _AS_THEY_ARE.issuperset(map(type, values)) else [_form(value) for value in values]


def _form_of_dict(value: dict[Any, Any]) -> list[Any]:
    form: list[Any] = [MARK, "m"]
    if _ONLY_STR.issuperset(map(type, value)):
        for key in sorted(value):
            form += key, _form(value[key])
        return form
    pairs = [(_packed(_form(key)), _form(item)) for key, item in value.items()]
    for pair in sorted(pairs, key=itemgetter(0)):
        form += pair
    return form


def _form_of_set(tag: str) -> Callable[[Any], list[Any]]:
    return lambda value: [MARK, tag, *sorted(_packed(_form(item)) for item in value)]


def _form_of_object(value: object) -> list[Any]:
    refuse_unless(name_of(value) is not None, type(value), "its module and name do not lead back to it")
    return [MARK, "ob", identity_of(value)]


_FORMS: Final[dict[type, Callable[[Any], Any]]] = {
    list: lambda value: list(_forms(value)),
    tuple: lambda value: [MARK, "t", *_forms(value)],
    dict: _form_of_dict,
    set: _form_of_set("s"),
    frozenset: _form_of_set("fs"),
    FunctionType: _form_of_object,
    BuiltinFunctionType: _form_of_object,
    DefaultValue: lambda _: [MARK, "dv"],
}


def _form_of_other(value: Any, kind: type) -> list[Any]:
    if kind in TAKE:
        mark, tag, *parts = TAKE[kind](value)
        return [mark, tag, *_forms(parts)]
    if held_by(kind, "__cache_key__") is not None:
        return [MARK, "ck", identity_of(kind), _form(_own_key(value, kind))]
    if is_class(value):
        return _form_of_object(value)
    mark, tag, *parts = taken_apart(value)
    named = origin_of(kind) if tag.startswith("pg:") else kind  # a parametrised model has no name of its own
    return [mark, tag, identity_of(named), *_forms(parts)]


def is_opaque(kind: type) -> bool:
    """Whether no instance of *kind* can have a canonical form, whatever it holds."""
    if kind in _AS_THEY_ARE or kind in _FORMS or held_by(kind, "__cache_key__") is not None:
        return False
    return not (issubclass(kind, type) or can_be_taken_apart(kind))


def _own_key(value: Any, kind: type) -> Any:
    try:
        return value.__cache_key__()
    except Exception as error:
        raise UnencodableError(kind, f"__cache_key__() raised {describe(error)}") from error
