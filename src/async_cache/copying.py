"""Copies of a value made without decoding it again.

Decoding makes each part of a value anew. What can never change needs no copy, though: only
the dicts, lists and sets around it do, and Python copies each of these in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from .codec.codec import is_constant

Copier = Callable[[], Any]
"""Makes a new copy of one value with each call."""

DEEPEST: Final = 8
"""Levels of containers a value with a copier has at most: each takes a call within the one around it."""


class _NoCopierError(Exception):
    """A part of the value has a type of its own, whose copies only decoding makes."""


def copier_of(value: object) -> Copier | None:
    """Return what makes copies of a dict, list or set, or None if it has parts only decoding can copy.

    The copies share what can never change, and nothing else, with *value*, which is nobody's
    but the copier's from now on.
    """
    try:
        return _copier(value, DEEPEST)
    except _NoCopierError:
        return None


def _copier(value: Any, levels: int) -> Copier | None:
    """Return the copier of *value*; None if it can be shared."""
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
    parts = [(place, copy) for place, item in items if (copy := _copier(item, levels - 1)) is not None]
    return partial(_copied, value, parts) if parts else value.copy


def _copied(container: Any, parts: list[tuple[Any, Copier]]) -> Any:
    """Return a copy of a dict or list in which the parts that can change are copies too."""
    copy = container.copy()
    for place, part in parts:
        copy[place] = part()
    return copy


def _require_constants(values: Iterable[object]) -> None:
    if not all(map(is_constant, values)):
        raise _NoCopierError
