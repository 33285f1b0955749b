"""Many callers, few keys, every kind of disturbance, in whichever order a seed says.

Whatever happens: nobody waits for ever, nothing of one key runs twice at a time, everybody has
a right result of his own, and in the end nothing is left of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from async_cache import MemoryCacheAdapter
from async_task_worker import AsyncTaskWorker, QueueFullError, TaskInfo, TaskQueue, TaskStatus, WorkerNotRunningError
from async_task_worker.model.clock import Clock
from tests.properties.event_checker import EventChecker
from tests.properties.run_length import long_or_short
from tests.support.adapters import TroubledCache, hang, lose_connection
from tests.support.shuffled_loop import run_shuffled

PROGRAMS = range(long_or_short(1000, 60))
KEYS = 5
FAILING = 1
CIRCLE = [2, 3, 4]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("async_task_worker", "async_cache")]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)


class Storm:
    """Some callers who all want the same few things of one worker."""

    def __init__(self, seed: int) -> None:
        choices = self.choices = random.Random(seed)
        loop: Any = asyncio.get_running_loop()
        self.storage: Any = choices.choice([MemoryCacheAdapter(choices.choice([0, 1, 100])), TroubledCache()])
        limit = choices.choice([None, None, 1, 2])
        self.worker = AsyncTaskWorker(
            choices.randint(1, 3),
            cache_enabled=True,
            cache_adapter=self.storage,
            max_queue_size=limit,
            on_full=choices.choice(["wait", "wait", "error"]),
            clock=Clock(loop.wall, loop.time),
        )
        self.waiting = 0  # tasks that wait for others
        self.checker = EventChecker(self.worker, waiting=lambda: self.waiting)
        self.ids: list[str] = []
        self.keys: dict[str, int] = {}
        self.running: Counter[int] = Counter()
        self.cancelled: list[tuple[TaskInfo | None, str, bool]] = []

    async def work(self, key: int, depth: int) -> list[int]:
        """Take a second or so; then return, fail, or first ask for the next key, in a circle, and wait for that."""
        self.running[key] += 1
        if key not in CIRCLE:
            assert self.running[key] == 1, f"two of {key} at a time"
        try:
            await asyncio.sleep(self.choices.choice([0, 0, 1, 2]))
            if key == FAILING:
                raise ValueError(key)
            if key in CIRCLE and depth < len(CIRCLE) + 1:
                await self.ask_for(CIRCLE[CIRCLE.index(key) - 1], depth + 1)
            return [key]
        finally:
            self.running[key] -= 1

    async def ask_for(self, key: int, depth: int) -> None:
        """Add a task and wait for it, but not for ever: it may do what a task does that waits for this one."""
        task_id = await self.add(key, depth)
        if task_id is not None:
            self.waiting += 1
            try:
                await asyncio.wait([self.worker.get_task_future(task_id)], timeout=5)
            finally:
                self.waiting -= 1

    async def add(self, key: int, depth: int = 0) -> str | None:
        task_id = f"task-{len(self.keys)}"
        self.keys[task_id] = key
        try:
            await self.worker.add_task(
                self.work,
                key,
                depth,
                task_id=task_id,
                priority=self.choices.randint(-1, 1),
                timeout=self.choices.choice([None, None, 1, 3]),
                cache_ttl=self.choices.choice([None, None, 1, 0]),
                cache_key_fn=lambda context: f"key {context['args'][0]}",
            )
        except (QueueFullError, WorkerNotRunningError):
            return None
        self.ids.append(task_id)
        return task_id

    async def caller(self) -> None:
        for _ in range(self.choices.randint(3, 15)):
            self.check_priorities()
            action = self.choices.choice([self.add_some] * 6 + [self.cancel] * 3 + [self.disturb, self.restart])
            await action()
            for _ in range(self.choices.randint(0, 2)):
                await asyncio.sleep(self.choices.choice([0, 0, 0, 1]))

    async def add_some(self) -> None:
        key = self.choices.randrange(KEYS)
        for _ in range(self.choices.randint(1, 4)):
            await self.add(key)

    async def cancel(self) -> None:
        if self.ids:
            task_id = self.choices.choice(self.ids)
            before = self.worker.get_task_info(task_id)
            self.cancelled.append((before, task_id, await self.worker.cancel_task(task_id)))

    async def disturb(self) -> None:
        if isinstance(self.storage, TroubledCache):
            self.storage.trouble = self.choices.choice([None, None, hang, lose_connection])
        elif self.choices.random() < 0.5:
            await self.worker.clear_cache()

    async def restart(self) -> None:
        if self.choices.random() < 0.3:
            await self.worker.stop(self.choices.choice([0, 1]))
            await self.worker.start()

    async def run(self) -> None:
        await self.worker.start()
        callers = [asyncio.create_task(self.caller(), name=f"caller {number}") for number in range(4)]
        await asyncio.wait(callers)
        for caller in callers:
            caller.result()
        await self.worker.start()
        await self.worker.drain(timeout=1000)
        self.check()
        await self.worker.stop()
        await self.worker.cache.aclose()

    def check_priorities(self) -> None:
        """Raise AssertionError unless who leads and is queued is as urgent as the best of those who wait for it."""
        context = getattr(self.worker._caching, "_context", None)
        for flight in () if context is None or context.flights is None else context.flights._flights.values():
            assert flight.leader is not None
            leader: Any = flight.leader.member
            if isinstance(leader.record.location, TaskQueue) and leader.record.status is TaskStatus.PENDING:
                followers: list[Any] = [membership.member for membership in flight.followers]
                assert leader.record.priority == min(
                    leader.own_priority, *(task.own_priority for task in followers), leader.own_priority
                )
                assert all(task.record.priority == task.own_priority for task in followers)

    def check(self) -> None:
        self.checker.check()
        infos = {info.id: info for info in self.worker.get_all_tasks()}
        assert set(infos) == set(self.ids)
        results = []
        for info in infos.values():
            key = self.keys[info.id]
            assert info.phase is None
            if info.status is TaskStatus.COMPLETED:
                assert info.result == [key]
                results.append(info.result)
            elif info.status is TaskStatus.FAILED and "timed out" not in str(info.error):
                assert info.error == str(key)
        assert len({id(result) for result in results}) == len(results)
        for before, task_id, answer in self.cancelled:
            after = infos.get(task_id)
            if after is not None and before is not None and not before.finished:
                assert answer is (after.status is TaskStatus.CANCELLED)
        context = self.worker._caching._context
        assert context.flights is not None
        assert len(context.flights) == 0
        assert all(info.started_at is None for info in infos.values() if info.from_cache and info.attempt == 0)


@pytest.mark.parametrize("seed", PROGRAMS)
def test_a_storm_of_the_same_ends_well(seed: int) -> None:
    async def storm() -> None:
        await Storm(seed).run()

    run_shuffled(storm, seed)


@pytest.mark.schedules(long_or_short(300, 20))
async def test_a_hundred_of_the_same_are_one_run_in_every_order() -> None:
    runs = 0

    async def work() -> list[int]:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return [1]

    async with AsyncTaskWorker(max_workers=3, cache_enabled=True) as worker:
        ids = await asyncio.gather(*(worker.add_task(work) for _ in range(100)))
        assert await worker.wait_for_tasks(ids) == [[1]] * 100
    assert runs == 1


@pytest.mark.schedules(long_or_short(300, 20))
async def test_a_leader_may_leave_at_any_moment() -> None:
    """Ten of the same, nine of them cancelled while the first ones run: the tenth has its result."""

    async def work() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return "done"

    async with AsyncTaskWorker(max_workers=2, cache_enabled=True) as worker:
        ids = [await worker.add_task(work) for _ in range(10)]
        await asyncio.gather(*(worker.cancel_task(task_id) for task_id in ids[:-1]))
        assert await worker.get_task_future(ids[-1]) == "done"


async def test_a_cache_of_a_thousand_leaves_a_thousand_mappings() -> None:
    """However many tasks went through it, and however many of them are still known."""
    count = long_or_short(1_000_000, 20_000)

    async def work(number: int) -> int:
        return number

    asyncio.get_running_loop().set_debug(False)
    async with AsyncTaskWorker(cache_enabled=True, cache_max_size=1000, max_history=2000) as worker:
        for number in range(count):
            await worker.add_task(work, number)
            if number % 1000 == 999:
                await worker.drain()
                assert len(worker.cache.task_key_map) <= 1000
        ids: Any = worker.cache.adapter.ids
        assert all(len(index) <= 1000 for index in (ids._keys, ids._ids, ids._by_alias))
        assert worker.cache.statistics().size == 1000
