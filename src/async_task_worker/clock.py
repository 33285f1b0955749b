"""Where time comes from. Facts are wall-clock times; durations are monotonic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """A source of time. Hand another one to the worker to let a test own the hours.

    Attributes:
        wall: Seconds since the epoch; may be set forwards or back at any moment.
        monotonic: Seconds since any fixed point; never goes back.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()
