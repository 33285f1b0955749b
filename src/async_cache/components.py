"""Key functions made of parts: extractors, named components, and what joins them.

A part is the text of a string or an int. A ``:`` or ``%`` in it is escaped (``%3A``,
``%25``), so that parts cannot run into each other: ("a", "b:c") and ("a:b", "c") make
different keys. Other values, and missing ones, get a mark with a bare ``%`` that no text
can look like: ``%bool=True``, ``%missing``, for what has no text of its own a digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import update_wrapper
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from .canonical import canonical_form

KeyFunction = Callable[[dict[str, Any]], Any]

_MISSING: Final = object()
_MARKED: Final = frozenset({bool, float, Decimal, UUID, date})  # a datetime's text does not tell its zone


def compose_key_functions(*functions: KeyFunction) -> Callable[[dict[str, Any]], str]:
    """Return a key function that joins the parts of *functions* with ``:``, in this order.

    A named component contributes its name and its value. What one of them raises, the
    composed function raises.

    Raises:
        TypeError: A function is not callable.
        ValueError: There is none.
    """
    if not functions:
        raise ValueError("a key needs at least one component")
    for function in functions:
        _require_callable(function)
    return _Composed(functions)


def extract_key_component(path: str) -> Callable[[dict[str, Any]], str]:
    """Return a key function that reads one value out of the context.

    Args:
        path: Where it is, such as ``"func_name"``, ``"kwargs.user.id"``, ``"args.0"`` or
            ``"metadata.tenant"``: keys of dicts, indices, and attributes of objects.
            A missing value has a part of its own, unlike any value's.

    Raises:
        ValueError: *path* has an empty step.
    """
    if not isinstance(path, str):
        raise TypeError(f'a path is a str such as "kwargs.user_id", not {path!r}')
    steps = path.split(".")
    if not all(steps):
        raise ValueError(f"{path!r} has an empty step")
    return _Extracted(steps)


def key_component(name: str | None = None) -> Callable[[KeyFunction], KeyFunction]:
    """Return a decorator that gives a key function a name to appear in composed keys.

    Args:
        name: The name; left out, it is the function's own.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError('@key_component takes a name: write @key_component("user") or @key_component()')
    return lambda function: _Named(function, name)


def escaped(text: str) -> str:
    """Return *text* so that it can stand between colons and be told from any other."""
    return text.replace("%", "%25").replace(":", "%3A")


class _Composed:
    def __init__(self, functions: Sequence[KeyFunction]) -> None:
        self._functions = tuple(functions)

    def __call__(self, context: dict[str, Any]) -> str:
        return ":".join([_part(function, context) for function in self._functions])


class _Extracted:
    def __init__(self, steps: Sequence[str]) -> None:
        self._steps = tuple(steps)

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the value's text as it is, for a key of this one component."""
        value = self.find(context)
        text = _text(value)
        return _part_of(value) if text is None or text.startswith("%") else text

    def find(self, context: dict[str, Any]) -> Any:
        value: Any = context
        for step in self._steps:
            value = _step_into(value, step)
        return value


class _Named:
    def __init__(self, function: KeyFunction, name: str | None) -> None:
        _require_callable(function)
        update_wrapper(self, function)
        self.function = function
        self.component_name = name or str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, context: dict[str, Any]) -> Any:
        return self.function(context)


def _require_callable(function: object) -> None:
    if not callable(function):
        raise TypeError(f"a key function is called with the context, {function!r} cannot be")


def _part(function: KeyFunction, context: dict[str, Any]) -> str:
    if isinstance(function, _Composed):
        return function(context)
    if isinstance(function, _Named):
        return f"{escaped(function.component_name)}:{_part(function.function, context)}"
    return _part_of(function.find(context) if isinstance(function, _Extracted) else function(context))


def _part_of(value: object) -> str:
    if (text := _text(value)) is not None:
        return escaped(text)
    if value is _MISSING:
        return "%missing"
    kind = type(value)
    if kind in _MARKED:
        return f"%{kind.__name__}={escaped(str(value))}"
    return "%=" + blake2b(canonical_form(value), digest_size=16).hexdigest()


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member its value, not its name
    return str(value) if type(value) is int else None


def _step_into(value: Any, step: str) -> Any:
    if value is _MISSING:
        return _MISSING
    if _is_mapping(value):
        return _entry(value, step)
    return _item(value, int(step)) if _is_index(step) else getattr(value, step, _MISSING)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _entry(mapping: Mapping[Any, Any], step: str) -> Any:
    return mapping.get(int(step) if _is_index(step) and step not in mapping else step, _MISSING)


def _is_index(step: str) -> bool:
    return step.removeprefix("-").isdecimal()


def _item(value: Any, index: int) -> Any:
    try:
        return value[index]
    except (IndexError, KeyError, TypeError):
        return _MISSING
