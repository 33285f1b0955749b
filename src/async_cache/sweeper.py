"""Something done over and over in the background, by one task with one owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class Sweeper:
    """Calls *sweep* every *interval* seconds between :meth:`start` and :meth:`stop`.

    Args:
        sweep: What to do. What it raises is logged, and the next round comes all the same.
        interval: Seconds between the end of one round and the next; 0 for no rounds.
    """

    def __init__(self, sweep: Callable[[], Awaitable[None]], interval: float) -> None:
        self._sweep = sweep
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: asyncio.Future[None] | None = None

    @property
    def interval(self) -> float:
        """Seconds between two rounds; 0 for none. A change counts from the moment it is made."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        if self._due is not None and not self._due.done():
            self._set_timer(self._due)

    @property
    def is_running(self) -> bool:
        """Whether rounds are under way on a loop that is still open."""
        return self._task is not None and not self._task.done() and not self._task.get_loop().is_closed()

    def start(self) -> None:
        """Begin, on the running loop, unless it is done already or there is nothing to do."""
        if self._interval > 0 and not self.is_running:
            self._task = asyncio.get_running_loop().create_task(self._rounds(), name="async_cache cleanup")

    async def stop(self) -> None:
        """End, and wait for that. Doing it twice, or without a start, does nothing."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.wait([task])

    async def _rounds(self) -> None:
        while True:
            await self._interval_over()
            try:
                await self._sweep()
            except Exception:
                logger.exception("sweeping the cache failed")

    async def _interval_over(self) -> None:
        self._due = asyncio.get_running_loop().create_future()
        self._set_timer(self._due)
        try:
            await self._due
        finally:
            self._stop_timer()

    def _set_timer(self, due: asyncio.Future[None]) -> None:
        self._stop_timer()
        if self._interval > 0:
            self._timer = due.get_loop().call_later(self._interval, due.set_result, None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
