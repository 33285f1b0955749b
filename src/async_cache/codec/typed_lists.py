"""The list form of a typed value: a marker, the tag of its type, and its parts.

Plain data never contains the marker. Parts may be typed values themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from msgpack import ExtType  # type: ignore[import-untyped]

from .exceptions import UnencodableError

MARK_CODE: Final = 42
MARK: Final = ExtType(MARK_CODE, b"")
"""First item of the list of a typed value."""

HEAD_LENGTH: Final = 2
"""Items in front of the parts: the marker and the tag."""

Encoder = Callable[[Any], list[Any]]
"""Returns the list form of a value; raises UnencodableError if decoding would not return an equal value."""
Decoder = Callable[[list[Any]], Any]
"""Returns the value of a list form; may raise any exception for a list that no encoder returned."""

T = TypeVar("T")

TYPING_ATTRIBUTES: Final = frozenset({"__orig_class__"})
"""Attributes that ``typing`` sets on an instance created through an alias, as ``Page[int](...)``.

They are not encoded: the instance equals one that was created without the alias.
"""


def require_type(kind: type[T], part: object) -> T:
    """Return *part* if its type is exactly *kind*, else raise TypeError.

    Constructors call ``__index__``, ``__fspath__`` and similar methods of their arguments;
    a payload must not be able to choose whose.
    """
    if type(part) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(part).__name__}")
    return part


def require(condition: object, kind: type, detail: str) -> None:
    """Raise UnencodableError for a value of type *kind* unless *condition* is true."""
    if not condition:
        raise UnencodableError(kind, detail)
