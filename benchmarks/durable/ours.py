"""The worker of this repository on a SQLite file, by its public interface only.

Where nothing is to run, all slots are taken by tasks that wait for ever. That an end is in the
file cannot be awaited by itself; a search waits for it, since it answers from the file.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from async_task_worker import AsyncTaskWorker, register_task
from benchmarks.contenders.protocol import Job
from benchmarks.durable.protocol import POWER
from benchmarks.scenarios.jobs import noop

SLOTS = 10


class Adapter:
    """One durable ``AsyncTaskWorker``."""

    def register(self, name: str, job: Job) -> None:
        register_task(name, job)

    async def open(self, folder: Path, *, durability: str = POWER, **options: Any) -> None:
        register_task("noop", noop)
        self.worker = AsyncTaskWorker(max_workers=SLOTS, **self._place(folder, durability), **options)
        await self.worker.start()
        self.add = self.worker.add_task

    async def hold(self) -> None:
        waiting = asyncio.Semaphore(0)

        async def wait() -> None:
            waiting.release()
            await asyncio.Event().wait()

        register_task("held", wait)
        for _ in range(SLOTS):
            await self.worker.add_task(wait)
        for _ in range(SLOTS):
            await waiting.acquire()
        await self.written()

    async def enqueue(self) -> object:
        return await self.worker.add_task(noop)

    async def result(self, handle: str) -> object:
        return await self.worker.get_task_future(handle)

    async def written(self) -> None:
        await self.worker.search_tasks(limit=1)

    async def finished(self) -> None:
        await self.worker.drain()
        await self.written()

    async def close(self) -> None:
        await self.worker.stop(timeout=0)

    async def page(self, **query: Any) -> Any:
        return await self.worker.search_tasks(**query)

    def _place(self, folder: Path, durability: str) -> dict[str, str]:
        return {"backend": f"sqlite:///{folder / 'tasks.db'}?durability={durability}"}
