"""TaskQueue: pending tasks by priority (lower numbers first), in FIFO order within one priority."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final

from ..model.record import TaskRecord
from ..model.status import PENDING
from ..model.validation import HIGHEST_PRIORITY

_MIN_STALE = 64
"""Stale entries from which on a rebuild of the queue is considered."""


class TaskQueue:
    """A priority queue of pending tasks: a FIFO per priority, and a heap of the distinct priorities.

    ``put`` and ``pop`` cost no more at a million entries of one priority than at ten, and tasks of
    equal priority keep their order by construction. Removal is lazy: the entry of a task that was
    cancelled or moved stays, stale, until its turn comes or half of the queue is stale.
    """

    __slots__ = ("_fifo", "_heap", "_other_count", "_other_fifos", "_priority", "_stale")

    def __init__(self) -> None:
        self._priority = HIGHEST_PRIORITY  # the lowest number in the queue, whose turn it is
        self._fifo: deque[TaskRecord] = deque()  # the tasks of that priority
        # The tasks of the other priorities. A single task stands for itself: a deque takes more memory than a task.
        self._other_fifos: dict[int, TaskRecord | deque[TaskRecord]] = {}
        self._heap: list[int] = []
        self._other_count = 0  # entries in them
        self._stale = 0

    def __len__(self) -> int:
        """Return how many tasks are queued, stale entries not counted."""
        return len(self._fifo) + self._other_count - self._stale

    def put(self, record: TaskRecord) -> None:
        """Add a pending task."""
        if record.status is not PENDING:
            return  # an event listener ended it before it was queued
        record.location = self
        if record.priority == self._priority:
            self._fifo.append(record)
        elif record.priority < self._priority or not (self._fifo or self._other_count):  # before all others, or alone
            self._preempt(record)
        else:
            self._put_in_other(record)

    def extend(self, records: Sequence[TaskRecord]) -> None:
        """Add pending tasks, sorted by priority. Those of the current priority are added without a check each."""
        if not records:
            return
        self.put(records[0])
        if not records[0].priority == records[-1].priority == self._priority:
            for record in islice(records, 1, None):
                self.put(record)
            return
        for record in records:
            record.location = self
        self._fifo.extend(islice(records, 1, None))

    def pop(self) -> TaskRecord | None:
        """Remove and return the task whose turn it is; None if the queue is empty."""
        while self._fifo or self._other_count:
            if not self._fifo:
                self._advance()
            record = self._fifo.popleft()
            if record.status is PENDING and record.priority == self._priority:
                return record
            self._stale -= 1
        return None

    def discard(self, record: TaskRecord) -> None:
        """Count the entry of a task as stale if it is queued: the caller is about to end or start the task."""
        if record.location is not self:
            return
        self._stale += 1
        if self._stale > _MIN_STALE and self._stale * 2 > len(self._fifo) + self._other_count:
            self._rebuild([live for live in self if live is not record])

    def remove(self, record: TaskRecord) -> bool:
        """Remove a task before its turn; return False if it is not queued. Its entry stays, stale."""
        if record.location is not self or record.status is not PENDING:
            return False
        self.discard(record)
        record.location = None
        return True

    def insert_by_time(self, record: TaskRecord, moment: float) -> None:
        """Add a pending task among those of its priority: behind those created up to *moment*, before later ones."""
        fifo = self._fifo if record.priority == self._priority else self._other_fifos.get(record.priority)
        if isinstance(fifo, TaskRecord):
            fifo = self._other_fifos[record.priority] = deque((fifo,))
        place = 0 if fifo is None else bisect_right(fifo, moment, key=_created)
        if fifo is None or place == len(fifo) or record.status is not PENDING:
            self.put(record)
            return
        record.location = self
        fifo.insert(place, record)
        self._other_count += fifo is not self._fifo

    def clear(self) -> list[TaskRecord]:
        """Remove and return all tasks, in the order of their turns."""
        live = list(self)
        for record in live:
            record.location = None
        self._rebuild([])
        return live

    def __iter__(self) -> Iterator[TaskRecord]:
        """Iterate over the tasks in the order of their turns."""
        fifos = {**self._other_fifos, self._priority: self._fifo}
        seen: set[TaskRecord] | None = set() if self._stale else None  # one moved there and back has two entries
        for priority in sorted(fifos):
            fifo = fifos[priority]
            for record in (fifo,) if isinstance(fifo, TaskRecord) else fifo:
                if record.status is PENDING and record.priority == priority and record.location is self:
                    if seen is None:
                        yield record
                    elif record not in seen:
                        seen.add(record)
                        yield record

    def _put_in_other(self, record: TaskRecord) -> None:
        priority = record.priority
        self._other_count += 1
        fifo = self._other_fifos.get(priority)
        if fifo is None:
            self._other_fifos[priority] = record
            heapq.heappush(self._heap, priority)
        elif isinstance(fifo, deque):
            fifo.append(record)
        else:
            self._other_fifos[priority] = deque((fifo, record))

    def _preempt(self, record: TaskRecord) -> None:
        """Make the priority of *record*, which comes before all others, the current one."""
        if self._fifo:
            self._other_count += len(self._fifo)
            self._other_fifos[self._priority] = self._fifo
            heapq.heappush(self._heap, self._priority)
            self._fifo = deque()
        self._priority = record.priority
        self._fifo.append(record)

    def _advance(self) -> None:
        """Make the next priority the current one."""
        self._priority = heapq.heappop(self._heap)
        fifo = self._other_fifos.pop(self._priority)
        if isinstance(fifo, TaskRecord):
            self._fifo.append(fifo)
        else:
            self._fifo = fifo
        self._other_count -= len(self._fifo)

    def _rebuild(self, records: list[TaskRecord]) -> None:
        self._fifo, self._other_fifos, self._heap = deque(), {}, []
        self._other_count = self._stale = 0
        for record in records:
            self.put(record)


_created: Final = attrgetter("created")
