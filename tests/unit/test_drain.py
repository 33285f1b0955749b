"""Waiting until everything is done."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker.model.outcome import CANCELLED_OUTCOME
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TaskStatus
from async_task_worker.state.drain import DrainWaiters
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from tests.support.waiting import settled
from tests.unit.records import Hands, admitted


class Office:
    def __init__(self) -> None:
        self.events = EventBus(Hands().clock.wall)
        self.ledger = Ledger(self.events)
        self.waiters = DrainWaiters(self.ledger)

    async def wait(self, own: TaskRecord | None = None, timeout: float | None = None) -> asyncio.Task[bool]:
        """Return a task that waits, as if inside the task *own* if there is one."""
        waiting = asyncio.create_task(self.waiters.wait(own, timeout))
        await settled()
        return waiting


@pytest.fixture
def office() -> Office:
    return Office()


async def test_with_nothing_to_do_there_is_nothing_to_wait_for(office: Office) -> None:
    assert (await office.wait()).result() is True
    admitted(office.ledger, status=TaskStatus.COMPLETED)
    assert (await office.wait()).result() is True


async def test_it_waits_for_the_pending_and_the_running(office: Office) -> None:
    pending, running = admitted(office.ledger), admitted(office.ledger, status=TaskStatus.RUNNING)
    waiting = await office.wait()
    office.ledger.settle(running, CANCELLED_OUTCOME)
    await settled()
    assert not waiting.done()
    office.ledger.settle(pending, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_it_waits_for_those_added_meanwhile(office: Office) -> None:
    first = admitted(office.ledger)
    waiting = await office.wait()
    second = admitted(office.ledger)
    office.ledger.settle(first, CANCELLED_OUTCOME)
    await settled()
    assert not waiting.done()
    office.ledger.settle(second, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_when_time_is_up_it_says_so(office: Office) -> None:
    admitted(office.ledger)
    begun = asyncio.get_running_loop().time()
    assert await office.waiters.wait(None, 3600) is False
    assert asyncio.get_running_loop().time() - begun == pytest.approx(3600)
    assert office.ledger._on_few_unfinished is None


async def test_a_task_does_not_wait_for_itself(office: Office) -> None:
    own, other = (admitted(office.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    waiting = await office.wait(own)
    assert not waiting.done()
    office.ledger.settle(other, CANCELLED_OUTCOME)
    assert await waiting is True


async def test_tasks_that_wait_do_not_wait_for_each_other(office: Office) -> None:
    own = [admitted(office.ledger, status=TaskStatus.RUNNING) for _ in range(3)]
    waiting = [await office.wait(record) for record in own]
    assert [task.result() for task in waiting] == [True, True, True]


async def test_one_task_that_waits_twice_counts_once(office: Office) -> None:
    """Two waiters within one task, say in a TaskGroup of its, make one task less to wait for, not two."""
    own, other = (admitted(office.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    waiting = [await office.wait(own) for _ in range(2)]
    assert not any(task.done() for task in waiting)
    office.ledger.settle(other, CANCELLED_OUTCOME)
    assert await asyncio.gather(*waiting) == [True, True]


async def test_somebody_outside_waits_also_for_a_task_that_waits(office: Office) -> None:
    own, other = (admitted(office.ledger, status=TaskStatus.RUNNING) for _ in range(2))
    inside, outside = await office.wait(own), await office.wait()
    office.ledger.settle(other, CANCELLED_OUTCOME)
    assert await inside is True
    await settled()
    assert not outside.done()
    office.ledger.settle(own, CANCELLED_OUTCOME)
    assert await outside is True


async def test_being_called_off_leaves_nobody_listening(office: Office) -> None:
    record = admitted(office.ledger)
    first, second = await office.wait(), await office.wait()
    first.cancel()
    await asyncio.wait([first])
    office.ledger.settle(record, CANCELLED_OUTCOME)
    assert await second is True
    assert office.ledger._on_few_unfinished is None
