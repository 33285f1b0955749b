"""Periodic background work: one asyncio Task with one owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .background import spawn

logger = logging.getLogger(__name__)


class Sweeper:
    """Calls *sweep* every *interval* seconds between :meth:`start` and :meth:`stop`.

    Args:
        sweep: The work. An error it raises is logged, and the next round takes place as usual.
        interval: Seconds between the end of one round and the next; 0 for no rounds.
    """

    def __init__(self, sweep: Callable[[], Awaitable[None]], interval: float) -> None:
        self._sweep = sweep
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def interval(self) -> float:
        """Seconds between two rounds; 0 for none. A change takes effect at once."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._changed.set()

    def start(self) -> None:
        """Start on the running loop. Does nothing if it runs already or the interval is 0."""
        running = self._task is not None and not self._task.done() and not self._task.get_loop().is_closed()
        if self._interval > 0 and not running:
            self._changed = asyncio.Event()
            self._task = spawn(self._run(), "async_cache cleanup")

    async def stop(self) -> None:
        """Stop, and wait until the Task has ended. Does nothing if it is not running."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._interval or None):
                    await self._changed.wait()
                self._changed.clear()
            except TimeoutError:
                await self._run_once()

    async def _run_once(self) -> None:
        try:
            await self._sweep()
        except Exception:
            logger.exception("sweeping the cache failed")
