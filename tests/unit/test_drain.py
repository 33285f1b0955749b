"""Waiting until everything is done."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker.model.outcome import CANCELLED_OUTCOME
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TaskStatus
from async_task_worker.state.drain_waiters import DrainWaiters
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from tests.support.waiting import settled
from tests.unit.records import ManualClock, admitted


class DrainParts:
    def __init__(self) -> None:
        self.events = EventBus(ManualClock().clock.wall)
        self.ledger = Ledger(self.events)
        self.waiters = DrainWaiters(self.ledger)

    async def wait(self, own: TaskRecord | None = None, timeout: float | None = None) -> asyncio.Task[bool]:
        """Return a task that waits, as if inside the task *own* if there is one."""
        waiting = asyncio.create_task(self.waiters.wait(own, timeout))
        await settled()
        return waiting


@pytest.fixture
def parts() -> DrainParts:
    return DrainParts()


async def test_with_nothing_to_do_there_is_nothing_to_wait_for(parts: DrainParts) -> None:
    assert (await parts.wait()).result() is True
    admitted(parts.ledger, status=TaskStatus.COMPLETED)
    assert (await parts.wait()).result() is True


async def test_it_waits_for_the_pending_and_the_running(parts: DrainParts) -> None:
    pending, running = admitted(parts.ledger), admitted(parts.ledger, status=TaskStatus.RUNNING)
    waiting = await parts.wait()
    parts.ledger.settle(running, CANCELLED_OUTCOME)
    await settled()
    assert not waiting.done()
    parts.ledger.settle(pending, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_it_waits_for_tasks_added_while_it_waits(parts: DrainParts) -> None:
    first = admitted(parts.ledger)
    waiting = await parts.wait()
    second = admitted(parts.ledger)
    parts.ledger.settle(first, CANCELLED_OUTCOME)
    await settled()
    assert not waiting.done()
    parts.ledger.settle(second, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_it_returns_false_at_the_timeout(parts: DrainParts) -> None:
    admitted(parts.ledger)
    begun = asyncio.get_running_loop().time()
    assert await parts.waiters.wait(None, 3600) is False
    assert asyncio.get_running_loop().time() - begun == pytest.approx(3600)
    assert parts.ledger._on_few_unfinished is None


async def test_a_task_does_not_wait_for_itself(parts: DrainParts) -> None:
    own, other = (admitted(parts.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    waiting = await parts.wait(own)
    assert not waiting.done()
    parts.ledger.settle(other, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_tasks_that_wait_do_not_wait_for_each_other(parts: DrainParts) -> None:
    own = [admitted(parts.ledger, status=TaskStatus.RUNNING) for _ in range(3)]
    waiting = [await parts.wait(record) for record in own]
    assert [task.result() for task in waiting] == [True, True, True]


async def test_one_task_that_waits_twice_counts_once(parts: DrainParts) -> None:
    """Two waiters within one task, say in a TaskGroup of its, make one task less to wait for, not two."""
    own, other = (admitted(parts.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    waiting = [await parts.wait(own) for _ in range(2)]
    assert not any(task.done() for task in waiting)
    parts.ledger.settle(other, CANCELLED_OUTCOME)
    assert await asyncio.gather(*waiting) == [True, True]


async def test_a_caller_outside_of_tasks_waits_for_draining_tasks_too(parts: DrainParts) -> None:
    own, other = (admitted(parts.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    inside, outside = await parts.wait(own), await parts.wait()
    parts.ledger.settle(other, CANCELLED_OUTCOME)
    assert await inside is True
    await settled()
    assert not outside.done()
    parts.ledger.settle(own, CANCELLED_OUTCOME)
    assert await outside is True


async def test_a_cancelled_call_stops_its_callback(parts: DrainParts) -> None:
    record = admitted(parts.ledger)
    first, second = await parts.wait(), await parts.wait()
    first.cancel()
    await asyncio.wait([first])
    parts.ledger.settle(record, CANCELLED_OUTCOME)
    assert await second is True
    assert parts.ledger._on_few_unfinished is None
