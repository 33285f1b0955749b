"""The canonical form of a value: the same bytes for equal values of the same types, and for no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final

from .classes import held_by, is_class, name_of, token_of
from .exceptions import UnencodableError
from .typed import taken_apart
from .values import MARK, TAKE
from .wire import Packer, Timestamp

_AS_THEY_ARE: Final = frozenset({NoneType, bool, int, float, str, bytes, Timestamp})
_FUNCTIONS: Final = frozenset({FunctionType, BuiltinFunctionType})


def canonical_form(value: object) -> bytes:
    """Return the canonical form of *value*.

    Raises:
        UnencodableError: Some part of it has none, or it contains itself.
    """
    try:
        return _packed(_form(value))
    except _REFUSALS as error:
        raise _refusal(value, error) from None


def canonical_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """Return the canonical form of a call's arguments; the order of *kwargs* does not show.

    Raises:
        UnencodableError: One of them has none.
    """
    try:
        form: list[Any] = [list(_forms(args))]
        for name in sorted(kwargs):
            form += name, _form(kwargs[name])
        return _packed(form)
    except _REFUSALS as error:
        raise _refusal(args, error) from None


_REFUSALS: Final = (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError)


def _refusal(value: object, error: Exception) -> UnencodableError:
    nested = "it contains itself, or is nested too deep"
    return UnencodableError(type(value), nested if isinstance(error, RecursionError) else str(error))


def _packed(form: object) -> bytes:
    try:
        return Packer(default=_large_int, strict_types=True).pack(form)
    except UnicodeEncodeError:  # lone surrogates
        return Packer(default=_large_int, strict_types=True, unicode_errors="surrogatepass").pack(form)


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


_ONLY_STR: Final = frozenset({str})


def _form_of_set(tag: str) -> Callable[[Any], list[Any]]:
    return lambda value: [MARK, tag, *sorted(_packed(_form(item)) for item in value)]


_FORMS: Final[dict[type, Callable[[Any], Any]]] = {
    list: lambda value: list(_forms(value)),
    tuple: lambda value: [MARK, "t", *_forms(value)],
    dict: _form_of_dict,
    set: _form_of_set("s"),
    frozenset: _form_of_set("fs"),
}


def _form_of_other(value: object, kind: type) -> list[Any]:
    if kind not in TAKE:
        if held_by(kind, "__cache_key__") is not None:
            return [MARK, "ck", name_of(kind) or token_of(kind), _form(_own_key(value, kind))]
        if kind in _FUNCTIONS or is_class(value):
            return [MARK, "ob", _name_of_object(value)]
    mark, tag, *parts = taken_apart(value)
    return [mark, tag, *_forms(parts)]


def _own_key(value: Any, kind: type) -> object:
    try:
        key: object = value.__cache_key__()
    except Exception as error:  # the user's code may raise anything
        raise UnencodableError(kind, f"__cache_key__() raised {type(error).__name__}: {error}") from error
    return key


def _name_of_object(value: object) -> str:
    name = name_of(value)
    if name is None:
        raise UnencodableError(type(value), "its module and name do not lead back to it")
    return name
