"""Backpressure for a bounded queue: FIFO waiting for capacity, with deadlock detection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sized
from contextvars import Context

from ..exceptions import QueueFullError, WorkerNotRunningError
from ..model.event_loop import is_waiting
from ..model.options import OnFull
from ..model.record import TaskRecord
from ..state.events import CREATED, EventBus
from .executor import current_record
from .pool import WorkerPool


class Capacity:
    """Lets callers add to a queue of limited size, in the order in which they asked.

    Args:
        limit: How many tasks may be queued.
        on_full: What :meth:`acquire` does at that number: ``"wait"``, or raise an ``"error"``.
        queue: The queue.
        pool: Takes tasks out of the queue.
        events: Published when it does; subscribed to only while a caller waits.
    """

    def __init__(self, limit: int, on_full: OnFull, queue: Sized, pool: WorkerPool, events: EventBus) -> None:
        self._limit = limit
        self._on_full = on_full
        self._queue = queue
        self._pool = pool
        self._events = events
        # Waiting calls, each with the running task that made it.
        self._waiting: deque[tuple[asyncio.Future[None], TaskRecord | None]] = deque()
        self._open = True
        self._granted = 0  # calls that got capacity, but have not resumed yet
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] | None = None
        pool.extra_slots.task_awaits_capacity = self._delays_running_task
        pool.on_slot_removed = self._refuse_last_waiting

    async def acquire(self, timeout: float | None = None) -> None:
        """Wait until one more task may be queued. The caller has to queue it before it awaits again.

        Args:
            timeout: Seconds to wait; 0 does not wait, None waits as long as it takes.

        Raises:
            QueueFullError: The queue is full, and *on_full* is ``"error"``, *timeout* expired, or
                waiting would never end.
            WorkerNotRunningError: The worker stopped while this waited.
        """
        if not self._waiting and not self._granted and not self._full():
            return
        if self._on_full == "error" or timeout == 0:
            raise QueueFullError(f"max_queue_size is {self._limit}")
        own = current_record()
        self._refuse_deadlock(own)
        try:
            async with asyncio.timeout(timeout):
                await self._wait(own)
        except TimeoutError:
            raise QueueFullError(f"The queue had no room within {timeout:g} seconds") from None

    def grant_waiting(self) -> None:
        """Resume waiting calls, the oldest first, as long as the queue has room for their tasks."""
        while self._waiting and not self._full():
            future, _ = self._waiting.popleft()
            if is_waiting(future):
                self._granted += 1
                future.set_result(None)
        if not self._waiting:
            self._stop_listening()

    def open(self) -> None:
        """Accept callers: the worker starts. Calls of a former event loop do not count any more."""
        self._open = True
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._granted = loop, 0
            self._waiting.clear()

    def close(self) -> None:
        """Refuse all waiting calls, also those that got capacity but have not resumed: the worker stops."""
        self._open = False
        while self._waiting:
            future, _ = self._waiting.popleft()
            if is_waiting(future):
                future.set_exception(_stopped_error())
        self._stop_listening()

    def _on_event(self, kind: str, _record: TaskRecord) -> None:
        if kind is not CREATED:  # a new task uses capacity up and does not free any
            self.grant_waiting()

    def _full(self) -> bool:
        return len(self._queue) + self._granted - self._pool.free_capacity >= self._limit

    async def _wait(self, own: TaskRecord | None) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((future, own))
        if self._unsubscribe is None:
            self._unsubscribe = self._events.subscribe_records(self._on_event)
        # The queue may have room already: this call only has to wait behind those that have not resumed yet.
        loop.call_soon(self.grant_waiting, context=Context())
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                self._granted -= 1  # it got capacity and was cancelled in the same loop iteration
            self.grant_waiting()
            raise
        self._granted -= 1
        if not self._open:
            raise _stopped_error()

    def _refuse_deadlock(self, own: TaskRecord | None) -> None:
        running = self._pool.running
        if own not in running:
            return
        if self._pool.free_or_waiting > 0:  # a slot, or an extra one as long as a running task waits for another
            self._pool.extra_slots.schedule()
            return
        if self._is_deadlock(running, self._waiting_tasks() | {own}):
            raise _deadlock()

    def _refuse_last_waiting(self) -> None:
        """Refuse the running task that began to wait last, if none of the others can end before it gets capacity."""
        running = self._pool.running
        if running and self._pool.free_or_waiting <= 0 and self._is_deadlock(running, self._waiting_tasks()):
            for entry in reversed(self._waiting):
                if entry[1] in running and is_waiting(entry[0]):
                    self._waiting.remove(entry)
                    entry[0].set_exception(_deadlock())
                    return

    def _is_deadlock(self, running: set[TaskRecord], waiting: set[TaskRecord | None]) -> bool:
        return running <= waiting | set(self._pool.waits.by_task)

    def _waiting_tasks(self) -> set[TaskRecord | None]:
        return {record for future, record in self._waiting if not future.done()}

    def _delays_running_task(self) -> bool:
        """Whether a running task waits for capacity."""
        return not self._waiting_tasks().isdisjoint(self._pool.running)

    def _stop_listening(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None


def _deadlock() -> QueueFullError:
    return QueueFullError("Every running task waits for room in the queue, so none would ever leave it")


def _stopped_error() -> WorkerNotRunningError:
    return WorkerNotRunningError("It stopped before there was room in its queue")
