"""Capacity in a bounded queue: the account of who may come in stays right whoever is called off, and when."""

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
from tests.unit.records import Hands, asked_for

LIMIT = 2


class House:
    """A room, the queue it guards, and what a backend does with both. Nothing runs what waits here."""

    def __init__(self, on_full: OnFull = "wait") -> None:
        self.events = EventBus(Hands().clock.wall)
        self.ledger = Ledger(self.events)
        self.queue = TaskQueue()
        self.capacity = Capacity(LIMIT, on_full, self.queue, WorkerPool(self.queue, TaskExecutor(), 1), self.events)
        self.let_in: list[str] = []

    async def enter(self, name: str) -> None:
        await self.capacity.acquire()
        record = asked_for(task_id=name)
        self.ledger.admit(record)
        self.queue.put(record)
        self.let_in.append(name)

    async def fill(self) -> None:
        while len(self.queue) < LIMIT:
            await self.enter(f"early {len(self.let_in)}")
        self.let_in.clear()

    async def callers(self, *names: str) -> list[asyncio.Task[None]]:
        """Return tasks that wait to come in, in that order."""
        tasks = [asyncio.create_task(self.enter(name), name=name) for name in names]
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

    async def assert_it_still_holds_its_limit(self) -> None:
        """Empty it, then see how many come in at once."""
        self.queue.clear()
        self.let_in.clear()
        callers = await self.callers(*(f"late {number}" for number in range(LIMIT + 2)))
        let_in = list(self.let_in)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert let_in == [f"late {number}" for number in range(LIMIT)]


@pytest.fixture
async def house() -> House:
    house = House()
    await house.fill()
    return house


@pytest.mark.parametrize("leave", [House.start_next, House.cancel_next])
async def test_callers_come_in_one_by_one_as_tasks_leave(house: House, leave: object) -> None:
    callers = await house.callers("first", "second")
    for expected in (["first"], ["first", "second"]):
        leave(house)  # type: ignore[operator]
        await settled()
        assert house.let_in == expected
    await asyncio.gather(*callers)
    await house.assert_it_still_holds_its_limit()


async def test_nobody_overtakes_those_who_wait(house: House) -> None:
    (first,) = await house.callers("first")
    house.start_next()
    second = asyncio.create_task(house.enter("second"))  # there is room, but it is spoken for
    await settled()
    assert house.let_in == ["first"]
    house.start_next()
    await asyncio.gather(first, second)


async def test_one_who_is_called_off_leaves_no_gap(house: House) -> None:
    first, second = await house.callers("first", "second")
    first.cancel()
    await asyncio.wait([first])
    house.start_next()
    await second
    assert house.let_in == ["second"]
    await house.assert_it_still_holds_its_limit()


async def test_one_who_is_let_in_and_called_off_at_once_passes_it_on(house: House) -> None:
    first, second = await house.callers("first", "second")
    house.start_next()
    first.cancel()
    await asyncio.wait([first])
    await second
    assert first.cancelled()
    assert house.let_in == ["second"]
    await house.assert_it_still_holds_its_limit()


async def test_all_called_off_at_once_leave_the_account_as_it_was(house: House) -> None:
    callers = await house.callers("first", "second", "third")
    house.start_next()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert house.let_in == []
    assert not house.events.has_subscribers
    await house.assert_it_still_holds_its_limit()


async def test_closing_turns_everybody_away(house: House) -> None:
    callers = await house.callers("first", "second")
    house.capacity.close()
    for caller in callers:
        with pytest.raises(WorkerNotRunningError, match="room"):
            await caller
    assert not house.events.has_subscribers
    await house.assert_it_still_holds_its_limit()


async def test_one_turned_away_and_called_off_at_once_is_not_counted_twice(
    house: House, loop_errors: list[str]
) -> None:
    (caller,) = await house.callers("first")
    house.capacity.close()
    caller.cancel()
    await asyncio.wait([caller])
    await house.assert_it_still_holds_its_limit()
    assert loop_errors == []


async def test_one_called_off_then_turned_away_is_not_counted_twice(house: House) -> None:
    (caller,) = await house.callers("first")
    caller.cancel()
    house.capacity.close()
    await asyncio.wait([caller])
    await house.assert_it_still_holds_its_limit()


async def test_it_listens_only_while_somebody_waits(house: House) -> None:
    assert not house.events.has_subscribers
    (caller,) = await house.callers("first")
    assert house.events.has_subscribers
    house.start_next()
    await caller
    assert not house.events.has_subscribers


async def test_an_impatient_room_refuses_at_once() -> None:
    house = House("error")
    await house.fill()
    with pytest.raises(QueueFullError, match=str(LIMIT)):
        await house.enter("one too many")
    house.start_next()
    await house.enter("next")
    assert house.let_in == ["next"]
