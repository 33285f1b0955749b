"""How long an entry lives: one rule for every adapter."""

from __future__ import annotations

import math
from typing import Final

from .limits import checked_number

FOR_EVER: Final = math.inf
"""The lifetime of an entry that never expires."""

LONGEST: Final = 1e11
"""Seconds (over three thousand years) past which an entry counts as living for ever."""


def lifetime(ttl: object) -> float:
    """Return for how many seconds an entry stored now may be read.

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
    seconds = checked_number("ttl", ttl)
    return FOR_EVER if seconds > LONGEST else max(seconds, 0.0)


def checked_ttl(ttl: float | None) -> float | None:
    """Return *ttl* as it is if :func:`lifetime` takes it, else raise as that does."""
    lifetime(ttl)
    return ttl
