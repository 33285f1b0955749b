"""Warnings that tell a story without filling the log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final

MAX_TOPICS: Final = 100
"""How many things to warn about; beyond that there is something wrong with the topics."""


class Complaints:
    """Warns about the same thing once, or once in a while.

    Args:
        logger: Where the warnings go.
        interval: Seconds between two warnings about the same thing.
        clock: Tells monotonic time in seconds.
    """

    def __init__(
        self, logger: logging.Logger, interval: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._next: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def about(self, topic: str, message: str, *details: object) -> None:
        """Warn about *topic* if it is time to, and say how often it recurred since the last warning."""
        now = self._clock()
        if now < self._next.get(topic, now):
            self._unsaid[topic] = self._unsaid.get(topic, 0) + 1
        elif topic in self._next or len(self._next) < MAX_TOPICS:
            self._next[topic] = now + self._interval
            self._logger.warning(message, *details)
            if again := self._unsaid.pop(topic, 0):
                self._logger.warning("cache: that happened %d more times since the last warning about it", again)
