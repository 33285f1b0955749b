"""The normal form of a call: arguments bound to parameters, defaults filled in.

``f("May")``, ``f(month="May")`` and ``f("May", currency="EUR")`` are equivalent calls of
``async def f(month, currency="EUR")`` and have the same normal form: all parameters that can
be passed by position are, in order; the others are passed by name.

The parameters are read from the code that will run, not from ``__wrapped__`` or
``__signature__``, because a decorator may act differently from what these describe. So calls
of a decorator's ``(*args, **kwargs)`` remain as they were passed, and so do calls of
functions that are not written in Python.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, Final, NamedTuple
from uuid import UUID
from weakref import finalize

from .codec.canonical import DEFAULT_VALUE, canonical_form, is_opaque
from .codec.qualified_names import class_attribute, name_of
from .exceptions import UnencodableError

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Positional arguments and keyword arguments."""

Defaults = tuple[tuple[Any, ...] | None, dict[str, Any] | None]
"""A function's ``__defaults__`` and ``__kwdefaults__``."""

_CONSTANT_TYPES: Final = frozenset(
    {NoneType, bool, int, float, complex, str, bytes, object, Decimal, UUID, date, datetime, timedelta}
)
"""Types of default values that are immutable and refer to no object that would be kept alive."""

_FUNCTION_TYPES: Final = frozenset({FunctionType, BuiltinFunctionType})
_PLACEHOLDER: Final = getattr(functools, "Placeholder", None)  # since Python 3.14
_UNLIMITED: Final = 2**31


class Layout:
    """The parameters of a function written in Python.

    Attributes:
        names: The parameters that can be passed by position, in order.
        positional_only_count: How many of these are positional-only.
        keyword_only: The keyword-only parameters.
        skipped: The parameters that are ignored.
        defaults: The function's default values, if all are immutable and keeping a reference to
            them keeps nothing else alive; None otherwise.
    """

    __slots__ = (
        "_has_varargs",
        "_has_varkw",
        "_max_plain",
        "_plain_length",
        "_skipped_last",
        "defaults",
        "keyword_only",
        "names",
        "positional_only_count",
        "skipped",
    )

    def __init__(self, function: FunctionType, skip: frozenset[str], bound: bool) -> None:
        code = function.__code__
        count = code.co_argcount
        first = 1 if bound and count else 0
        self.names = code.co_varnames[first:count]
        self.positional_only_count = max(code.co_posonlyargcount - first, 0)
        self.keyword_only = code.co_varnames[count : count + code.co_kwonlyargcount]
        self._has_varargs = bool(code.co_flags & CO_VARARGS)
        self._has_varkw = bool(code.co_flags & CO_VARKEYWORDS)
        named = self.names[self.positional_only_count :] + self.keyword_only
        positional_only = self.names[: self.positional_only_count]
        self.skipped = skip.difference(positional_only) if self._has_varkw else skip.intersection(named)
        # Fast path for most functions: a positional call needs at most the last defaults, except one skipped parameter.
        self._skipped_last = 1 if self.skipped.intersection(self.names[-1:]) else 0
        simple = self.skipped.issuperset(self.keyword_only) and not self.skipped.intersection(self.names[:-1])
        self._plain_length = len(self.names) - self._skipped_last if simple else _UNLIMITED
        self._max_plain = _UNLIMITED if self._has_varargs and not self._skipped_last else self._plain_length
        positional, kwdefaults = defaults_of(function)
        # A module keeps a function with a qualified name alive, and so whatever its defaults refer to.
        is_permanent = name_of(function) is not None
        values = (*(positional or ()), *(kwdefaults or {}).values())
        is_steady = all(_is_steady(value, is_permanent) for value in values)
        self.defaults: Defaults | None = (positional, kwdefaults) if is_steady else None

    def normal_form(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], defaults: Defaults) -> Arguments:
        """Return the normal form of a call; raise LookupError if the arguments do not match the parameters."""
        names, (positional, kwdefaults) = self.names, defaults
        if not kwargs:
            filled = args
            if positional and len(args) < self._plain_length:
                filled += positional[len(args) - len(names) : -self._skipped_last or None]
            if self._plain_length <= len(filled) <= self._max_plain:
                return filled, kwargs
        rest = dict(kwargs)
        if (len(args) > len(names) and not self._has_varargs) or not rest.keys().isdisjoint(
            names[self.positional_only_count : len(args)]
        ):
            raise LookupError
        values = [
            *args,
            *(self._take_argument(index, rest, positional or ()) for index in range(len(args), len(names))),
        ]
        for name in self.keyword_only:
            if name not in rest and name not in self.skipped:
                rest[name] = (kwdefaults or {})[name]
        if not self._has_varkw and not rest.keys() <= {*self.keyword_only}:
            raise LookupError
        return self._without_skipped(values, rest)

    def with_markers(self, arguments: Arguments, defaults: Defaults) -> Arguments:
        """Return a normal form in which each default value without a canonical form is replaced by a marker."""
        values, rest = [*arguments[0]], dict(arguments[1])
        kept = [name for name in self.names if name not in self.skipped]
        positional = dict(zip(reversed(self.names), reversed(defaults[0] or ()), strict=False))
        for name, default in {**positional, **(defaults[1] or {})}.items():
            if name in kept and values[kept.index(name)] is default and not _has_form(default):
                values[kept.index(name)] = DEFAULT_VALUE
            elif name in self.keyword_only and rest.get(name) is default and not _has_form(default):
                rest[name] = DEFAULT_VALUE
        return tuple(values), rest

    def _take_argument(self, index: int, rest: dict[str, Any], defaults: tuple[Any, ...]) -> Any:
        """Return the argument of a parameter that is not passed by position."""
        name = self.names[index]
        if index >= self.positional_only_count and name in rest:
            return rest.pop(name)
        return None if name in self.skipped else defaults[index - len(self.names)]

    def _without_skipped(self, values: list[Any], rest: dict[str, Any]) -> Arguments:
        for name in self.skipped:
            if name in self.names:
                del values[self.names.index(name)]
            else:
                rest.pop(name, None)
        return tuple(values), rest


def defaults_of(function: FunctionType) -> Defaults:
    """Return the current default values of a function."""
    kwdefaults = function.__kwdefaults__
    return function.__defaults__, None if kwdefaults is None else {**kwdefaults}


def _is_steady(value: object, is_permanent: bool) -> bool:
    """Return whether a default value is immutable and may be kept as long as its function."""
    kind = type(value)
    if kind is tuple:
        return all(_is_steady(item, is_permanent) for item in value)  # type: ignore[attr-defined]
    return kind in _CONSTANT_TYPES or (
        is_permanent and (kind in _FUNCTION_TYPES or issubclass(kind, Enum | type) or is_opaque(kind))
    )


def _has_form(value: object) -> bool:
    try:
        canonical_form(value)
    except UnencodableError:
        return False
    return True


class Call(NamedTuple):
    """A call of a function, with the layout of its parameters."""

    layout: Layout
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    defaults: Defaults


class Binder:
    """Finds and caches the parameters of functions.

    Args:
        skip: Names of parameters to ignore.
    """

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self._skip = skip
        self._layouts: dict[tuple[int, bool], Layout] = {}  # by the id() of functions that have not been collected

    def layout_of(self, function: FunctionType, bound: bool = False) -> Layout:
        """Return the parameters of *function*, without the first if it is *bound*. They are computed once."""
        number = id(function), bound
        layout = self._layouts.get(number)
        if layout is None:
            layout = self._layouts[number] = Layout(function, self._skip, bound)
            finalize(function, self._layouts.pop, number, None).atexit = False
        return layout

    def call_of(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        """Return the call that *func* finally makes, or None if its parameters are unknown."""
        while type(func) is partial:
            if _PLACEHOLDER is not None and any(arg is _PLACEHOLDER for arg in func.args):
                return None
            args, kwargs, func = func.args + args, {**func.keywords, **kwargs}, func.func
        bound = type(func) is not FunctionType
        if bound:
            func = func.__func__ if type(func) is MethodType else class_attribute(type(func), "__call__")
            if type(func) is not FunctionType:
                return None
        return Call(self.layout_of(func, bound), args, kwargs, defaults_of(func))
