"""What a worker should do, in the plainest form: lists, sorted when needed, and a clock moved by hand.

It is asked only between two turns of events, when all that can happen at a moment has
happened, so it need not know in which order a loop does things. Where the promises leave
a margin (how soon within its grace a task is left behind) it takes the worker's word for
the time and checks the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from async_task_worker import TaskStatus

PENDING, RUNNING, COMPLETED = TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.COMPLETED
FAILED, CANCELLED = TaskStatus.FAILED, TaskStatus.CANCELLED

GRACE = 1.0
"""Seconds a task told to stop may take."""
SAME_TIME = 1e-7
"""Sums of the same seconds in another order differ by less, and two moments that matter by more."""

AT_ONCE = {
    "quick": COMPLETED,
    "adds children": COMPLETED,
    "fails": FAILED,
    "exits": FAILED,
    "raises an odd error": FAILED,
    "cancels itself": CANCELLED,
    "raises a cancellation": CANCELLED,
}
"""How tasks end that end as soon as they start."""

BY_TIME = {"sleeps", "swallows", "fails when told", "cleans up"}
BY_GATE = {"waits", "is stubborn"}
KINDS = [*AT_ONCE, *sorted(BY_TIME), *sorted(BY_GATE)]


@dataclass
class Expected:
    """One task as it should be."""

    id: str
    kind: str
    priority: int
    timeout: float | None = None
    seconds: float = 0.0
    cleaning: float = 0.0
    gate: str | None = None
    children: list[Expected] = field(default_factory=list)
    status: TaskStatus = PENDING
    reason: str | None = None
    started: float | None = None
    ended: float | None = None
    leaves: float = math.inf
    left_behind: float = math.inf

    @property
    def finished(self) -> bool:
        return self.ended is not None


class Model:
    """A worker as it should be.

    Attributes:
        now: The time.
        tasks: The tasks that are known, by id, in the order they were added.
        abandoned_tasks: Those left behind that still go on.
        is_open: Whether the worker runs.
        durable: Whether what has not ended when it stops waits for its next start.
    """

    def __init__(
        self, slots: int, now: float, *, limit: int | None, retention: float | None, durable: bool = False
    ) -> None:
        self.durable = durable
        self.now = now
        self.tasks: dict[str, Expected] = {}
        self.abandoned_tasks: list[Expected] = []
        self.is_open = False
        self._open_gates: set[str] = set()
        self._slots, self._limit, self._retention = slots, limit, retention

    def of(self, *statuses: TaskStatus) -> list[Expected]:
        """Return the known tasks in one of these states, in the order they were added."""
        return [task for task in self.tasks.values() if task.status in statuses]

    @property
    def full(self) -> bool:
        """Whether no more tasks may wait."""
        return self._limit is not None and len(self.of(PENDING)) >= self._limit

    def add(self, task: Expected) -> None:
        self.tasks[task.id] = task
        self._fill()

    def start(self) -> None:
        self.is_open = True
        self._fill()

    def cancel(self, task: Expected) -> None:
        if task.status is PENDING:
            self._end(task, CANCELLED)
        else:
            self._tell(task, "cancel")
        self._fill()

    def open_gate(self, gate: str) -> None:
        self._open_gates.add(gate)
        for task in self.of(RUNNING):
            if task.gate == gate:
                self._return(task)
        self.abandoned_tasks = [task for task in self.abandoned_tasks if task.gate != gate]
        self._fill()

    def close(self) -> None:
        """Begin to stop."""
        self.is_open = False
        for task in self.of(PENDING):
            if not self.durable:
                self._end(task, CANCELLED)

    def cut_off(self) -> None:
        """Tell everything that still runs to stop."""
        for task in self.of(RUNNING):
            self._tell(task, "stop")

    def leave_rest_behind(self) -> None:
        """Stop has returned, so whatever did not end by itself has been left behind."""
        for task in self.of(RUNNING):
            self._leave_behind(task)

    def advance(self, to: float) -> None:
        """Let everything happen that is due until then, in order."""
        while due := [(when, task) for task in self.of(RUNNING) if (when := _next_moment(task)) <= to + SAME_TIME]:
            when, task = min(due, key=lambda pair: pair[0])
            self.now = max(self.now, when)
            self._reach(task)
            self._fill()
        self.now = max(self.now, to)
        self.abandoned_tasks = [task for task in self.abandoned_tasks if task.leaves > self.now + SAME_TIME]
        self._forget()

    def _reach(self, task: Expected) -> None:
        """Take the task through the moment it has come to."""
        if task.reason is None and task.timeout is not None and _times_out(task) <= _natural_end(task):
            self._tell(task, "timeout")
        elif task.reason is None:
            self._return(task)
        elif task.leaves <= task.left_behind:
            self._give_in(task)
        else:
            self._leave_behind(task)

    def _fill(self) -> None:
        while self.is_open and (waiting := self.of(PENDING)) and len(self.of(RUNNING)) < self._slots:
            task = min(waiting, key=lambda task: task.priority)  # min finds the first of several
            task.status, task.started = RUNNING, self.now
            for child in task.children:
                self.tasks[child.id] = child
            if task.kind in AT_ONCE:
                self._end(task, AT_ONCE[task.kind])
            elif task.gate in self._open_gates:
                self._return(task)

    def _tell(self, task: Expected, reason: str) -> None:
        """Have a running task told to stop; the first reason decides."""
        if task.reason is not None:
            return
        task.reason = reason
        task.left_behind = self.now + GRACE
        if task.kind == "swallows":
            self._return(task)
        elif task.kind == "fails when told":
            self._end(task, FAILED)
        elif task.kind == "cleans up":
            task.leaves = self.now + task.cleaning
        elif task.kind != "is stubborn":
            self._give_in(task)

    def _return(self, task: Expected) -> None:
        self._end(task, FAILED if task.reason == "timeout" else COMPLETED)

    def _give_in(self, task: Expected) -> None:
        if self.durable and task.reason == "stop":
            task.status, task.reason = PENDING, None
            task.leaves = task.left_behind = math.inf
        else:
            self._end(task, FAILED if task.reason == "timeout" else CANCELLED)

    def _leave_behind(self, task: Expected) -> None:
        self.abandoned_tasks.append(replace(task))  # as it is now: the task itself may run once more
        self._give_in(task)

    def _end(self, task: Expected, status: TaskStatus) -> None:
        task.status, task.ended = status, self.now

    def _forget(self) -> None:
        if self._retention is not None:
            latest = self.now - self._retention
            self.tasks = {task.id: task for task in self.tasks.values() if task.ended is None or task.ended > latest}


def _times_out(task: Expected) -> float:
    assert task.started is not None
    return math.inf if task.timeout is None else task.started + task.timeout


def _natural_end(task: Expected) -> float:
    assert task.started is not None
    return task.started + task.seconds if task.kind in BY_TIME else math.inf


def _next_moment(task: Expected) -> float:
    if task.reason is None:
        return min(_times_out(task), _natural_end(task))
    return min(task.leaves, task.left_behind)
