"""Reading JSON as the standard has it: no NaN, no infinity, no half of a surrogate pair, and not too deep."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from pydantic_core import from_json

from ..problems import Problem


def loaded(data: bytes | bytearray, most_levels: int) -> Any:
    """Return the value written in *data*.

    Raises:
        Problem: It is not JSON, a number in it is too large to be held, or it is too deep.
    """
    try:
        value = from_json(bytes(data), allow_inf_nan=False)
    except ValueError as error:
        raise Problem("invalid_json", str(error)) from None
    if data.count(b"[") + data.count(b"{") > most_levels:
        _check_depth(value, most_levels)
    if b"e" in data or b"E" in data or len(data) > _SHORTEST_OVERFLOW:
        _check_finite(value)
    return value


_SHORTEST_OVERFLOW = 300
"""Bytes below which only a number with an exponent can be more than a float holds."""


def _check_depth(value: Any, most_levels: int) -> None:
    level = [value]
    for _ in range(most_levels + 1):
        level = [item for container in level for item in _items(container)]
        if not level:
            return
    raise Problem("invalid_json", f"the body is over {most_levels} levels deep")


def _check_finite(value: Any) -> None:
    level = [value]
    while level:
        if not all(isfinite(item) for item in level if type(item) is float):
            raise Problem("invalid_json", "a number in the body is too large")
        level = [item for container in level for item in _items(container)]


def _items(value: Any) -> Iterator[Any]:
    if type(value) is dict:
        return iter(value.values())
    return iter(value) if type(value) is list else iter(())
