"""Waits: which running tasks wait for other tasks of their own worker.

A task that waits for one that has not started holds the slot that the other one needs. So each
wait is counted while it lasts, and the pool runs awaited tasks in extra slots. A wait is detected
when code of a task awaits a future of :meth:`Waits.future_for`: awaiting adds a done callback to
the future, and giving up removes it.
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
"""In place of a task id: all other tasks. No task has an empty id."""

_Awaited = tuple[int, int, str]
"""An awaited task as a heap entry: its priority, a growing number, its id."""

_MIN_FINISHED: Final = 64
"""Entries of finished waits from which on the heap is cleaned up."""

_ASYNCIO: Final = frozenset({"asyncio", "_asyncio"})


class Waits:
    """Counts the waits of running tasks.

    Args:
        ledger: The tasks of this worker. Waits of another worker's tasks are not counted.

    Attributes:
        on_begin: Called at the beginning of each wait.
        by_task: The running tasks that wait, each with the ids it waits for and the number of its waits.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.on_begin: Callable[[], None] = lambda: None
        self.by_task: dict[TaskRecord, Counter[str]] = {}
        self._awaited: Counter[str] = Counter()  # ids, and how many tasks wait for each
        self._heap: list[_Awaited] = []  # may hold ids that are not waited for any more
        self._numbers = count()

    def __len__(self) -> int:
        """Return how many running tasks wait for others."""
        return len(self.by_task)

    @property
    def has_wait_for_all(self) -> bool:
        """Whether a running task waits for all other tasks, those added from now on included."""
        return ALL in self._awaited

    def future_for(self, record: TaskRecord) -> asyncio.Future[Any]:
        """Return a future for the result of a task. While a running task awaits it, that counts as a wait."""
        return _AwaitedFuture(self, (record.priority, next(self._numbers), record.id))

    @contextmanager
    def wait_for_all(self, waiter: TaskRecord | None) -> Iterator[None]:
        """Return a context manager that counts a wait of *waiter* for all other tasks."""
        awaited = (LOWEST_PRIORITY, next(self._numbers), ALL)
        counts = waiter is not None and self.begin(waiter, awaited)
        try:
            yield
        finally:
            if waiter is not None and counts:
                self.end(waiter, ALL)

    def begin(self, waiter: TaskRecord, awaited: _Awaited) -> bool:
        """Count a wait; return False, and count nothing, unless the waiting task runs on this worker."""
        slot, task_id = waiter.location, awaited[2]
        if not isinstance(slot, Slot) or slot.record is not waiter or not self._ledger.owns(waiter):
            return False
        slot.has_hooks = True  # so that its end calls drop()
        ids = self.by_task.setdefault(waiter, Counter())
        ids[task_id] += 1
        if ids[task_id] == 1:
            self._awaited[task_id] += 1
            if self._awaited[task_id] == 1:
                heappush(self._heap, awaited)
        self.on_begin()
        return True

    def end(self, waiter: TaskRecord, task_id: str) -> None:
        """Count a wait out. Does nothing if the waiting task has ended."""
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
        """Count out all waits of a task that has ended."""
        for task_id in self.by_task.pop(waiter, ()):
            self._forget(task_id)

    def first(self, take: Callable[[str], TaskRecord | None]) -> TaskRecord | None:
        """Return the first result of *take* that is not None, called with the awaited ids; else None.

        The ids come in the order of their priorities, then in the order in which their futures were made.
        """
        tried: list[_Awaited] = []
        found = None
        while found is None and self._heap:
            awaited = heappop(self._heap)
            if awaited[2] in self._awaited:
                tried.append(awaited)
                found = take(awaited[2])
        for awaited in tried:  # a task that is requeued may have to be taken again
            heappush(self._heap, awaited)
        return found

    def _forget(self, task_id: str) -> None:
        self._awaited[task_id] -= 1
        if not self._awaited[task_id]:
            del self._awaited[task_id]
            if len(self._heap) > 2 * len(self._awaited) + _MIN_FINISHED:
                self._heap = [awaited for awaited in self._heap if awaited[2] in self._awaited]
                heapify(self._heap)


class _AwaitedFuture(asyncio.Future[Any]):
    """A future that counts the waits of the worker's tasks for it.

    A wait is a callback added by asyncio: for ``await``, ``gather``, ``wait``, ``wait_for``,
    ``shield`` and ``as_completed``. A callback added by user code is not a wait.
    """

    def __init__(self, waits: Waits, awaited: _Awaited) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._waits = waits
        self._awaited = awaited
        self._waiters: list[tuple[Callable[[Any], object], TaskRecord]] = []

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Add a callback, and count a wait if asyncio added it."""
        if not self.done() and _is_part_of_a_wait(fn):
            waiter = current_record()
            if waiter is not None and self._waits.begin(waiter, self._awaited):
                if not self._waiters:
                    super().add_done_callback(_end_waits, context=Context())
                self._waiters.append((fn, waiter))
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Remove a callback, and count out the wait that it was part of."""
        self.end_waits([entry for entry in self._waiters if entry[0] == fn])
        return super().remove_done_callback(fn)

    def end_waits(self, entries: list[tuple[Callable[[Any], object], TaskRecord]] | None = None) -> None:
        """Count out these waits; None for all."""
        for entry in self._waiters[:] if entries is None else entries:
            self._waiters.remove(entry)
            self._waits.end(entry[1], self._awaited[2])
        if entries and not self._waiters:
            super().remove_done_callback(_end_waits)


def _end_waits(future: asyncio.Future[Any]) -> None:
    if isinstance(future, _AwaitedFuture):
        future.end_waits()


def _is_part_of_a_wait(fn: Any) -> bool:
    while isinstance(fn, partial):
        fn = fn.func
    if isinstance(getattr(fn, "__self__", None), asyncio.Task):
        return True  # added by an await
    return str(getattr(fn, "__module__", None) or type(fn).__module__).partition(".")[0] in _ASYNCIO
