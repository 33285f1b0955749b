"""Ten thousand tasks that do everything a task may do wrong, and a worker that is stopped in the middle of them.

Everything random comes from one seed, which the test's id shows; the same seed brings the same storm.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    DuplicateTaskError,
    TaskEvent,
    TaskStatus,
    WorkerNotRunningError,
)
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TRANSITIONS
from tests.conftest import MakeWorker
from tests.properties.run_length import long_or_short
from tests.support.backends import Backend
from tests.support.tasks import (
    cancel_itself,
    clean_up_for,
    echo,
    fail_in_group,
    fail_on_cancel,
    fail_with,
    open_all_gates,
    sleep_for,
    stubborn,
    swallow_cancel,
    take_turns,
)
from tests.support.virtual_time import run_virtual
from tests.support.waiting import running, settled

SIZE = 10_000
SLOTS = 25
GATE = "end of the storm"

CALLS: list[tuple[Any, ...]] = [
    (echo, "calm"),
    (take_turns, 3),
    (sleep_for, 0.4),
    (sleep_for, 90),
    (fail_with, "wrong"),
    (fail_with, "later", "ValueError", 0.1),
    (fail_with, "", "SystemExit"),
    (fail_with, "odd", "OddError", 0.2),
    (fail_with, "", "GeneratorExit"),
    (cancel_itself,),
    (swallow_cancel, 60, "swallowed"),
    (fail_on_cancel, 60, "in the way out"),
    (clean_up_for, 60, 0.3),
    (clean_up_for, 60, 5),
    (fail_in_group, "in a group"),
    (stubborn, GATE),
]


class Storm:
    """A worker in bad weather, and what everybody saw of it."""

    def __init__(self, worker: AsyncTaskWorker, seed: int) -> None:
        self.worker = worker
        self.random = random.Random(seed)
        self.seen: dict[str, list[TaskStatus]] = {}
        self.futures: list[asyncio.Future[Any]] = []
        self.answers: dict[str, bool] = {}
        self.cancellers: list[asyncio.Task[None]] = []
        worker.events.listen(self.watch)

    def watch(self, event: TaskEvent) -> None:
        if event.type != "task.progress":
            self.seen.setdefault(event.task.id, []).append(event.task.status)

    async def rage(self, size: int) -> None:
        for number in range(size):
            await self.add(number)
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.choice((0, 0, 0, 0.05, 0.5)))
            if self.random.random() < 4 / size:
                await self.stop_and_start()

    async def add(self, number: int) -> None:
        func, *args = self.random.choice(CALLS)
        timeout = self.random.choice((None, None, 0.2, 2.0))
        if func in (stubborn, swallow_cancel) and timeout is None:
            timeout = 1.0  # somebody has to tell it to stop
        try:
            task_id = await self.worker.submit(
                func, args, task_id=f"{number}", priority=self.random.randint(-3, 3), timeout=timeout
            )
        except WorkerNotRunningError:
            return
        self.futures.append(self.worker.get_task_future(task_id))
        if self.random.random() < 0.3:
            self.cancellers.append(asyncio.create_task(self.cancel(task_id)))
        if self.random.random() < 0.05:
            with pytest.raises(DuplicateTaskError):
                await self.worker.add_task(echo, "twice", task_id=task_id)

    async def cancel(self, task_id: str) -> None:
        for _ in range(self.random.randint(0, 4)):
            await asyncio.sleep(0)
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.uniform(0, 2))
        self.answers[task_id] = await self.worker.cancel_task(task_id)

    async def stop_and_start(self) -> None:
        stop = asyncio.create_task(self.worker.stop(timeout=self.random.choice((0, 0.3, 3))))
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.choice((0, 0.1)))
        await self.worker.start()
        await stop
        await self.worker.start()  # the stop may have begun after the first of these

    async def calm_down(self) -> None:
        await self.worker.drain()
        await asyncio.gather(*self.cancellers)
        open_all_gates()
        while self.worker.abandoned_tasks:
            await asyncio.sleep(1)
        await settled()


def assert_no_state_moved_after_its_end(storm: Storm) -> None:
    for task_id, statuses in storm.seen.items():
        steps = list(pairwise(statuses))
        assert all(after in TRANSITIONS[before] for before, after in steps), (task_id, statuses)
        assert not TRANSITIONS[statuses[-1]], (task_id, statuses)


def assert_answers_were_true(storm: Storm) -> None:
    for task_id, answer in storm.answers.items():
        if answer:
            assert storm.seen[task_id][-1] is TaskStatus.CANCELLED, task_id


async def assert_all_slots_alive(worker: AsyncTaskWorker) -> None:
    waiting = [await worker.add_task(sleep_for, 1) for _ in range(SLOTS)]
    await running(worker, *waiting)
    await worker.wait_for_tasks(waiting, timeout=1.5)


@pytest.mark.parametrize("seed", range(long_or_short(20, 1)))
@pytest.mark.timeout(300)
async def test_a_storm_leaves_every_slot_alive_and_every_future_resolved(make_worker: MakeWorker, seed: int) -> None:
    asyncio.get_running_loop().set_debug(False)  # it takes a stack trace per task
    worker = await make_worker(max_workers=SLOTS, max_history=None)
    storm = Storm(worker, seed)
    await storm.rage(SIZE)
    await storm.calm_down()

    assert all(future.done() for future in storm.futures)
    assert_no_state_moved_after_its_end(storm)
    assert_answers_were_true(storm)
    await assert_all_slots_alive(worker)
    ends = Counter(statuses[-1] for statuses in storm.seen.values())
    assert ends.total() == len(worker.get_all_tasks()) == SIZE + SLOTS
    assert set(ends) == {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}


def records_alive() -> int:
    gc.collect()
    return sum(isinstance(thing, TaskRecord) for thing in gc.get_objects())


def test_a_storm_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a record, once the worker is gone: nothing holds on to what ended in whichever way."""
    monkeypatch.setattr(logging.getLogger("async_task_worker"), "propagate", False)  # pytest keeps tracebacks

    async def storm() -> None:
        async with AsyncTaskWorker(max_workers=SLOTS, max_history=100) as worker:
            weather = Storm(worker, seed=1)
            await weather.rage(1000)
            await weather.calm_down()
            weather.futures.clear()
            assert records_alive() <= before + 101 + SLOTS

    before = records_alive()
    run_virtual(storm)
    assert records_alive() <= before


async def test_stop_is_bounded_with_a_thousand_tasks_that_ignore_it(make_worker: MakeWorker, backend: Backend) -> None:
    """The promise is one second above the timeout."""
    asyncio.get_running_loop().set_debug(False)
    worker = await make_worker(max_workers=1000)
    task_ids = [await worker.add_task(stubborn, GATE) for _ in range(1000)]
    await running(worker, *task_ids)
    begun = asyncio.get_running_loop().time()
    await worker.stop(timeout=1)
    assert asyncio.get_running_loop().time() - begun < 2
    assert worker.counts()[backend.status_after_stop] == 1000
    assert worker.abandoned_tasks == 1000
    open_all_gates()
    while worker.abandoned_tasks:
        await asyncio.sleep(0)


@pytest.mark.timeout(600)
async def test_a_long_run_keeps_no_more_than_its_history(make_worker: MakeWorker) -> None:
    """500 tasks a second: what a worker holds depends on its history, not on how long it has run."""
    asyncio.get_running_loop().set_debug(False)
    worker = await make_worker(max_workers=50, max_history=1000)
    for _ in range(long_or_short(300, 10)):
        for number in range(500):
            await worker.add_task(sleep_for, 0.05 if number % 2 else 0)
        await asyncio.sleep(1)
        assert len(worker.get_all_tasks()) <= 1000 + 500
    await worker.drain()
    assert worker.counts()[TaskStatus.COMPLETED] == 1000
