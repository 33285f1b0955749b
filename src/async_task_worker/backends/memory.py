"""Tasks that run in this process: a queue in memory, slots on this event loop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from pathlib import Path

from ..exceptions import DuplicateTaskError, StorageError
from ..model.outcome import CUT_SHORT
from ..model.query import TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.record_factory import requested
from ..model.status import PENDING, TaskInfo
from ..runtime.capacity import Room
from ..runtime.coalescing import Coalescing
from ..runtime.pool import WorkerPool
from ..runtime.queue import TaskQueue
from .base import Requested, Runtime

logger = logging.getLogger(__name__)


class LocalBackend:
    """Runs tasks on the worker's own event loop. Pending ones end cancelled when it stops."""

    requested: Requested = staticmethod(requested)
    lingers = False

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides."""
        self._ledger = runtime.ledger
        self._queue = TaskQueue()
        self._pool = WorkerPool(
            self._queue, runtime.executor, runtime.max_workers, ledger=runtime.ledger, waits=runtime.waits
        )
        self._coalescing = Coalescing(self._ledger, self._queue, self._pool, self._ledger.admit)
        self._room = None
        if runtime.max_queue_size is not None:
            self._room = Room(runtime.max_queue_size, runtime.on_full, self._queue, self._pool, runtime.events)

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks were left behind and still go on."""
        return self._pool.abandoned_tasks

    def storage_error(self) -> StorageError | None:
        """Return None: these tasks are not stored."""
        return None

    def unregistered_tasks(self) -> dict[str, int]:
        """Return nothing: tasks in memory have their functions with them."""
        return {}

    async def start(self) -> None:
        """Begin to run tasks on the running event loop."""
        if self._room is not None:
            self._room.open()
        await self._pool.start()

    async def stop(self, timeout: float | None, spare: set[TaskRecord]) -> None:
        """Cancel what waits, give running tasks *timeout* seconds, cut off the rest."""
        self._pool.close()
        if self._room is not None:
            self._room.close()
        cancelled = self._coalescing.call_off()
        for record in self._queue.clear():
            cancelled += self._ledger.settle(record, CUT_SHORT)
        if cancelled:
            logger.warning(
                "The worker stopped before %d of its tasks had started: they are cancelled. "
                "To let them finish first, call `await worker.drain()` before it stops",
                cancelled,
            )
        await self._pool.finish(timeout, spare)

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Record the task and queue it, at once unless it has to wait for room."""
        if record.ticket is not None:
            if self._coalescing.served(record, record.ticket):
                return None
            if self._room is None:
                self._coalescing.lead(record, record.ticket)
        if self._room is not None:
            return self._submit_into(self._room, record, queue_timeout)
        self._ledger.admit(record)
        self._queue.put(record)
        if self._pool.hungry:
            self._pool.wake()
        return None

    async def cancel(self, task_id: str) -> bool:
        """End a pending task at once; tell a running one to stop and see how it ends."""
        record = self._ledger.get(task_id)
        if record is None or record.status is not PENDING:
            return await self._pool.cancel_running_task(task_id)
        self._queue.discard(record)
        return self._ledger.settle(record, CUT_SHORT)

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, or None."""
        record = self._ledger.get(task_id)
        return None if record is None else record.info()

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest of the known tasks that match, from the cursor on."""
        records, cursor = self._ledger.search(query)
        return TaskPage([record.info() for record in records], cursor)

    def result_storage(self, max_size: int | None) -> object:  # noqa: ARG002 - whatever it is
        """Say that there is no file."""
        raise ValueError(
            "cache_adapter='sqlite' keeps results in the file of the tasks, and these tasks are in memory: "
            "give the worker backend='sqlite:///tasks.db' too, or leave out cache_adapter"
        )

    async def backup(self, path: Path) -> None:
        """Say that there is nothing to copy."""
        raise StorageError(f"Tasks in memory cannot be copied to {path}: give the worker backend='sqlite:///tasks.db'")

    async def _submit_into(self, room: Room, record: TaskRecord, timeout: float | None) -> None:
        self._ledger.refuse_duplicate(record.id)
        await room.enter(timeout)
        try:
            if record.ticket is not None:
                if self._coalescing.served(record, record.ticket):  # its result has become known meanwhile
                    room.look_again()
                    return
                self._coalescing.lead(record, record.ticket)
            self._ledger.admit(record)
        except DuplicateTaskError:  # somebody took the id meanwhile
            room.look_again()
            raise
        self._queue.put(record)
        self._pool.wake()
