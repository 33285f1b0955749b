"""Copy a decoded value without decoding it again.

Decoding creates each part of a value. Immutable parts need no copy, only the dicts, lists
and sets that contain them, and Python copies each of these in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from .codec.codec import is_constant

Copier = Callable[[], Any]
"""Returns a new copy of one value at each call."""

MAX_DEPTH: Final = 8
"""Maximum levels of containers in a value with a copier: each level is a nested call."""


class _NoCopierError(Exception):
    """A part of the value can only be copied by decoding."""


def copier_of(value: object) -> Copier | None:
    """Return a copier for a dict, list or set, or None if it has parts that only decoding can copy.

    The copies share immutable parts with *value*, and nothing else. From now on only the
    copier may use *value*.
    """
    try:
        return _copier(value, MAX_DEPTH)
    except _NoCopierError:
        return None


def _copier(value: Any, levels: int) -> Copier | None:
    """Return the copier of *value*; None if it is immutable and can be shared."""
    kind = type(value)
    if levels and kind is dict:
        _require_constants(value)
        return _container(value, value.items(), levels)
    if levels and kind is list:
        return _container(value, enumerate(value), levels)
    if levels and (kind is tuple or kind is frozenset):
        if any(_copier(item, levels - 1) is not None for item in value):
            raise _NoCopierError
        return None
    if kind is set:
        _require_constants(value)
        copy: Copier = value.copy
        return copy
    _require_constants([value])
    return None


def _container(value: Any, items: Iterable[tuple[Any, Any]], levels: int) -> Copier:
    parts = [(index, copy) for index, item in items if (copy := _copier(item, levels - 1)) is not None]
    return partial(_copy_container, value, parts) if parts else value.copy


def _copy_container(container: Any, parts: list[tuple[Any, Copier]]) -> Any:
    """Return a copy of a dict or list whose mutable parts are copied too."""
    copy = container.copy()
    for index, part in parts:
        copy[index] = part()
    return copy


def _require_constants(values: Iterable[object]) -> None:
    if not all(map(is_constant, values)):
        raise _NoCopierError
