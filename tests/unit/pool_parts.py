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
from tests.unit.records import new_record


class PoolParts:
    """Queue, executor and pool, put together as documented, and their ledger."""

    def __init__(self, max_workers: int = 2, events: EventBus | None = None) -> None:
        self.ledger = Ledger(events)
        self.queue = TaskQueue()
        self.pool = WorkerPool(self.queue, TaskExecutor(), max_workers, ledger=self.ledger)

    def add(self, func: Any, *args: Any, **options: Any) -> TaskRecord:
        """Queue a call and wake the pool."""
        record = new_record(func, *args, **options)
        self.ledger.admit(record)
        self.queue.put(record)
        self.pool.wake()
        return record

    async def run(self, func: Any, *args: Any, **options: Any) -> TaskRecord:
        """Queue a call and run it until it has to wait for time to pass."""
        record = self.add(func, *args, **options)
        await settled()
        return record


async def assert_all_slots_usable(parts: PoolParts, slots: int = 2) -> None:
    """Fail unless as many tasks as there are slots can run at the same time."""
    meeting = asyncio.Barrier(slots)
    records = [parts.add(meet, meeting) for _ in range(slots)]
    await settled()
    assert [record.status for record in records] == [TaskStatus.COMPLETED] * slots
    assert parts.pool.free == slots
    assert parts.pool.running == set()


async def meet(meeting: asyncio.Barrier) -> None:
    await meeting.wait()
