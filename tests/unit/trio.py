"""Queue, executor and pool on their own, without the worker around them."""

from __future__ import annotations

import asyncio
from typing import Any

from async_task_worker import TaskExecutor, TaskQueue, WorkerPool
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TaskStatus
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from tests.support.waiting import settled
from tests.unit.records import asked_for


class Trio:
    """The three documented parts, put together as the documents do, and a ledger to look into."""

    def __init__(self, max_workers: int = 2, events: EventBus | None = None) -> None:
        self.ledger = Ledger(events)
        self.queue = TaskQueue()
        self.pool = WorkerPool(self.queue, TaskExecutor(), max_workers, ledger=self.ledger)

    def add(self, func: Any, *args: Any, **options: Any) -> TaskRecord:
        """Queue a call and have the pool look."""
        record = asked_for(func, *args, **options)
        self.ledger.admit(record)
        self.queue.put(record)
        self.pool.wake()
        return record

    async def run(self, func: Any, *args: Any, **options: Any) -> TaskRecord:
        """Run a call as far as it gets without time passing."""
        record = self.add(func, *args, **options)
        await settled()
        return record


async def assert_all_slots_alive(trio: Trio, slots: int = 2) -> None:
    """As many tasks as there are slots can be at the same place at once."""
    meeting = asyncio.Barrier(slots)
    records = [trio.add(meet, meeting) for _ in range(slots)]
    await settled()
    assert [record.status for record in records] == [TaskStatus.COMPLETED] * slots
    assert trio.pool.free == slots
    assert trio.pool.running == set()


async def meet(meeting: asyncio.Barrier) -> None:
    await meeting.wait()
