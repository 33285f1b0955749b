"""Values that hide what they hold: pydantic's ``SecretStr``, ``SecretBytes`` and ``Secret``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from datetime import date, time
from enum import Enum
from typing import Any, Final

HIDDEN: Final = "**********"
"""What is shown in place of a secret."""

_MAX_DEPTH: Final = 64
_NAMES: Final = ("SecretStr", "SecretBytes", "Secret")


def is_secret(value: object) -> bool:
    """Return whether the value is one of pydantic's secrets. Never imports pydantic."""
    types = sys.modules.get("pydantic.types")
    return types is not None and isinstance(value, tuple(getattr(types, name) for name in _NAMES))


def secret_texts(value: object) -> frozenset[str]:
    """Return the texts of the secrets in a value, at any depth of containers, models and dataclasses."""
    found, _ = bounded_secret_texts(value, sys.maxsize)
    return found or frozenset()


def bounded_secret_texts(value: object, most: int) -> tuple[frozenset[str] | None, int]:
    """Return the texts of the secrets in a value, and how many more parts may be read after that.

    Args:
        value: The value to search.
        most: How many parts of it may be read. If it has more, the texts are None: they are not all known.
    """
    search = _Search(most)
    if type(value) not in PLAIN:
        try:
            search.look(value, 0)
        except _TooManyError:
            return None, most // 2
    return frozenset(filter(None, search.found)), search.left - 1


class _TooManyError(Exception):
    """The value has more parts than may be read."""


class _Search:
    """A search for secrets in a value.

    Args:
        most: How many parts may be read.
    """

    def __init__(self, most: int) -> None:
        self.left = most
        self.found: list[str] = []

    def look(self, value: Any, level: int) -> None:
        """Add the texts of the secrets in a value."""
        if type(value) in PLAIN or level > _MAX_DEPTH:
            return
        if _is_readable_secret(value):
            self.found += _texts(value.get_secret_value())
            return
        parts = _readable_parts(value, self.left)
        self.left -= len(parts)
        for part in parts:
            self.look(part, level + 1)


def _is_readable_secret(value: Any) -> bool:
    try:
        return is_secret(value)
    except Exception:  # noqa: BLE001 - isinstance() reads ``__class__``, a property of which may raise
        return False


def _readable_parts(value: Any, most: int) -> list[Any]:
    """Return the parts of a value; an empty list if its class raises when it is asked for them."""
    try:
        many = len(value) > most if issubclass(type(value), _CONTAINERS) else False
        parts = [] if many else _parts(value)
    except Exception:  # noqa: BLE001 - properties and methods of a user's class may raise anything
        return []
    if many or len(parts) > most:
        raise _TooManyError
    return parts


_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""Types whose values neither are nor contain secrets."""


def _texts(held: Any) -> Iterator[str]:
    """Return the text forms of what a secret holds: those of its parts, too, if it has parts."""
    if isinstance(held, bytes):
        yield held.decode("utf-8", "backslashreplace")
        return
    if isinstance(held, Enum):
        held = held.value
    for part in _parts(held):
        yield from _texts(part)
    if held is not None and not isinstance(held, (bool, *_CONTAINERS)):
        yield str(held)
    if isinstance(held, date | time):
        yield held.isoformat()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    main = sys.modules.get("pydantic.main")
    if main is not None and isinstance(value, main.BaseModel):
        return [*value.__dict__.values(), *(value.__pydantic_extra__ or {}).values()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return []
