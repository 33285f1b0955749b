"""Key functions made of parts: composed keys and their components.

A composed key is made of extractors, named components, and what joins them. A part is
the text of a string or an int. A ``:`` or ``%`` in it is escape (``%3A``, ``%25``), so
that parts cannot run into each other: ("a", "b:c") and ("a:b", "c") make different keys.
Other values, and missing ones, get a mark with a bare ``%`` that no text can look like:
``%bool=True``, ``%missing``, ``%call=`` for a default key, for what has no text of its own a digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import reduce, update_wrapper
from typing import Any, Final
from uuid import UUID

from .codec.canonical import canonical_form
from .keys import Context, KeyFunction, digest_of, escape

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
    return _Composed([_callable(function) for function in functions])


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
    return lambda function: _Named(_callable(function), name)


def _callable(function: KeyFunction) -> KeyFunction:
    if not callable(function):
        raise TypeError(f"a key function is called with the context, {function!r} cannot be")
    return function


class _Composed:
    def __init__(self, functions: Sequence[KeyFunction]) -> None:
        self._functions = functions

    def __call__(self, context: dict[str, Any]) -> str:
        return ":".join([_part(function, context) for function in self._functions])


class _Extracted:
    def __init__(self, steps: Sequence[str]) -> None:
        self._steps = steps

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the value's text as it is, for a key of this one component."""
        value = self.find(context)
        text = _text(value)
        return _part_of(value) if text is None or text.startswith("%") else text

    def find(self, context: dict[str, Any]) -> Any:
        return reduce(_step_into, self._steps, context)


class _Default:
    """Makes the key a call has without a key function, see :data:`default_key`."""

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the default key of the call, to the letter."""
        if not isinstance(context, Context):
            raise TypeError("default_key needs the context a key function is called with itself, not a copy of it")
        return context.default_key()


default_key: Final[KeyFunction] = _Default()
"""Component that stands for the whole call: its function and all its arguments.

It is the key that a call has without a key function. Compose it with what the results are
to be kept apart by::

    compose_key_functions(extract_key_component("metadata.tenant"), default_key)

A call that has no default key goes uncached with it, too. It takes the context that a key
function is called with, not a copy.
"""


class _Named:
    def __init__(self, function: KeyFunction, name: str | None) -> None:
        update_wrapper(self, function)
        self.function = function
        self.component_name = name or str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, context: dict[str, Any]) -> Any:
        return self.function(context)


def _part(function: KeyFunction, context: dict[str, Any]) -> str:
    if isinstance(function, _Composed):
        return function(context)
    if isinstance(function, _Named):
        return f"{escape(function.component_name)}:{_part(function.function, context)}"
    if isinstance(function, _Default):
        return "%call=" + escape(function(context))
    return _part_of(function.find(context) if isinstance(function, _Extracted) else function(context))


def _part_of(value: object) -> str:
    if (text := _text(value)) is not None:
        return escape(text)
    if value is _MISSING:
        return "%missing"
    if type(value) in _MARKED:
        return f"%{type(value).__name__}={escape(str(value))}"
    return "%=" + digest_of(canonical_form(value))


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member its value, not its name
    return str(value) if type(value) is int else None


def _step_into(value: Any, step: str) -> Any:
    is_index = step.removeprefix("-").isdecimal()
    if isinstance(value, Mapping):
        return value.get(int(step) if is_index and step not in value else step, _MISSING)
    if not is_index:
        return getattr(value, step, _MISSING)
    try:
        return value[int(step)]
    except (LookupError, TypeError):
        return _MISSING
