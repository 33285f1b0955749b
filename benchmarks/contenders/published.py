"""The published package of this name, by its documented interface (its getters are coroutines).

It has no call that waits for everything. The cheapest way to know the end of a burst is
to let the jobs count themselves; ``wait_for_tasks`` makes a future for each and costs more.
"""

from __future__ import annotations

from typing import Any

from async_task_worker import AsyncTaskWorker, TaskStatus
from benchmarks.contenders.countdown import Countdown
from benchmarks.contenders.protocol import Job


class Adapter:
    """One published ``AsyncTaskWorker``."""

    statuses = tuple(TaskStatus)

    async def open(self, slots: int, **options: Any) -> None:
        self.worker = AsyncTaskWorker(max_workers=slots, **options)
        await self.worker.start()
        self.add = self.worker.add_task
        self.cancel = self.worker.cancel_task

    async def run(self, job: Job, count: int) -> None:
        add, countdown = self.worker.add_task, Countdown(job, count)
        for _ in range(count):
            await add(countdown.job)
        await countdown.finished

    async def run_with_timeout(self, job: Job, count: int, timeout: float) -> None:
        add, countdown = self.worker.add_task, Countdown(job, count)
        for _ in range(count):
            await add(countdown.job, timeout=int(timeout))
        await countdown.finished

    async def result(self, handle: str) -> object:
        return await (await self.worker.get_task_future(handle))

    async def add_reporting(self, job: Job) -> None:
        await self.worker.add_task(job)

    async def newest(self, limit: int, status: TaskStatus | None = None) -> list[Any]:
        return await self.worker.get_all_tasks(limit=limit, status=status)
