"""The canonical form of a value: bytes that are equal for equal values of the same types, and only for these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final, cast

from msgpack import Packer, Timestamp  # type: ignore[import-untyped]

from .exceptions import UnencodableError, describe
from .generics import origin_of
from .qualified_names import class_attribute, identity_of, is_class, name_of
from .registry import is_encodable, to_parts
from .stdlib_types import STDLIB_ENCODERS
from .typed_lists import MARK, require


class DefaultValue:
    """Type of :data:`DEFAULT_VALUE`."""


DEFAULT_VALUE: Final = DefaultValue()
"""Represents the default value of a parameter if that value has no canonical form."""

_PLAIN: Final = frozenset({NoneType, bool, int, float, str, bytes, Timestamp})
_ONLY_STR: Final = frozenset({str})


def canonical_form(value: object) -> bytes:
    """Return the canonical form of *value*; raise UnencodableError if a part has none, or *value* contains itself."""
    try:
        return _pack(_form(value))
    except Exception as error:  # noqa: BLE001 - methods of the user's classes may raise anything
        raise _as_unencodable(value, error) from _cause(error)


def canonical_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """Return the canonical form of a call's arguments; raise UnencodableError if one has none.

    The order of *kwargs* does not matter.
    """
    try:
        form: list[Any] = [[*_forms(args)]]
        if kwargs:
            for name in sorted(kwargs):
                form += name, _form(kwargs[name])
        return _pack(form)
    except Exception as error:  # noqa: BLE001 - methods of the user's classes may raise anything
        raise _as_unencodable((args, kwargs), error) from _cause(error)


_cause: Final = BaseException.__dict__["__cause__"].__get__


def _as_unencodable(value: object, error: Exception) -> UnencodableError:
    if issubclass(type(error), UnencodableError):  # not isinstance(), which reads __class__ of the error
        return cast("UnencodableError", error)
    if issubclass(type(error), RecursionError):
        return UnencodableError(type(value), "it contains itself, or is nested too deep")
    return UnencodableError(type(value), describe(error))


def _pack(form: object) -> bytes:
    try:
        packer = _packer_pool.pop()  # no other thread uses it until it is returned
    except IndexError:
        packer = Packer(default=_large_int, strict_types=True)
    try:
        data: bytes = packer.pack(form)
    except UnicodeEncodeError:  # lone surrogates
        data = Packer(default=_large_int, strict_types=True, unicode_errors="surrogatepass").pack(form)
    if len(data) < MAX_POOLED_BYTES:
        _packer_pool.append(packer)
    return data


MAX_POOLED_BYTES: Final = 2**18
"""A packer is not reused after encoding this many bytes, because its buffer grows and never shrinks."""

_packer_pool: Final[list[Packer]] = []
"""Packers not in use. Creating one takes as long as packing the arguments of a call."""


def _large_int(value: int) -> list[Any]:
    return [MARK, "i", f"{value:x}"]


def _form(value: object) -> Any:
    """Return plain data as it is, with sorted dicts, and everything else in list form."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    form_of = _FORMS.get(kind)
    return form_of(value) if form_of else _form_of_other(value, kind)


def _forms(values: Collection[Any]) -> Iterable[Any]:
    return values if _PLAIN.issuperset(map(type, values)) else [_form(value) for value in values]


def _form_of_dict(value: dict[Any, Any]) -> list[Any]:
    form: list[Any] = [MARK, "m"]
    if _ONLY_STR.issuperset(map(type, value)):
        for key in sorted(value):
            form += key, _form(value[key])
        return form
    pairs = [(_pack(_form(key)), _form(item)) for key, item in value.items()]
    for pair in sorted(pairs, key=itemgetter(0)):
        form += pair
    return form


def _form_of_set(tag: str) -> Callable[[Any], list[Any]]:
    return lambda value: [MARK, tag, *sorted(_pack(_form(item)) for item in value)]


def _form_of_object(value: object) -> list[Any]:
    require(name_of(value) is not None, type(value), "its module and name do not lead back to it")
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
    if kind in STDLIB_ENCODERS:
        mark, tag, *parts = STDLIB_ENCODERS[kind](value)
        return [mark, tag, *_forms(parts)]
    if class_attribute(kind, "__cache_key__") is not None:
        return [MARK, "ck", identity_of(kind), _form(_own_key(value, kind))]
    if is_class(value):
        return _form_of_object(value)
    mark, tag, *parts = to_parts(value)
    named = origin_of(kind) if tag.startswith("pg:") else kind  # a parametrised model has no qualified name
    return [mark, tag, identity_of(named), *_forms(parts)]


def is_opaque(kind: type) -> bool:
    """Return whether no instance of *kind* can have a canonical form, whatever it contains."""
    if kind in _PLAIN or kind in _FORMS or class_attribute(kind, "__cache_key__") is not None:
        return False
    return not (issubclass(kind, type) or is_encodable(kind))


def _own_key(value: Any, kind: type) -> Any:
    try:
        return value.__cache_key__()
    except Exception as error:
        raise UnencodableError(kind, f"__cache_key__() raised {describe(error)}") from error
