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
    """Lets callers into a queue of limited size, first come first served.

    Args:
        limit: How many tasks may wait in the queue.
        on_full: ``"wait"`` makes a caller wait for room, ``"error"`` refuses it.
        queue: The queue.
        pool: What takes tasks out of it.
        events: Tell when it does; listened to only while somebody waits.
    """

    def __init__(self, limit: int, on_full: OnFull, queue: Sized, pool: WorkerPool, events: EventBus) -> None:
        self._limit = limit
        self._on_full = on_full
        self._queue = queue
        self._pool = pool
        self._events = events
        # Who waits, each with the running task that the call was made in.
        self._waiting: deque[tuple[asyncio.Future[None], TaskRecord | None]] = deque()
        self._open = True
        self._granted = 0  # let in, but not back from waiting yet
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] | None = None
        pool.extra_slots.task_awaits_capacity = self._delays_running_task
        pool.on_slot_removed = self._refuse_last_waiting

    async def acquire(self, timeout: float | None = None) -> None:
        """Return as soon as there is room for one task; the caller puts it there before it awaits again.

        Args:
            timeout: Seconds to wait for room; zero does not wait, None waits as long as it takes.

        Raises:
            QueueFullError: There is none, and waiting was not wished for, took too long or would never end.
            WorkerNotRunningError: The worker stopped meanwhile.
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
            raise QueueFullError(f"There was no room within {timeout:g} seconds") from None

    def grant_waiting(self) -> None:
        """Let in whoever there is room for now."""
        while self._waiting and not self._full():
            future, _ = self._waiting.popleft()
            if is_waiting(future):
                self._granted += 1
                future.set_result(None)
        if not self._waiting:
            self._stop_listening()

    def open(self) -> None:
        """Let callers in, from now on: the worker starts. Those of a loop that is gone do not count."""
        self._open = True
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._granted = loop, 0
            self._waiting.clear()

    def close(self) -> None:
        """Turn away everybody who waits, or was let in and is not back from waiting: the worker stops."""
        self._open = False
        while self._waiting:
            future, _ = self._waiting.popleft()
            if is_waiting(future):
                future.set_exception(_stopped_error())
        self._stop_listening()

    def _on_event(self, kind: str, _record: TaskRecord) -> None:
        if kind is not CREATED:  # whoever was let in is about to queue that task
            self.grant_waiting()

    def _full(self) -> bool:
        return len(self._queue) + self._granted - self._pool.free_capacity >= self._limit

    async def _wait(self, own: TaskRecord | None) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((future, own))
        if self._unsubscribe is None:
            self._unsubscribe = self._events.subscribe_records(self._on_event)
        # there may be room, behind those who are let in but not back yet
        loop.call_soon(self.grant_waiting, context=Context())
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                self._granted -= 1  # let in and called off in the same turn: the next one may come
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
        """Refuse the last of the running tasks that wait for room, if no other can make any."""
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
        """Whether a running task waits for room."""
        return not self._waiting_tasks().isdisjoint(self._pool.running)

    def _stop_listening(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None


def _deadlock() -> QueueFullError:
    return QueueFullError("Every running task waits for room in the queue, so none would ever leave it")


def _stopped_error() -> WorkerNotRunningError:
    return WorkerNotRunningError("It stopped before there was room in its queue")
