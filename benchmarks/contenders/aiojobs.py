"""aiojobs: a scheduler with a limit and a queue; no ids, no status, no priorities.

Its queue of pending jobs is made unlimited, so that adding never waits. The jobs of a
burst count themselves: ``wait_and_close`` gathers a waiter for each and would end the scheduler.
"""

from __future__ import annotations

import aiojobs

from benchmarks.contenders.countdown import Countdown
from benchmarks.contenders.protocol import Job


class Adapter:
    """One ``aiojobs.Scheduler``."""

    async def open(self, slots: int) -> None:
        self.scheduler = aiojobs.Scheduler(limit=slots, pending_limit=0)

    async def run(self, job: Job, count: int) -> None:
        spawn, countdown = self.scheduler.spawn, Countdown(job, count)
        for _ in range(count):
            await spawn(countdown.job())
        await countdown.finished

    async def add(self, job: Job) -> aiojobs.Job[object]:
        return await self.scheduler.spawn(job())

    async def result(self, handle: aiojobs.Job[object]) -> object:
        return await handle.wait()

    async def cancel(self, handle: aiojobs.Job[object]) -> None:
        await handle.close()
