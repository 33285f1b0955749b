"""Which running tasks wait for other tasks of their own worker.

A task that waits for one that has not started would keep the slot which that one needs.
So each wait is counted while it lasts, and the pool runs what is waited for in an extra
slot. A wait shows where code of a task awaits a future of :meth:`Waits.future_for`: what
awaits a future adds a done callback to it, and removes it when the wait is given up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Final

from ..model.record import TaskRecord
from ..model.validation import LOWEST_PRIORITY
from ..state.ledger import Ledger
from .executor import current_record
from .slot import Slot

ALL: Final = ""
"""In place of an id: whatever is in the queue. No task has an empty id."""

_Turn = tuple[int, int, str]
"""What is waited for: its priority, a number that grows, its id."""

_MIN_FINISHED: Final = 64
"""Waits that are over are not worth a sweep below this number."""

_ASYNCIO: Final = frozenset({"asyncio", "_asyncio"})


class Waits:
    """Counts the waits of running tasks.

    Args:
        ledger: Where the tasks of this worker are kept; a task of another worker is not counted.

    Attributes:
        on_begin: Called at the beginning of each wait.
        by_task: The running tasks that wait, each with the ids it waits for, and how often.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.on_begin: Callable[[], None] = lambda: None
        self.by_task: dict[TaskRecord, Counter[str]] = {}
        self._awaited: Counter[str] = Counter()  # ids, and how many tasks wait for each
        self._turns: list[_Turn] = []  # a heap; may hold ids that nobody waits for any more
        self._numbers = count()

    def __len__(self) -> int:
        """Return how many running tasks wait for others."""
        return len(self.by_task)

    @property
    def has_wait_for_all(self) -> bool:
        """Whether a running task waits for all other tasks, those added from now on included."""
        return ALL in self._awaited

    def future_for(self, record: TaskRecord) -> asyncio.Future[Any]:
        """Return a future for the result of a task; a task that awaits it counts as waiting."""
        return _AwaitedFuture(self, (record.priority, next(self._numbers), record.id))

    @contextmanager
    def wait_for_all(self, waiter: TaskRecord | None) -> Iterator[None]:
        """Count a wait for all other tasks, whichever they are."""
        turn = (LOWEST_PRIORITY, next(self._numbers), ALL)
        counts = waiter is not None and self.begin(waiter, turn)
        try:
            yield
        finally:
            if waiter is not None and counts:
                self.end(waiter, ALL)

    def begin(self, waiter: TaskRecord, turn: _Turn) -> bool:
        """Count a wait; return False, and do nothing, unless the waiting task runs on this worker."""
        slot, task_id = waiter.slot, turn[2]
        if not isinstance(slot, Slot) or slot.record is not waiter or not self._ledger.owns(waiter):
            return False
        slot.has_hooks = True  # so its end calls drop()
        ids = self.by_task.setdefault(waiter, Counter())
        ids[task_id] += 1
        if ids[task_id] == 1:
            self._awaited[task_id] += 1
            if self._awaited[task_id] == 1:
                heappush(self._turns, turn)
        self.on_begin()
        return True

    def end(self, waiter: TaskRecord, task_id: str) -> None:
        """Count a wait no more. Nothing happens if the waiting task has ended."""
        ids = self.by_task.get(waiter)
        if ids is None or task_id not in ids:
            return
        ids[task_id] -= 1
        if not ids[task_id]:
            del ids[task_id]
            self._forget(task_id)
        if not ids:
            del self.by_task[waiter]

    def drop(self, waiter: TaskRecord) -> None:
        """Count no wait of this task any more: it has ended."""
        for task_id in self.by_task.pop(waiter, ()):
            self._forget(task_id)

    def first(self, take: Callable[[str], TaskRecord | None]) -> TaskRecord | None:
        """Return what *take* makes of the first id for which that is something.

        The ids are those waited for: better priorities first, then in the order in which their futures were made.
        """
        tried: list[_Turn] = []
        found = None
        while found is None and self._turns:
            turn = heappop(self._turns)
            if turn[2] in self._awaited:
                tried.append(turn)
                found = take(turn[2])
        for turn in tried:  # it may have to be run once more
            heappush(self._turns, turn)
        return found

    def _forget(self, task_id: str) -> None:
        self._awaited[task_id] -= 1
        if not self._awaited[task_id]:
            del self._awaited[task_id]
            if len(self._turns) > 2 * len(self._awaited) + _MIN_FINISHED:
                self._turns = [turn for turn in self._turns if turn[2] in self._awaited]
                heapify(self._turns)


class _AwaitedFuture(asyncio.Future[Any]):
    """A future that tells when a task of the worker waits for it, in whichever way asyncio has for that.

    Only the callbacks of asyncio count: those of ``await``, ``gather``, ``wait``, ``wait_for``,
    ``shield`` and ``as_completed``. A callback of the user's own says nothing about who waits.
    """

    def __init__(self, waits: Waits, turn: _Turn) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._waits = waits
        self._turn = turn
        self._waiters: list[tuple[Callable[[Any], object], TaskRecord]] = []

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Add a callback; one that is part of a wait begins it."""
        if not self.done() and _is_part_of_a_wait(fn):
            waiter = current_record()
            if waiter is not None and self._waits.begin(waiter, self._turn):
                if not self._waiters:
                    super().add_done_callback(_end_waits, context=Context())
                self._waiters.append((fn, waiter))
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Remove a callback; one that is part of a wait ends it."""
        self.end_waits([entry for entry in self._waiters if entry[0] == fn])
        return super().remove_done_callback(fn)

    def end_waits(self, entries: list[tuple[Callable[[Any], object], TaskRecord]] | None = None) -> None:
        """End these waits for it; all if it is done."""
        for entry in self._waiters[:] if entries is None else entries:
            self._waiters.remove(entry)
            self._waits.end(entry[1], self._turn[2])
        if entries and not self._waiters:
            super().remove_done_callback(_end_waits)


def _end_waits(future: asyncio.Future[Any]) -> None:
    if isinstance(future, _AwaitedFuture):
        future.end_waits()


def _is_part_of_a_wait(fn: Any) -> bool:
    while isinstance(fn, partial):
        fn = fn.func
    if isinstance(getattr(fn, "__self__", None), asyncio.Task):
        return True  # an await
    return str(getattr(fn, "__module__", None) or type(fn).__module__).partition(".")[0] in _ASYNCIO
