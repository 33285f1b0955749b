"""Key functions composed of components.

Each component contributes one part of the key, and the parts are joined by colons. The part
of a str or int is its text, in which ``:`` and ``%`` are escaped (``%3A``, ``%25``), so that
("a", "b:c") and ("a:b", "c") have different keys. All other values, and missing ones, have a
part that starts with a marker, which no text can look like: ``%bool=True``, ``%missing``,
``%call=`` for a default key, and ``%=`` for the digest of a value without a text of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import reduce, update_wrapper
from typing import Any, Final
from uuid import UUID

from .codec.canonical import canonical_form
from .keys import CallContext, KeyFunction, digest_of, escape

_MISSING: Final = object()
# Without datetime, because its text does not name the zone.
_TYPES_WITH_TEXT: Final = frozenset({bool, float, Decimal, UUID, date})


def compose_key_functions(*functions: KeyFunction) -> Callable[[dict[str, Any]], str]:
    """Return a key function that joins the parts of *functions* with ``:``, in this order.

    A named component contributes its name and its value. An error raised by a component is
    raised by the composed function.

    Raises:
        TypeError: A function is not callable.
        ValueError: *functions* is empty.
    """
    if not functions:
        raise ValueError("a key needs at least one component")
    return _ComposedKey([_require_callable(function) for function in functions])


def extract_key_component(path: str) -> Callable[[dict[str, Any]], str]:
    """Return a key function that returns one value of the context.

    Args:
        path: Path of the value, such as ``"func_name"``, ``"kwargs.user.id"``, ``"args.0"`` or
            ``"metadata.tenant"``: keys of dicts, indices, and attributes of objects.
            The part of a missing value differs from that of any value.

    Raises:
        ValueError: *path* has an empty step.
    """
    if not isinstance(path, str):
        raise TypeError(f'a path is a str such as "kwargs.user_id", not {path!r}')
    steps = path.split(".")
    if not all(steps):
        raise ValueError(f"{path!r} has an empty step")
    return _ExtractedComponent(steps)


def key_component(name: str | None = None) -> Callable[[KeyFunction], KeyFunction]:
    """Return a decorator that gives a key function a name, which becomes part of composed keys.

    Args:
        name: The name; by default the name of the function.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError('@key_component takes a name: write @key_component("user") or @key_component()')
    return lambda function: _NamedComponent(_require_callable(function), name)


def _require_callable(function: KeyFunction) -> KeyFunction:
    if not callable(function):
        raise TypeError(f"a key function is called with the context, {function!r} cannot be")
    return function


class _ComposedKey:
    def __init__(self, functions: Sequence[KeyFunction]) -> None:
        self._functions = functions

    def __call__(self, context: dict[str, Any]) -> str:
        return ":".join([_part(function, context) for function in self._functions])


class _ExtractedComponent:
    def __init__(self, steps: Sequence[str]) -> None:
        self._steps = steps

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the text of the value without escapes, for a key of this component only."""
        value = self.find(context)
        text = _text(value)
        return _part_of(value) if text is None or text.startswith("%") else text

    def find(self, context: dict[str, Any]) -> Any:
        return reduce(_get_item, self._steps, context)


class _DefaultKey:
    """Returns the key that a call has without a key function, see :data:`default_key`."""

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the default key of the call without escapes."""
        if not isinstance(context, CallContext):
            raise TypeError("default_key needs the context a key function is called with itself, not a copy of it")
        return context.default_key()


default_key: Final[KeyFunction] = _DefaultKey()
"""Component that represents the whole call: its function and all its arguments.

It is the key that a call has without a key function. Compose it with the values that results
additionally depend on::

    compose_key_functions(extract_key_component("metadata.tenant"), default_key)

A call that has no default key is not cached with this component either. It requires the
context that the key function was called with, not a copy.
"""


class _NamedComponent:
    def __init__(self, function: KeyFunction, name: str | None) -> None:
        update_wrapper(self, function)
        self.function = function
        self.component_name = name or str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, context: dict[str, Any]) -> Any:
        return self.function(context)


def _part(function: KeyFunction, context: dict[str, Any]) -> str:
    if isinstance(function, _ComposedKey):
        return function(context)
    if isinstance(function, _NamedComponent):
        return f"{escape(function.component_name)}:{_part(function.function, context)}"
    if isinstance(function, _DefaultKey):
        return "%call=" + escape(function(context))
    return _part_of(function.find(context) if isinstance(function, _ExtractedComponent) else function(context))


def _part_of(value: object) -> str:
    if (text := _text(value)) is not None:
        return escape(text)
    if value is _MISSING:
        return "%missing"
    if type(value) in _TYPES_WITH_TEXT:
        return f"%{type(value).__name__}={escape(str(value))}"
    return "%=" + digest_of(canonical_form(value))


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)  # for a member of a str enum its value, not its name
    return str(value) if type(value) is int else None


def _get_item(value: Any, step: str) -> Any:
    is_index = step.removeprefix("-").isdecimal()
    if isinstance(value, Mapping):
        return value.get(int(step) if is_index and step not in value else step, _MISSING)
    if not is_index:
        return getattr(value, step, _MISSING)
    try:
        return value[int(step)]
    except (LookupError, TypeError):
        return _MISSING
