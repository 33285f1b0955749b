"""Numbers from outside, checked."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def checked_limit(name: str, limit: int | None) -> int | None:
    """Return a count of zero or more, or None for no limit, else raise TypeError or ValueError."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"{name} must be an int or None, not {limit!r}")
    if limit < 0:
        raise ValueError(f"{name} must not be negative, not {limit}")
    return limit


def checked_seconds(name: str, seconds: object) -> float:
    """Return a finite number of seconds, zero or more, else raise TypeError or ValueError."""
    number = checked_number(name, seconds)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be a finite number of seconds, zero or more, not {seconds!r}")
    return number


def checked_number(name: str, seconds: Any) -> float:
    """Return a number of seconds, infinity for one beyond all bounds, else raise TypeError or ValueError."""
    if not _is_number(seconds):
        raise TypeError(f"{name} must be a number of seconds, not {seconds!r}")
    try:
        number = float(seconds)
    except OverflowError:  # an int too large for a float
        return math.inf if seconds > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(f"{name} must be a number of seconds, not NaN")
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
