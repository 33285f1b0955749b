"""Validation of numbers: counts, seconds and times to live."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Final

NO_EXPIRY: Final = math.inf
"""The lifetime of an entry that never expires."""

MAX_SECONDS: Final = 1e11
"""Seconds (over three thousand years) beyond which an entry never expires."""


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
    """Return the seconds for which an entry stored now may be read; all adapters use this rule.

    Args:
        ttl: Seconds, fractions allowed. None and infinity mean no expiry.

    Returns:
        Seconds; :data:`NO_EXPIRY` for no expiry; 0.0 (for zero and negative numbers) if the
        entry is not to be stored.

    Raises:
        TypeError: *ttl* is not a number.
        ValueError: *ttl* is NaN.
    """
    if ttl is None:
        return NO_EXPIRY
    if (type(ttl) is int or type(ttl) is float) and 0 < ttl < MAX_SECONDS:  # the usual case, in a fifth of the time
        return ttl
    seconds = _checked_number("ttl", ttl)
    return NO_EXPIRY if seconds > MAX_SECONDS else max(seconds, 0.0)


def checked_ttl(ttl: float | None) -> float | None:
    """Return *ttl* unchanged; raise the errors of :func:`lifetime` if it is invalid."""
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
