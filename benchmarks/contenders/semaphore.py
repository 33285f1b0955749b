"""``create_task`` and a ``Semaphore``: what one writes without a library.

Every job is a Task from the start and waits for the semaphore inside. The end of a burst
is ``asyncio.wait`` over its Tasks.
"""

from __future__ import annotations

import asyncio

from benchmarks.contenders.protocol import Job


class Adapter:
    """A semaphore and a set of Tasks, held strongly as the documentation of asyncio advises."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def open(self, slots: int) -> None:
        self._semaphore = asyncio.Semaphore(slots)

    async def run(self, job: Job, count: int) -> None:
        tasks = [asyncio.create_task(self._limited(job)) for _ in range(count)]
        await asyncio.wait(tasks)

    async def run_with_timeout(self, job: Job, count: int, timeout: float) -> None:
        async def limited_in_time() -> object:
            async with asyncio.timeout(timeout):
                return await job()

        await self.run(limited_in_time, count)

    async def add(self, job: Job) -> asyncio.Task[object]:
        task = asyncio.create_task(self._limited(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def result(self, handle: asyncio.Task[object]) -> object:
        return await asyncio.shield(handle)

    async def cancel(self, handle: asyncio.Task[object]) -> bool:
        return handle.cancel()

    async def _limited(self, job: Job) -> object:
        async with self._semaphore:
            return await job()
