"""taskiq with its in-memory broker, which runs each message as a Task at once, without a limit.

The jobs of a burst count themselves; ``wait_all`` would walk over every Task once more.
Results are left out: waiting for one polls, by default every 200 ms.
"""

from __future__ import annotations

import logging
from typing import Any

from taskiq import InMemoryBroker

from benchmarks.contenders.countdown import Countdown
from benchmarks.contenders.protocol import Job


class Adapter:
    """One in-memory broker."""

    async def open(self, slots: int) -> None:
        logging.getLogger("taskiq").setLevel(logging.WARNING)
        self.broker = InMemoryBroker(max_async_tasks=slots)
        self._registered: dict[Job, Any] = {}
        await self.broker.startup()

    async def run(self, job: Job, count: int) -> None:
        countdown = Countdown(job, count)
        kiq = self._task(countdown.job).kiq
        for _ in range(count):
            await kiq()
        await countdown.finished

    async def run_with_timeout(self, job: Job, count: int, timeout: float) -> None:
        countdown = Countdown(job, count)
        task = self._task(countdown.job, timeout=timeout)
        for _ in range(count):
            await task.kiq()
        await countdown.finished

    async def add(self, job: Job) -> Any:
        task = self._registered.get(job)
        if task is None:
            task = self._registered[job] = self._task(job)
        return await task.kiq()

    def _task(self, job: Job, **labels: Any) -> Any:
        async def call() -> object:
            return await job()

        return self.broker.register_task(call, task_name=f"job-{id(call)}", **labels)
