"""Tasks that wait for tasks that wait for tasks, at random, in few slots: all of them end, no slot is lost.

A task waits only for tasks that were added after it, so none waits for itself through others.
Everything random comes from one seed, which the test's id shows.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, QueueFullError, TaskStatus, TaskWorkerError, task
from async_task_worker.model.clock import Clock
from tests.properties.event_checker import EventChecker
from tests.properties.run_length import long_or_short
from tests.support.backends import BACKENDS, Backend

DEEPEST = 5
MOST = 150
SHARED = 3
"""How many tasks there are that are run once for all who want them at the same time."""

_storms: list[Storm] = []


@task("storm_step")
async def storm_step(number: int, depth: int) -> int:
    """Add tasks, wait for some of those that are younger than this one, and return the number."""
    storm = _storms[-1]
    for _ in range(storm.choices.randint(0, 3)):
        await storm.choices.choice([storm.add_below, storm.add_below, storm.wait, storm.pause])(number, depth)
    if storm.choices.random() < 0.1:
        raise ValueError(number)
    return number


@task("storm_leaf")
async def storm_leaf(key: int) -> int:
    """Take a while, and wait for no other task."""
    await asyncio.sleep(key)
    return key


class Storm:
    """One worker and everything that goes on in it."""

    def __init__(self, seed: int, backend: Backend, folder: Path) -> None:
        choices = self.choices = random.Random(seed)
        loop: Any = asyncio.get_running_loop()
        limit = choices.choice([None, None, 1, 3])
        self.worker = AsyncTaskWorker(
            choices.randint(1, 3),
            backend=backend.url(folder),
            max_queue_size=limit,
            on_full=choices.choice(["wait", "wait", "error"]),
            clock=Clock(loop.wall, loop.time),
        )
        self.count = 0
        self.waiting: Counter[int] = Counter()  # how often each task waits for others just now
        self.checker = EventChecker(self.worker, waiting=lambda: sum(times > 0 for times in self.waiting.values()))

    async def add(self, depth: int) -> None:
        """Add a task that adds more, or one that is shared with others."""
        number, self.count = self.count, self.count + 1
        options: dict[str, Any] = {"task_id": str(number), "priority": self.choices.randint(-1, 1)}
        options["timeout"] = self.choices.choice([None, None, None, 2])
        with suppress(QueueFullError):
            if depth < DEEPEST and number < MOST and self.choices.random() < 0.8:
                await self.worker.add_task(storm_step, number, depth, **options)
            else:
                await self.worker.add_task(storm_leaf, number % SHARED, use_cache=True, cache_ttl=0, **options)

    async def add_below(self, _number: int, depth: int) -> None:
        """Add a task from inside of one."""
        await self.add(depth + 1)

    async def pause(self, _number: int, _depth: int) -> None:
        """Do something else."""
        await asyncio.sleep(self.choices.choice([0, 0, 1]))

    async def wait(self, number: int, _depth: int) -> None:
        """Wait for some younger tasks, in one of many ways, and take no notice of how they end."""
        younger = [task_id for task_id in map(str, range(number + 1, self.count)) if self.worker.get_task_info(task_id)]
        if not younger:
            return
        ids = self.choices.sample(younger, min(len(younger), self.choices.randint(1, 4)))
        way = self.choices.choice([self.by_futures, self.by_worker, self.by_helper, self.for_a_while, self.for_one])
        with self.waits(number), suppress(ValueError, TimeoutError, TaskWorkerError):
            await way(ids)

    async def by_futures(self, ids: list[str]) -> None:
        await asyncio.gather(*self.worker.get_task_futures(ids), return_exceptions=True)

    async def by_worker(self, ids: list[str]) -> None:
        await self.worker.wait_for_tasks(ids, self.choices.choice([None, 1]))

    async def by_helper(self, ids: list[str]) -> None:
        await asyncio.create_task(self.by_futures(ids))

    async def for_a_while(self, ids: list[str]) -> None:
        await asyncio.wait_for(self.by_futures(ids), self.choices.choice([0, 1, 3]))

    async def for_one(self, ids: list[str]) -> None:
        await self.worker.wait_for_any_task(ids)

    @contextmanager
    def waits(self, number: int) -> Iterator[None]:
        """Note that this task waits."""
        self.waiting[number] += 1
        try:
            yield
        finally:
            self.waiting[number] -= 1

    async def run(self) -> None:
        """Add tasks and cancel some, until all have ended."""
        async with self.worker:
            for _ in range(self.choices.randint(3, 12)):
                await self.add(0)
                await asyncio.sleep(self.choices.choice([0, 0, 1]))
                if self.choices.random() < 0.3:
                    await self.worker.cancel_task(str(self.choices.randrange(self.count)))
            await self.worker.drain(timeout=10_000)
            self.checker.check()
            await self.check_slots()

    async def check_slots(self) -> None:
        """Raise AssertionError unless as many tasks run at once as there are slots."""
        ids = [await self.worker.add_task(storm_leaf, 5) for _ in range(self.worker.max_workers)]
        await asyncio.sleep(1)
        assert self.worker.counts()[TaskStatus.RUNNING] == self.worker.max_workers
        await self.worker.wait_for_tasks(ids)


@pytest.mark.parametrize(
    ("backend", "seed"),
    [
        (BACKENDS[0], 735),  # a spare slot was lost while the only task left waited for room because of it
        *((BACKENDS[0], seed) for seed in range(long_or_short(700, 40))),
        *((BACKENDS[1], seed) for seed in range(long_or_short(100, 6))),
    ],
    ids=lambda value: value.name if isinstance(value, Backend) else str(value),
)
async def test_nested_waits_end_whatever_waits_for_what(backend: Backend, seed: int, folder: Path) -> None:
    storm = Storm(seed, backend, folder)
    _storms[:] = [storm]
    await storm.run()
