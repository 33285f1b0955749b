"""Extra slots: run the tasks that running tasks wait for, even if all slots are taken.

A task that waits for another one needs no slot of its own, so for each running task that waits
there may be one slot more than ``max_workers``. An extra slot goes when the next task ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol

from ..model.record import TaskRecord
from ..model.status import PENDING
from ..state.ledger import Ledger
from .nested_waits import ALL, Waits
from .queue import TaskQueue

_ITERATIONS_TO_RESUME: Final = 3
"""Loop iterations within which a task resumes after the one that it waited for has ended, also with ``wait_for``."""

_MAX_STARTS: Final = 8
"""Tasks started in extra slots before other callbacks of the loop get their turn."""


class SlotOwner(Protocol):
    """What extra slots need of the pool."""

    @property
    def is_open(self) -> bool:
        """Whether queued tasks are started."""
        ...

    @property
    def free(self) -> int:
        """How many slots are free."""
        ...

    @property
    def free_or_waiting(self) -> int:
        """How many slots are free, or run a task that waits for another."""
        ...

    def start_in_extra_slot(self, record: TaskRecord) -> None:
        """Start a task in one slot more."""


class ExtraSlots:
    """Starts awaited tasks in extra slots.

    Args:
        pool: Owns the slots.
        queue: Where awaited tasks are taken from.
        ledger: The state of tasks.
        waits: Which running tasks wait for which others.

    Attributes:
        leader_of: Returns the task to run in place of a pending one that shares the result of another.
        task_awaits_capacity: Whether a running task waits for capacity in the queue.
    """

    def __init__(self, pool: SlotOwner, queue: TaskQueue, ledger: Ledger, waits: Waits) -> None:
        self._pool = pool
        self._queue = queue
        self._ledger = ledger
        self._waits = waits
        self._loop: asyncio.AbstractEventLoop
        self._scheduled = False
        self.leader_of: Callable[[TaskRecord], TaskRecord] = lambda record: record
        self.task_awaits_capacity: Callable[[], bool] = lambda: False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use *loop* from now on; what was scheduled on another one is dropped."""
        self._loop = loop
        self._scheduled = False

    def schedule(self) -> None:
        """Start awaited tasks in a few loop iterations: until then, tasks whose wait is over resume."""
        if self._pool.is_open and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._fill, _ITERATIONS_TO_RESUME, context=Context())

    def _fill(self, iterations: int) -> None:
        """Start awaited tasks, at most as many as there are running tasks that wait."""
        if iterations:
            self._loop.call_soon(self._fill, iterations - 1, context=Context())
            return
        self._scheduled = False
        for _ in range(_MAX_STARTS):
            if not (self._pool.is_open and len(self._waits) and self._pool.free_or_waiting > 0 and self._queue):
                return
            if self._pool.free:  # the pool is about to fill it, in the order of the queue
                break
            record = self._take_next()
            if record is None:
                return
            self._pool.start_in_extra_slot(record)
        self.schedule()

    def _take_next(self) -> TaskRecord | None:
        """Take a task that a running one waits for out of the queue; return None if there is none.

        An awaited task that is not queued waits for something else than a slot.
        """
        record = self._waits.first(self._take)
        return self._queue.pop() if record is None and self.task_awaits_capacity() else record

    def _take(self, task_id: str) -> TaskRecord | None:
        if task_id == ALL:
            return self._queue.pop()
        record = self._ledger.get(task_id)
        if record is None or record.status is not PENDING:
            return None
        record = self.leader_of(record)
        return record if self._queue.remove(record) else None
