"""What waits: lower priority numbers first, first come first served within one priority."""

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

_WORTH_CLEARING = 64
"""Dead entries below this number are never worth a sweep."""


class TaskQueue:
    """A priority queue of pending tasks: a FIFO per priority, a heap of the distinct priorities.

    Putting and popping cost no more at a million entries of one priority than at ten, and
    tasks of equal priority keep their order by construction. The place of a task that was
    cancelled or moved stays, dead, until it comes up or until half of the queue is dead.
    """

    __slots__ = ("_aside", "_best", "_dead", "_heap", "_lane", "_lanes")

    def __init__(self) -> None:
        self._best = HIGHEST_PRIORITY  # the priority whose turn it is; no other is lower
        self._lane: deque[TaskRecord] = deque()  # its FIFO
        # The other priorities. A FIFO of one is the record itself: a deque costs more than the task.
        self._lanes: dict[int, TaskRecord | deque[TaskRecord]] = {}
        self._heap: list[int] = []
        self._aside = 0  # how many entries wait in them
        self._dead = 0

    def __len__(self) -> int:
        """Return how many live tasks wait."""
        return len(self._lane) + self._aside - self._dead

    def put(self, record: TaskRecord) -> None:
        """Add a pending task."""
        if record.status is not PENDING:
            return  # a listener ended it before it came here
        record.slot = self
        if record.priority == self._best:
            self._lane.append(record)
        elif record.priority < self._best or not (self._lane or self._aside):  # it is the only one
            self._overtake(record)
        else:
            self._put_aside(record)

    def fill(self, records: Sequence[TaskRecord]) -> None:
        """Add pending tasks that come in the order of their turns: a million of one priority take no time."""
        if not records:
            return
        self.put(records[0])
        if not records[0].priority == records[-1].priority == self._best:
            for record in islice(records, 1, None):
                self.put(record)
            return
        for record in records:
            record.slot = self
        self._lane.extend(islice(records, 1, None))

    def pop(self) -> TaskRecord | None:
        """Take out the task whose turn it is, or return None."""
        while self._lane or self._aside:
            if not self._lane:
                self._advance()
            record = self._lane.popleft()
            if record.status is PENDING and record.priority == self._best:
                return record
            self._dead -= 1
        return None

    def discard(self, record: TaskRecord) -> None:
        """Count a task as dead if it is queued: its caller is about to end or start it, and it will be passed over."""
        if record.slot is not self:
            return
        self._dead += 1
        if self._dead > _WORTH_CLEARING and self._dead * 2 > len(self._lane) + self._aside:
            self._refill([live for live in self if live is not record])

    def take_out(self, record: TaskRecord) -> bool:
        """Take out a task before its turn; return False if it is not queued. Its place stays, dead."""
        if record.slot is not self or record.status is not PENDING:
            return False
        self.discard(record)
        record.slot = None
        return True

    def put_since(self, record: TaskRecord, moment: float) -> None:
        """Add a pending task behind those of its priority that were added up to *moment*, before the later ones."""
        lane = self._lane if record.priority == self._best else self._lanes.get(record.priority)
        if isinstance(lane, TaskRecord):
            lane = self._lanes[record.priority] = deque((lane,))
        place = 0 if lane is None else bisect_right(lane, moment, key=_created)
        if lane is None or place == len(lane) or record.status is not PENDING:
            self.put(record)
            return
        record.slot = self
        lane.insert(place, record)
        self._aside += lane is not self._lane

    def clear(self) -> list[TaskRecord]:
        """Take out all live tasks, in the order of their turns."""
        live = list(self)
        for record in live:
            record.slot = None
        self._refill([])
        return live

    def __iter__(self) -> Iterator[TaskRecord]:
        """Iterate over the live tasks in the order of their turns."""
        lanes = {**self._lanes, self._best: self._lane}
        seen: set[TaskRecord] | None = set() if self._dead else None  # one that was moved there and back stands twice
        for priority in sorted(lanes):
            lane = lanes[priority]
            for record in (lane,) if isinstance(lane, TaskRecord) else lane:
                if record.status is PENDING and record.priority == priority and record.slot is self:
                    if seen is None:
                        yield record
                    elif record not in seen:
                        seen.add(record)
                        yield record

    def _put_aside(self, record: TaskRecord) -> None:
        priority = record.priority
        self._aside += 1
        lane = self._lanes.get(priority)
        if lane is None:
            self._lanes[priority] = record
            heapq.heappush(self._heap, priority)
        elif isinstance(lane, deque):
            lane.append(record)
        else:
            self._lanes[priority] = deque((lane, record))

    def _overtake(self, record: TaskRecord) -> None:
        """Start the FIFO of a priority whose turn comes before all others."""
        if self._lane:
            self._aside += len(self._lane)
            self._lanes[self._best] = self._lane
            heapq.heappush(self._heap, self._best)
            self._lane = deque()
        self._best = record.priority
        self._lane.append(record)

    def _advance(self) -> None:
        """Go on to the FIFO of the next priority."""
        self._best = heapq.heappop(self._heap)
        lane = self._lanes.pop(self._best)
        if isinstance(lane, TaskRecord):
            self._lane.append(lane)
        else:
            self._lane = lane
        self._aside -= len(self._lane)

    def _refill(self, records: list[TaskRecord]) -> None:
        self._lane, self._lanes, self._heap = deque(), {}, []
        self._aside = self._dead = 0
        for record in records:
            self.put(record)


_created: Final = attrgetter("created")
