"""Capacity in a bounded queue: the count of granted callers stays right whichever of them is cancelled, and when."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import QueueFullError, TaskExecutor, TaskQueue, WorkerNotRunningError, WorkerPool
from async_task_worker.model.outcome import CANCELLED_OUTCOME
from async_task_worker.model.record import TaskRecord
from async_task_worker.runtime.capacity import Capacity, OnFull
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from tests.support.waiting import settled
from tests.unit.records import ManualClock, new_record

LIMIT = 2


class BoundedQueue:
    """A queue with a capacity, filled as a backend fills it. Nothing runs its tasks."""

    def __init__(self, on_full: OnFull = "wait") -> None:
        self.events = EventBus(ManualClock().clock.wall)
        self.ledger = Ledger(self.events)
        self.queue = TaskQueue()
        self.capacity = Capacity(LIMIT, on_full, self.queue, WorkerPool(self.queue, TaskExecutor(), 1), self.events)
        self.acquired: list[str] = []

    async def add(self, name: str) -> None:
        await self.capacity.acquire()
        record = new_record(task_id=name)
        self.ledger.admit(record)
        self.queue.put(record)
        self.acquired.append(name)

    async def fill(self) -> None:
        while len(self.queue) < LIMIT:
            await self.add(f"early {len(self.acquired)}")
        self.acquired.clear()

    async def callers(self, *names: str) -> list[asyncio.Task[None]]:
        """Return asyncio tasks that wait for capacity, in that order."""
        tasks = [asyncio.create_task(self.add(name), name=name) for name in names]
        await settled()
        return tasks

    def start_next(self) -> None:
        record = self.queue.pop()
        assert record is not None
        assert self.ledger.start(record)

    def cancel_next(self) -> None:
        record: TaskRecord = next(iter(self.queue))
        self.queue.discard(record)
        assert self.ledger.settle(record, CANCELLED_OUTCOME)

    async def assert_limit_holds(self) -> None:
        """Empty the queue and check how many callers it takes at once."""
        self.queue.clear()
        self.acquired.clear()
        callers = await self.callers(*(f"late {number}" for number in range(LIMIT + 2)))
        acquired = list(self.acquired)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert acquired == [f"late {number}" for number in range(LIMIT)]


@pytest.fixture
async def bounded() -> BoundedQueue:
    bounded = BoundedQueue()
    await bounded.fill()
    return bounded


@pytest.mark.parametrize("leave", [BoundedQueue.start_next, BoundedQueue.cancel_next])
async def test_callers_get_capacity_one_by_one_as_tasks_leave(bounded: BoundedQueue, leave: object) -> None:
    callers = await bounded.callers("first", "second")
    for expected in (["first"], ["first", "second"]):
        leave(bounded)  # type: ignore[operator]
        await settled()
        assert bounded.acquired == expected
    await asyncio.gather(*callers)
    await bounded.assert_limit_holds()


async def test_a_new_caller_does_not_overtake_waiting_ones(bounded: BoundedQueue) -> None:
    (first,) = await bounded.callers("first")
    bounded.start_next()
    second = asyncio.create_task(bounded.add("second"))  # there is room, but it is spoken for
    await settled()
    assert bounded.acquired == ["first"]
    bounded.start_next()
    await asyncio.gather(first, second)


async def test_a_cancelled_caller_leaves_no_gap(bounded: BoundedQueue) -> None:
    first, second = await bounded.callers("first", "second")
    first.cancel()
    await asyncio.wait([first])
    bounded.start_next()
    await second
    assert bounded.acquired == ["second"]
    await bounded.assert_limit_holds()


async def test_a_caller_cancelled_as_it_gets_capacity_passes_it_on(bounded: BoundedQueue) -> None:
    first, second = await bounded.callers("first", "second")
    bounded.start_next()
    first.cancel()
    await asyncio.wait([first])
    await second
    assert first.cancelled()
    assert bounded.acquired == ["second"]
    await bounded.assert_limit_holds()


async def test_cancelling_all_callers_at_once_leaves_the_capacity_unchanged(bounded: BoundedQueue) -> None:
    callers = await bounded.callers("first", "second", "third")
    bounded.start_next()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert bounded.acquired == []
    assert not bounded.events.has_subscribers
    await bounded.assert_limit_holds()


async def test_closing_refuses_all_waiting_callers(bounded: BoundedQueue) -> None:
    callers = await bounded.callers("first", "second")
    bounded.capacity.close()
    for caller in callers:
        with pytest.raises(WorkerNotRunningError, match="room"):
            await caller
    assert not bounded.events.has_subscribers
    await bounded.assert_limit_holds()


async def test_a_caller_refused_and_then_cancelled_is_not_counted_twice(
    bounded: BoundedQueue, loop_errors: list[str]
) -> None:
    (caller,) = await bounded.callers("first")
    bounded.capacity.close()
    caller.cancel()
    await asyncio.wait([caller])
    await bounded.assert_limit_holds()
    assert loop_errors == []


async def test_a_caller_cancelled_and_then_refused_is_not_counted_twice(bounded: BoundedQueue) -> None:
    (caller,) = await bounded.callers("first")
    caller.cancel()
    bounded.capacity.close()
    await asyncio.wait([caller])
    await bounded.assert_limit_holds()


async def test_it_subscribes_to_events_only_while_a_caller_waits(bounded: BoundedQueue) -> None:
    assert not bounded.events.has_subscribers
    (caller,) = await bounded.callers("first")
    assert bounded.events.has_subscribers
    bounded.start_next()
    await caller
    assert not bounded.events.has_subscribers


async def test_with_on_full_error_a_full_queue_refuses_at_once() -> None:
    bounded = BoundedQueue("error")
    await bounded.fill()
    with pytest.raises(QueueFullError, match=str(LIMIT)):
        await bounded.add("one too many")
    bounded.start_next()
    await bounded.add("next")
    assert bounded.acquired == ["next"]
