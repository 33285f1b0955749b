"""The normal form of a call: each argument at its parameter, defaults filled in.

``f("May")``, ``f(month="May")`` and ``f("May", currency="EUR")`` are one call of
``async def f(month, currency="EUR")`` and have one normal form: the parameters that can be
given by position are, in order; the others are given by name.

The parameters are read from the code that will run, not from ``__wrapped__`` or
``__signature__``: what a decorator says about itself need not be what it does. So the calls of
a decorator's ``(*args, **kwargs)`` stay as they were passed, and so do those of functions that
are not written in Python.
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
"""What is given by position, and what is given by name."""

Defaults = tuple[tuple[Any, ...] | None, dict[str, Any] | None]
"""A function's ``__defaults__`` and ``__kwdefaults__``."""

_CONSTANT: Final = frozenset(
    {NoneType, bool, int, float, complex, str, bytes, object, Decimal, UUID, date, datetime, timedelta}
)
"""Types of default values that never change and refer to nothing that would be kept alive."""

_NAMED: Final = frozenset({FunctionType, BuiltinFunctionType})
_PLACEHOLDER: Final = getattr(functools, "Placeholder", None)  # since Python 3.14
_UNLIMITED: Final = 2**31


class Layout:
    """The parameters of a function written in Python.

    Attributes:
        names: The parameters that can be given by position, in order.
        unnamed: How many of these cannot be given by name.
        by_name: The parameters that can be given by name only.
        skipped: The parameters that do not count.
        defaults: The function's default values, if none of them can change and to keep them here
            keeps nothing else alive; None otherwise.
    """

    __slots__ = ("_any", "_full", "_more", "_most", "_spare", "by_name", "defaults", "names", "skipped", "unnamed")

    def __init__(self, function: FunctionType, skip: frozenset[str], bound: bool) -> None:
        code = function.__code__
        count = code.co_argcount
        first = 1 if bound and count else 0
        self.names = code.co_varnames[first:count]
        self.unnamed = max(code.co_posonlyargcount - first, 0)
        self.by_name = code.co_varnames[count : count + code.co_kwonlyargcount]
        self._more = bool(code.co_flags & CO_VARARGS)
        self._any = bool(code.co_flags & CO_VARKEYWORDS)
        named = self.names[self.unnamed :] + self.by_name
        self.skipped = skip.difference(self.names[: self.unnamed]) if self._any else skip.intersection(named)
        # Most functions: a call by position alone needs its last default values, but for a skipped one, at most.
        self._spare = 1 if self.skipped.intersection(self.names[-1:]) else 0
        simple = self.skipped.issuperset(self.by_name) and not self.skipped.intersection(self.names[:-1])
        self._full = len(self.names) - self._spare if simple else _UNLIMITED
        self._most = _UNLIMITED if self._more and not self._spare else self._full
        positional, by_name = defaults_of(function)
        lasting = name_of(function) is not None  # as its module, whatever its default values refer to
        steady = all(_is_steady(value, lasting) for value in (*(positional or ()), *(by_name or {}).values()))
        self.defaults: Defaults | None = (positional, by_name) if steady else None

    def normal_form(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], defaults: Defaults) -> Arguments:
        """Return the normal form of a call; raise LookupError if the function cannot be called like this."""
        names, (positional, by_name) = self.names, defaults
        if not kwargs:
            filled = args
            if positional and len(args) < self._full:
                filled += positional[len(args) - len(names) : -self._spare or None]
            if self._full <= len(filled) <= self._most:
                return filled, kwargs
        rest = dict(kwargs)
        if (len(args) > len(names) and not self._more) or not rest.keys().isdisjoint(names[self.unnamed : len(args)]):
            raise LookupError
        values = [*args, *(self._taken(index, rest, positional or ()) for index in range(len(args), len(names)))]
        for name in self.by_name:
            if name not in rest and name not in self.skipped:
                rest[name] = (by_name or {})[name]
        if not self._any and not rest.keys() <= {*self.by_name}:
            raise LookupError
        return self._without_skipped(values, rest)

    def marked(self, arguments: Arguments, defaults: Defaults) -> Arguments:
        """Return a normal form with a mark for each default value in it that has no canonical form."""
        values, rest = [*arguments[0]], dict(arguments[1])
        kept = [name for name in self.names if name not in self.skipped]
        positional = dict(zip(reversed(self.names), reversed(defaults[0] or ()), strict=False))
        for name, default in {**positional, **(defaults[1] or {})}.items():
            if name in kept and values[kept.index(name)] is default and not _has_form(default):
                values[kept.index(name)] = DEFAULT_VALUE
            elif name in self.by_name and rest.get(name) is default and not _has_form(default):
                rest[name] = DEFAULT_VALUE
        return tuple(values), rest

    def _taken(self, index: int, rest: dict[str, Any], defaults: tuple[Any, ...]) -> Any:
        """Return the argument of a parameter that is not given by position."""
        name = self.names[index]
        if index >= self.unnamed and name in rest:
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
    """Return the default values that the function has at this moment."""
    by_name = function.__kwdefaults__
    return function.__defaults__, None if by_name is None else {**by_name}


def _is_steady(value: object, lasting: bool) -> bool:
    """Whether what a default value stands for never changes, and it may be kept as long as its function."""
    kind = type(value)
    if kind is tuple:
        return all(_is_steady(item, lasting) for item in value)  # type: ignore[attr-defined]
    return kind in _CONSTANT or (lasting and (kind in _NAMED or issubclass(kind, Enum | type) or is_opaque(kind)))


def _has_form(value: object) -> bool:
    try:
        canonical_form(value)
    except UnencodableError:
        return False
    return True


class Call(NamedTuple):
    """A call of a function whose parameters are known."""

    layout: Layout
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    defaults: Defaults


class Binder:
    """Finds the parameters of functions.

    Args:
        skip: Names of parameters that do not count, whatever is given for them.
    """

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self._skip = skip
        self._layouts: dict[tuple[int, bool], Layout] = {}  # by the id() of functions that live

    def layout_of(self, function: FunctionType, bound: bool = False) -> Layout:
        """Return the parameters of *function*, without the first if it is *bound*, worked out once."""
        number = id(function), bound
        layout = self._layouts.get(number)
        if layout is None:
            layout = self._layouts[number] = Layout(function, self._skip, bound)
            finalize(function, self._layouts.pop, number, None).atexit = False
        return layout

    def call_of(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        """Return the call that *func* makes in the end, or None if its parameters cannot be told."""
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
