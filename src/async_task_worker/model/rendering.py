"""Render any Python value as strict JSON: what JSON cannot hold becomes a placeholder that names its type.

A placeholder is an object ``{"$type": "bytes", "$text": "12 bytes"}``. It never has the ``repr`` of a
user's object, which may be huge, raise, or contain a secret.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from .failure import class_name
from .secret_values import HIDDEN, is_secret

_MAX_DEPTH: Final = 64
_MAX_BITS: Final = 1024

TOO_LARGE: Final = "too large to be shown"
"""The beginning of the text of a placeholder for a value that is too large."""


class _TooLargeError(Exception):
    """The value takes more characters than the limit."""


class _Budget:
    """How many more characters a value may take, and the ids of the containers that are being rendered."""

    __slots__ = ("inside", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.inside: list[int] = []

    def take(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise _TooLargeError


def text(value: str) -> str:
    """Return the string with characters escaped that UTF-8 cannot encode."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def rfc3339(moment: datetime | None) -> str | None:
    """Return an aware datetime as text in UTC, None for None."""
    if moment is None:
        return None
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat()[:-6] + "Z"


def clipped(written: str, limit: int) -> str:
    """Return :func:`text` of the string, cut after *limit* characters."""
    return text(written if len(written) <= limit else written[:limit] + " …")


def placeholder(value: object, about: str | None = None) -> dict[str, str]:
    """Return the placeholder of a value that cannot be rendered."""
    name = class_name(type(value))
    return {"$type": text(name)} if about is None else {"$type": text(name), "$text": about}


def rendered(value: Any, limit: int) -> Any:
    """Return *value* as plain data that can be written as JSON, in about *limit* characters at most.

    Dataclasses, pydantic models and named tuples become objects; dates, UUIDs, decimals and paths
    become text; enum members become their value.
    """
    try:
        return _plain(value, _Budget(limit))
    except _TooLargeError:
        return placeholder(value, f"{TOO_LARGE}: over {limit} bytes")
    except Exception:  # noqa: BLE001 - a class without a hash, a dict that a thread changes, …
        return placeholder(value)


def _placeholder_within(value: object, budget: _Budget, about: str | None = None) -> dict[str, str]:
    """Return a placeholder within a container, and count its characters."""
    shown = placeholder(value, about)
    budget.take(20 + sum(map(len, shown.values())))
    return shown


def _plain(value: Any, budget: _Budget) -> Any:
    if value is None or value is True or value is False:
        budget.take(5)
        return value
    render = _RENDERERS.get(type(value))
    return render(value, budget) if render is not None else _plain_other(value, budget)


def _plain_str(value: str, budget: _Budget) -> Any:
    budget.take(len(value) + 2)
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return _placeholder_within(value, budget, text(value))
    return value


def _plain_int(value: int, budget: _Budget) -> Any:
    bits = value.bit_length()
    if bits > _MAX_BITS:
        return _placeholder_within(value, budget, f"{bits} bits")
    budget.take(2 + bits // 3)
    return value


def _plain_float(value: float, budget: _Budget) -> Any:
    budget.take(20)
    return value if isfinite(value) else _placeholder_within(value, budget, repr(value))


def _plain_bytes(value: bytes | bytearray, budget: _Budget) -> Any:
    return _placeholder_within(value, budget, f"{len(value)} bytes")


def _plain_list(value: Iterable[Any], budget: _Budget) -> Any:
    return _within(value, budget, lambda: [_plain(item, budget) for item in value])


def _plain_dict(value: dict[Any, Any], budget: _Budget) -> Any:
    return _within(value, budget, lambda: _plain_items(value, dict.items(value), budget))


def _plain_items(value: object, items: Iterable[tuple[Any, Any]], budget: _Budget) -> Any:
    shown: dict[str, Any] = {}
    for key, item in items:
        if type(key) is int and key.bit_length() <= _MAX_BITS:
            name: Any = str(key)
        else:
            name = _plain_str(key, budget) if type(key) is str else None
        if type(name) is not str or name in shown:
            return _placeholder_within(value, budget, "keys that are not text")
        budget.take(4)
        shown[name] = _plain(item, budget)
    return shown


def _within(value: object, budget: _Budget, render: Callable[[], Any]) -> Any:
    """Return the result of *render* for a container; a placeholder if the container contains itself."""
    budget.take(2)
    if id(value) in budget.inside:
        return _placeholder_within(value, budget, "contains itself")
    if len(budget.inside) == _MAX_DEPTH:
        return _placeholder_within(value, budget, f"over {_MAX_DEPTH} levels deep")
    budget.inside.append(id(value))
    try:
        return render()
    finally:
        budget.inside.pop()


def _plain_other(value: Any, budget: _Budget) -> Any:
    """Render a value of a less common type; a placeholder if its class raises."""
    try:
        simplified = _to_builtin(value)
    except BaseException:  # noqa: BLE001 - properties and methods of a user's class may raise anything
        return _placeholder_within(value, budget)
    if simplified is value:
        return _placeholder_within(value, budget)
    return _within(value, budget, lambda: _plain(simplified, budget))


def _to_builtin(value: Any) -> Any:
    """Return an equivalent value of a simpler type, or *value* itself if there is none."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _AS_TEXT):
        return value.isoformat() if isinstance(value, date | time) else str(value)
    if _is_model(value):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _plain_base(value)


def _is_model(value: Any) -> bool:
    main = sys.modules.get("pydantic.main")  # it is never imported here
    return main is not None and isinstance(value, main.BaseModel)


def _plain_base(value: Any) -> Any:
    """Return an instance of a subclass converted to its builtin base class, or *value* itself."""
    if is_secret(value):
        return HIDDEN
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", None)) is not None:
        return dict(zip(fields, value, strict=True))
    if isinstance(value, dict):
        return dict(dict.items(value))
    for base, plain in _PLAIN_BASES:
        if isinstance(value, base):
            return plain(value)
    return value


_PLAIN_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
_AS_TEXT: Final = (date, time, UUID, Decimal, PurePath)

_RENDERERS: Final[dict[type, Callable[[Any, _Budget], Any]]] = {
    str: _plain_str,
    int: _plain_int,
    float: _plain_float,
    list: _plain_list,
    tuple: _plain_list,
    dict: _plain_dict,
    bytes: _plain_bytes,
    bytearray: _plain_bytes,
}
