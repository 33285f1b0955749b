"""The jobs the scenarios run."""

from __future__ import annotations

import asyncio
import gc
import time

from benchmarks.contenders.protocol import Adds, Job


async def noop() -> None:
    """Do nothing."""


async def sleep0() -> None:
    """Give way to the event loop once."""
    await asyncio.sleep(0)


class Gate:
    """A closed door: jobs behind it occupy all slots, so that whatever is added next stays pending."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._arrived = 0

    async def job(self) -> str:
        """Wait until the gate opens."""
        self._arrived += 1
        await self._open.wait()
        return "through"

    async def occupy(self, contender: Adds, slots: int) -> None:
        """Fill the slots and return when all of them wait at the gate."""
        for _ in range(slots):
            await contender.add(self.job)
        while self._arrived < slots:
            await asyncio.sleep(0)

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()


class Stopwatch:
    """A job that notes the CPU time at which it has run *count* times."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._stopped: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def job(self) -> None:
        """Count one run."""
        self._left -= 1
        if not self._left:
            self._stopped.set_result(time.process_time())

    async def stopped(self) -> float:
        """Wait for the last run counted and return its CPU time."""
        return await self._stopped


async def warmed_up(contender: Adds, count: int = 1_000) -> None:
    """Run some no-ops, so that imports, caches and specialisation are over."""
    watch = Stopwatch(count)
    job: Job = watch.job
    for _ in range(count):
        await contender.add(job)
    await watch.stopped()
    gc.collect()
