"""What waits: lower priority numbers first, first come first served within one priority."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from .record import TaskRecord
from .status import PENDING

_WORTH_CLEARING = 64
"""Dead entries below this number are never worth a sweep."""


class TaskQueue:
    """A priority queue of pending tasks: a FIFO per priority, a heap of the distinct priorities.

    Putting and popping cost no more at a million entries of one priority than at ten, and
    tasks of equal priority keep their order by construction. A task that was cancelled
    stays in place, dead, until it comes up or until half of the queue is dead.
    """

    __slots__ = ("_dead", "_heap", "_lanes", "_size")

    def __init__(self) -> None:
        # A lane of one is the record itself: a deque costs more than the task.
        self._lanes: dict[int, TaskRecord | deque[TaskRecord]] = {}
        self._heap: list[int] = []
        self._size = 0
        self._dead = 0

    def __len__(self) -> int:
        """Return how many live tasks wait."""
        return self._size - self._dead

    def put(self, record: TaskRecord) -> None:
        """Add a pending task."""
        priority = record.priority
        lane = self._lanes.get(priority)
        if lane is None:
            self._lanes[priority] = record
            heapq.heappush(self._heap, priority)
        elif isinstance(lane, deque):
            lane.append(record)
        else:
            self._lanes[priority] = deque((lane, record))
        self._size += 1

    def pop(self) -> TaskRecord | None:
        """Take out the task whose turn it is, or return None."""
        while self._size:
            priority = self._heap[0]
            lane = self._lanes[priority]
            self._size -= 1
            if isinstance(lane, TaskRecord):
                record = lane
                self._close_lane(priority)
            else:
                record = lane.popleft()
                if not lane:
                    self._close_lane(priority)
            if record.status is PENDING:
                return record
            self._dead -= 1
        return None

    def discard(self, record: TaskRecord) -> None:
        """Count a queued task as dead; its caller is about to end it, and it will be passed over."""
        self._dead += 1
        if self._dead > _WORTH_CLEARING and self._dead * 2 > self._size:
            self._fill([live for live in self if live is not record])

    def clear(self) -> list[TaskRecord]:
        """Take out all live tasks, in the order of their turns."""
        live = list(self)
        self._fill([])
        return live

    def __iter__(self) -> Iterator[TaskRecord]:
        """Iterate over the live tasks in the order of their turns."""
        for priority in sorted(self._heap):
            lane = self._lanes[priority]
            for record in (lane,) if isinstance(lane, TaskRecord) else lane:
                if record.status is PENDING:
                    yield record

    def _close_lane(self, priority: int) -> None:
        del self._lanes[priority]
        heapq.heappop(self._heap)

    def _fill(self, records: list[TaskRecord]) -> None:
        self._lanes, self._heap, self._size, self._dead = {}, [], 0, 0
        for record in records:
            self.put(record)
