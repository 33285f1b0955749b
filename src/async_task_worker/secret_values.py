"""Values that hide what they hold: pydantic's ``SecretStr``, ``SecretBytes`` and ``Secret``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any, Final

HIDDEN: Final = "**********"
"""What is shown in place of a secret."""

_MOST_LEVELS: Final = 64
_NAMES: Final = ("SecretStr", "SecretBytes", "Secret")


def is_secret(value: object) -> bool:
    """Whether the value is one of pydantic's secrets. Pydantic itself is never imported here."""
    types = sys.modules.get("pydantic.types")
    return types is not None and isinstance(value, tuple(getattr(types, name) for name in _NAMES))


def secret_texts(value: object) -> frozenset[str]:
    """Return what the secrets in a value hold, at any depth of containers, models and dataclasses."""
    if "pydantic.types" not in sys.modules:
        return frozenset()
    return frozenset(found for found in _found(value, 0) if found)


def _found(value: Any, level: int) -> Iterator[str]:
    if type(value) in _PLAIN or level > _MOST_LEVELS:
        return
    if is_secret(value):
        yield from _texts(value.get_secret_value())
        return
    for part in _parts(value):
        yield from _found(part, level + 1)


_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})


def _texts(held: Any) -> Iterator[str]:
    """Return the text forms of what a secret holds."""
    if isinstance(held, bytes):
        yield held.decode("utf-8", "backslashreplace")
    elif isinstance(held, dict | list | tuple | set | frozenset):
        for part in _parts(held):
            yield from _texts(part)
    elif held is not None and not isinstance(held, bool):
        yield str(held)


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
