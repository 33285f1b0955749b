"""The worker of this repository, by its public interface only.

The end of a burst is ``drain()``, which waits until nothing is pending or running.
"""

from __future__ import annotations

from typing import Any

from async_task_worker import AsyncTaskWorker, TaskStatus
from benchmarks.contenders.protocol import Job


class Adapter:
    """One ``AsyncTaskWorker`` in memory."""

    statuses = tuple(TaskStatus)

    async def open(self, slots: int, **options: Any) -> None:
        self.worker = AsyncTaskWorker(max_workers=slots, **options)
        await self.worker.start()
        self.add = self.worker.add_task
        self.cancel = self.worker.cancel_task

    async def run(self, job: Job, count: int) -> None:
        add = self.worker.add_task
        for _ in range(count):
            await add(job)
        await self.worker.drain()

    async def run_with_timeout(self, job: Job, count: int, timeout: float) -> None:
        add = self.worker.add_task
        for _ in range(count):
            await add(job, timeout=timeout)
        await self.worker.drain()

    async def result(self, handle: str) -> object:
        return await self.worker.get_task_future(handle)

    async def add_reporting(self, job: Job) -> None:
        await self.worker.add_task(job)

    async def newest(self, limit: int, status: TaskStatus | None = None) -> list[Any]:
        return self.worker.get_all_tasks(limit=limit, status=status)
