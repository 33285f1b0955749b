"""Measure how late the event loop is, for real time limits on a machine that is busy with other work."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

INTERVAL: Final = 0.005
"""Seconds between two looks at the time."""


class LoopLag:
    """Measures, while it is entered, by how much timers of the running loop come too late.

    Attributes:
        worst: The longest delay so far, in seconds.
    """

    def __init__(self) -> None:
        self.worst = 0.0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._wait()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._look()
        self._timer.cancel()

    @property
    def allowance(self) -> float:
        """Seconds that an operation of a few timers and turns may be late."""
        return 4 * self.worst

    def _wait(self) -> None:
        self._due = self._loop.time() + INTERVAL
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self.worst = max(self.worst, self._loop.time() - self._due)
        self._timer.cancel()
        self._wait()
