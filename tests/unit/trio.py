"""Queue, executor and pool on their own, without the worker around them."""

from __future__ import annotations

from typing import Any

from async_task_worker import TaskExecutor, TaskQueue, WorkerPool
from async_task_worker.events import EventBus
from async_task_worker.ledger import Ledger
from async_task_worker.record import TaskRecord
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
