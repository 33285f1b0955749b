"""Clock: the source of wall-clock time for timestamps, and of monotonic time for durations."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf, nextafter
from typing import Final, NamedTuple


class Clock(NamedTuple):
    """A source of time. A test gives the worker another one to control time.

    Attributes:
        wall: Seconds since the epoch; the clock may be set forwards or back at any time.
        monotonic: Seconds since any fixed point; never goes back.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()

_FINE_RESOLUTION: Final = 1e-6
"""Seconds below which a resolution is fine enough to order tasks: adding one takes longer."""


def strictly_increasing(monotonic: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that never returns the same time twice; the same one if its resolution is fine enough."""
    if monotonic is time.monotonic and time.get_clock_info("monotonic").resolution < _FINE_RESOLUTION:
        return monotonic
    last = -inf

    def next_time() -> float:
        nonlocal last
        last = max(monotonic(), nextafter(last, inf))
        return last

    return next_time
