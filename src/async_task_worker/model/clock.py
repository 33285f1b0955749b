"""Where time comes from. Facts are wall-clock times; durations are monotonic."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf, nextafter
from typing import Final, NamedTuple


class Clock(NamedTuple):
    """A source of time. Hand another one to the worker to let a test own the hours.

    Attributes:
        wall: Seconds since the epoch; may be set forwards or back at any moment.
        monotonic: Seconds since any fixed point; never goes back.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()

_FINE: Final = 1e-6
"""Seconds in which nobody reads the clock twice to any purpose: less than it takes to add a task."""


def strictly_increasing(monotonic: Callable[[], float]) -> Callable[[], float]:
    """Return a clock like this one that never tells the same time twice; itself, if it is as fine as that."""
    if monotonic is time.monotonic and time.get_clock_info("monotonic").resolution < _FINE:
        return monotonic
    last = -inf

    def later() -> float:
        nonlocal last
        last = max(monotonic(), nextafter(last, inf))
        return last

    return later
