"""Strict JSON parsing: no NaN, no infinity, no lone surrogate, and a limited depth."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from pydantic_core import from_json

from ..problems import Problem


def parse_json(data: bytes | bytearray, max_depth: int) -> Any:
    """Return the JSON value in *data*.

    Raises:
        Problem: It is not JSON, is nested deeper than *max_depth*, or has a number too large for a float.
    """
    try:
        value = from_json(bytes(data), allow_inf_nan=False)
    except ValueError as error:
        raise Problem("invalid_json", str(error)) from None
    if data.count(b"[") + data.count(b"{") > max_depth:
        _check_depth(value, max_depth)
    if b"e" in data or b"E" in data or len(data) > _MAX_SAFE_LENGTH:
        _check_finite(value)
    return value


_MAX_SAFE_LENGTH = 300
"""Bytes up to which only a number with an exponent can be too large for a float."""


def _check_depth(value: Any, max_depth: int) -> None:
    level = [value]
    for _ in range(max_depth + 1):
        level = [item for container in level for item in _children(container)]
        if not level:
            return
    raise Problem("invalid_json", f"the body is over {max_depth} levels deep")


def _check_finite(value: Any) -> None:
    level = [value]
    while level:
        if not all(isfinite(item) for item in level if type(item) is float):
            raise Problem("invalid_json", "a number in the body is too large")
        level = [item for container in level for item in _children(container)]


def _children(value: Any) -> Iterator[Any]:
    if type(value) is dict:
        return iter(value.values())
    return iter(value) if type(value) is list else iter(())
