"""Tasks that live in this process: what has not started when the worker stops ends cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uuid_utils import uuid4

from ..exceptions import DuplicateTaskError
from ..model.query import TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.status import TaskInfo
from ..runtime.capacity import Capacity
from ..runtime.runner import Runner, Runtime

logger = SafeLogger(__name__)


class MemoryBackend:
    """Runs tasks on the worker's own event loop and keeps them in memory."""

    is_draining = False

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides.

        Raises:
            ValueError: It is to run no tasks, so nothing ever would.
        """
        if not runtime.consume:
            raise ValueError(
                "consume=False adds tasks for another worker to run, and tasks in memory are lost with this one: "
                "give it backend='sqlite:///tasks.db', or leave out consume"
            )
        self._ledger = runtime.ledger
        self._runner = runner = Runner(runtime, runtime.ledger.admit)
        self._capacity = runner.capacity
        self._coalescing = runner.coalescing
        self._queue = runner.queue
        self._pool = runner.pool
        self.new_id: Callable[[], object] = uuid4
        self.watch = runtime.ledger.get

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks did not stop within their grace period and still run."""
        return self._pool.abandoned_tasks

    async def start(self) -> None:
        """Begin to run tasks on the running event loop."""
        await self._runner.start()

    async def stop(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Cancel what waits, give running tasks *timeout* seconds, then cut them off."""
        self._runner.pause()
        if cancelled := self._runner.cancel_pending():
            logger.warning(
                "The worker stopped before %d of its tasks had started: they are cancelled. "
                "To let them finish first, call `await worker.drain()` before it stops",
                cancelled,
            )
        await self._runner.drain(timeout, exclude)

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Add the task and queue it, at once unless it has to wait for capacity."""
        if record.cache_lookup is not None:
            if self._coalescing.try_serve(record):
                return None
            if self._capacity is None:
                self._coalescing.lead(record)
        if self._capacity is not None:
            return self._submit_with_capacity(self._capacity, record, queue_timeout)
        self._ledger.admit(record)
        self._queue.put(record)  # runner.enqueue() in place: the call would cost a no-op task 1 %
        if self._pool.needs_tasks:
            self._pool.wake()
        return None

    async def cancel(self, task_id: str) -> bool:
        """End a pending task at once; interrupt a running one and wait for its end."""
        record = self._ledger.get(task_id)
        return record is not None and await self._runner.cancel(record)

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, or None."""
        return self._ledger.info(task_id)

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest of the known tasks that match, from the cursor on."""
        return self._ledger.search(query)

    async def _submit_with_capacity(self, capacity: Capacity, record: TaskRecord, timeout: float | None) -> None:
        self._ledger.check_unique(record.id)
        await capacity.acquire(timeout)
        try:
            if record.cache_lookup is not None:
                if self._coalescing.try_serve(record):  # its result became known while this waited
                    capacity.grant_waiting()
                    return
                self._coalescing.lead(record)
            self._ledger.admit(record)
        except DuplicateTaskError:  # another task took the id while this waited
            capacity.grant_waiting()
            raise
        self._runner.enqueue(record)
