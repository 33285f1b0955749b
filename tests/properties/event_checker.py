"""Check every event of a worker against what may follow the events before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo, TaskStatus
from async_task_worker.model.status import TRANSITIONS

ENDINGS = {"task.completed", "task.failed", "task.cancelled"}


class EventChecker:
    """Listens to all events of a worker.

    Violations are collected, not raised, because an error in a listener is only logged.

    Args:
        worker: The worker, not started yet.
        limit: How many tasks may wait at a time; None for any number.
        waiting: Returns how many running tasks wait for other tasks of the worker; each of them allows an extra slot.

    Attributes:
        violations: What should not have happened.
        last: The last snapshot of each task.
    """

    def __init__(
        self, worker: AsyncTaskWorker, limit: int | None = None, waiting: Callable[[], int] | None = None
    ) -> None:
        self._slots, self._limit, self._waiting = worker.max_workers, limit, waiting
        self._statuses: Counter[TaskStatus] = Counter()
        self._seq = 0
        self.violations: list[str] = []
        self.last: dict[str, TaskInfo] = {}
        worker.events.listen(self._on_event)

    def _on_event(self, event: TaskEvent) -> None:
        before, now = self.last.get(event.task.id), event.task
        self._check_step(event, before)
        self.last[now.id] = now
        if before is not None:
            self._statuses[before.status] -= 1
        self._statuses[now.status] += 1
        self._check_slots(event)
        if self._limit is not None and self._statuses[TaskStatus.PENDING] > self._limit + self._free():
            self._report(event, f"{self._statuses[TaskStatus.PENDING]} wait where {self._limit} may")
        if event.seq != self._seq + 1:
            self._report(event, f"follows number {self._seq}")
        self._seq = event.seq

    def _check_slots(self, event: TaskEvent) -> None:
        running, waiting = self._statuses[TaskStatus.RUNNING], 0
        if self._waiting is not None:
            if event.type != "task.started":
                return  # a task may stop waiting before the awaited task ends, and then still has its slot
            waiting = self._waiting()
        if running > self._slots + waiting:
            self._report(event, f"{running} run in {self._slots} slots, and {waiting} of them wait for others")

    def _free(self) -> int:
        """Return the number of free slots: as many waiting tasks are about to start."""
        return max(self._slots - self._statuses[TaskStatus.RUNNING], 0)

    def _check_step(self, event: TaskEvent, before: TaskInfo | None) -> None:
        now = event.task
        if now.finished is not (event.type in ENDINGS):
            self._report(event, f"but it is {now.status}")
        if (before is None) is not (event.type == "task.created"):
            self._report(event, "of a task created a second time, or never")
        elif before is not None:
            self._check_successor(event, before)

    def _check_successor(self, event: TaskEvent, before: TaskInfo) -> None:
        now = event.task
        allowed = {"task.progress": {TaskStatus.RUNNING}, "task.reprioritized": {TaskStatus.PENDING}}.get(
            event.type, TRANSITIONS[before.status]
        )
        if now.status not in allowed:
            self._report(event, f"which is {now.status} after it was {before.status}")
        if now.revision <= before.revision:
            self._report(event, f"with revision {now.revision} after {before.revision}")

    def _report(self, event: TaskEvent, why: str) -> None:
        self.violations.append(f"event {event.seq}: {event.type} of {event.task.id}: {why}")

    def check(self) -> None:
        """Raise AssertionError if there was a violation, or if a task has not ended."""
        assert not self.violations, "\n".join(self.violations)
        unfinished = [f"{info.id} is {info.status}" for info in self.last.values() if not info.finished]
        assert not unfinished, "\n".join(unfinished)
