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


class Room:
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
        self._untap: Callable[[], None] | None = None
        pool.is_pressed = self._holds_up_a_task
        pool.lost_a_slot = self._refuse_one_of_all

    async def enter(self, timeout: float | None = None) -> None:
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

    def look_again(self) -> None:
        """Let in whoever there is room for now."""
        while self._waiting and not self._full():
            future, _ = self._waiting.popleft()
            if is_waiting(future):
                self._granted += 1
                future.set_result(None)
        if not self._waiting:
            self._stop_watching()

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
                future.set_exception(_turned_away())
        self._stop_watching()

    def _note(self, kind: str, _record: TaskRecord) -> None:
        if kind is not CREATED:  # whoever was let in is about to queue that task
            self.look_again()

    def _full(self) -> bool:
        return len(self._queue) + self._granted - self._pool.taking >= self._limit

    async def _wait(self, own: TaskRecord | None) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((future, own))
        if self._untap is None:
            self._untap = self._events.subscribe_records(self._note)
        # there may be room, behind those who are let in but not back yet
        loop.call_soon(self.look_again, context=Context())
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                self._granted -= 1  # let in and called off in the same turn: the next one may come
            self.look_again()
            raise
        self._granted -= 1
        if not self._open:
            raise _turned_away()

    def _refuse_deadlock(self, own: TaskRecord | None) -> None:
        running = self._pool.running
        if own not in running:
            return
        if self._pool.spare > 0:  # a slot, or an extra one as long as a running task waits for another
            self._pool.relieve_soon()
            return
        if self._is_deadlock(running, self._held_up() | {own}):
            raise _deadlock()

    def _refuse_one_of_all(self) -> None:
        """Refuse the last of the running tasks that wait for room, if no other can make any."""
        running = self._pool.running
        if running and self._pool.spare <= 0 and self._is_deadlock(running, self._held_up()):
            for entry in reversed(self._waiting):
                if entry[1] in running and is_waiting(entry[0]):
                    self._waiting.remove(entry)
                    entry[0].set_exception(_deadlock())
                    return

    def _is_deadlock(self, running: set[TaskRecord], held_up: set[TaskRecord | None]) -> bool:
        return running <= held_up | set(self._pool.waits.by_task)

    def _held_up(self) -> set[TaskRecord | None]:
        return {waiting for future, waiting in self._waiting if not future.done()}

    def _holds_up_a_task(self) -> bool:
        """Whether a running task waits for room."""
        return not self._held_up().isdisjoint(self._pool.running)

    def _stop_watching(self) -> None:
        if self._untap is not None:
            self._untap()
            self._untap = None


def _deadlock() -> QueueFullError:
    return QueueFullError("Every running task waits for room in the queue, so none would ever leave it")


def _turned_away() -> WorkerNotRunningError:
    return WorkerNotRunningError("It stopped before there was room in its queue")
