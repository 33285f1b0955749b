"""Somebody who hears every event of a worker, and knows what may follow what."""

from __future__ import annotations

from collections import Counter

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo, TaskStatus
from async_task_worker.status import NEXT

ENDINGS = {"task.completed", "task.failed", "task.cancelled"}


class Witness:
    """Listens from the beginning.

    What it objects to is collected, not raised: an error in a listener only goes to the log.

    Args:
        worker: The worker, not started yet.
        limit: How many tasks may wait at a time, if there is a limit.

    Attributes:
        objections: What should not have happened.
        last: What was heard last of each task.
    """

    def __init__(self, worker: AsyncTaskWorker, limit: int | None = None) -> None:
        self._slots, self._limit = worker.max_workers, limit
        self._statuses: Counter[TaskStatus] = Counter()
        self._seq = 0
        self.objections: list[str] = []
        self.last: dict[str, TaskInfo] = {}
        worker.events.listen(self._hear)

    def _hear(self, event: TaskEvent) -> None:
        before, now = self.last.get(event.task.id), event.task
        self._check_step(event, before)
        self.last[now.id] = now
        if before is not None:
            self._statuses[before.status] -= 1
        self._statuses[now.status] += 1
        if self._statuses[TaskStatus.RUNNING] > self._slots:
            self._object(event, f"{self._statuses[TaskStatus.RUNNING]} run in {self._slots} slots")
        if self._limit is not None and self._statuses[TaskStatus.PENDING] > self._limit + self._free():
            self._object(event, f"{self._statuses[TaskStatus.PENDING]} wait where {self._limit} may")
        if event.seq != self._seq + 1:
            self._object(event, f"follows number {self._seq}")
        self._seq = event.seq

    def _free(self) -> int:
        """Return how many of those who wait are about to start: a slot is free for them."""
        return self._slots - self._statuses[TaskStatus.RUNNING]

    def _check_step(self, event: TaskEvent, before: TaskInfo | None) -> None:
        now = event.task
        if now.finished is not (event.type in ENDINGS):
            self._object(event, f"but it is {now.status}")
        if (before is None) is not (event.type == "task.created"):
            self._object(event, "of a task created a second time, or never")
        elif before is not None:
            self._check_successor(event, before)

    def _check_successor(self, event: TaskEvent, before: TaskInfo) -> None:
        now = event.task
        allowed = {"task.progress": {TaskStatus.RUNNING}, "task.reprioritized": {TaskStatus.PENDING}}.get(
            event.type, NEXT[before.status]
        )
        if now.status not in allowed:
            self._object(event, f"which is {now.status} after it was {before.status}")
        if now.revision <= before.revision:
            self._object(event, f"with revision {now.revision} after {before.revision}")

    def _object(self, event: TaskEvent, why: str) -> None:
        self.objections.append(f"event {event.seq}: {event.type} of {event.task.id}: {why}")

    def check(self) -> None:
        """Raise AssertionError unless everything heard was in order and every task has ended."""
        assert not self.objections, "\n".join(self.objections)
        unfinished = [f"{info.id} is {info.status}" for info in self.last.values() if not info.finished]
        assert not unfinished, "\n".join(unfinished)
