"""Numbers from outside, checked: counts, seconds, and how long an entry lives."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Final

FOR_EVER: Final = math.inf
"""The lifetime of an entry that never expires."""

LONGEST: Final = 1e11
"""Seconds (over three thousand years) past which an entry counts as living for ever."""


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
    number = _checked_number(name, seconds)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} must be a finite number of seconds, zero or more, not {seconds!r}")
    return number


def lifetime(ttl: object) -> float:
    """Return for how many seconds an entry stored now may be read: one rule for every adapter.

    Args:
        ttl: Seconds, whole or not. None and infinity stand for no expiry.

    Returns:
        Seconds; :data:`FOR_EVER` for no expiry; 0.0 for an entry that is not to be stored,
        which is what zero and negative numbers ask for.

    Raises:
        TypeError: *ttl* is no number.
        ValueError: *ttl* is NaN.
    """
    if ttl is None:
        return FOR_EVER
    if (type(ttl) is int or type(ttl) is float) and 0 < ttl < LONGEST:  # the usual case, at a fifth of the time
        return ttl
    seconds = _checked_number("ttl", ttl)
    return FOR_EVER if seconds > LONGEST else max(seconds, 0.0)


def checked_ttl(ttl: float | None) -> float | None:
    """Return *ttl* as it is if :func:`lifetime` takes it, else raise as that does."""
    lifetime(ttl)
    return ttl


def _checked_number(name: str, seconds: Any) -> float:
    if isinstance(seconds, bool) or not _is_real(seconds):
        raise TypeError(f"{name} must be a number of seconds, not {seconds!r}")
    try:
        number = float(seconds)
    except OverflowError:  # an int too large for a float
        return math.inf if seconds > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(f"{name} must be a number of seconds, not NaN")
    return number


def _is_real(value: object) -> bool:
    return isinstance(value, Real)
