"""Ledger: the only writer of task state, and the owner of finished tasks until their retention is over.

Every method is synchronous and every transition is guarded by the state machine, so that the first
caller that settles a task decides its outcome. Each change is published once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from math import inf
from typing import Final

from ..exceptions import DuplicateTaskError
from ..model.clock import SYSTEM_CLOCK, Clock, strictly_increasing
from ..model.functions import TaskCallable, TaskFunction
from ..model.outcome import CANCELLED_OUTCOME, Outcome, outcome_of
from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.record import DROPPED, TaskRecord
from ..model.status import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, TRANSITIONS, TaskInfo, TaskStatus
from ..model.tracebacks import traceback_of_task
from .events import CREATED, PROGRESS, RELEASED, REPRIORITIZED, STARTED, TERMINAL_EVENTS, EventBus
from .filtering import filter_page
from .merge_restored import merge_restored
from .result_memory import UNCOUNTED, ResultMemory

_MAX_CLOCK_DRIFT: Final = 0.01
"""Seconds the wall clock may drift from the monotonic clock before the offset of new tasks is updated."""

_CLOCK_CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks of that drift."""

_MIN_SWEEP: Final = 1024
"""Finished tasks from which on expired ones are dropped although no call asks for tasks."""


class Ledger:
    """The records of tasks by id, in the order in which they were added.

    Args:
        events: Where changes are published; None for a new bus.
        clock: The source of time.
        retention: Seconds a finished task is kept; None keeps it for ever.
        max_history: How many finished tasks are kept; None keeps all.
        max_result_bytes: Bytes of results above which the oldest are dropped; None keeps all.

    Attributes:
        events: Where changes are published.
        retention_settings: *clock*, *retention* and *max_history*, for a journal that stores tasks.
        cursors: Makes and reads the cursors of searches. A backend that stores tasks replaces them.
        results: The memory that results take. A backend that stores results says which may be dropped.
    """

    def __init__(
        self,
        events: EventBus | None = None,
        clock: Clock = SYSTEM_CLOCK,
        retention: float | None = None,
        max_history: int | None = None,
        max_result_bytes: int | None = None,
    ) -> None:
        self.events = EventBus(clock.wall) if events is None else events
        self._completion_callbacks = self.events.completion_callbacks
        self.retention_settings = clock, retention, max_history
        self.cursors = Cursors(os.urandom(16), lasting=False)
        self._wall, self._monotonic = clock
        self._creation_time = strictly_increasing(clock.monotonic)
        self._retention = retention
        self._max_history = inf if max_history is None else max_history
        self._sweep_above = self._max_history if retention is None else min(self._max_history, _MIN_SWEEP)
        self._records: dict[str, TaskRecord] = {}
        self._finished: deque[TaskRecord] = deque()  # in the order in which they ended
        # Counters of running, failed and cancelled tasks. All other counts follow from these.
        self._unsuccessful = {FAILED: 0, CANCELLED: 0}
        self._running = 0
        self.results = ResultMemory(max_result_bytes)
        self._few_unfinished = -1
        self._on_few_unfinished: Callable[[], None] | None = None
        self._wall_offset = self._wall() - self._monotonic()
        self._wall_offset_until = self._monotonic() + _CLOCK_CHECK_INTERVAL

    def admit(self, record: TaskRecord) -> None:
        """Add a new pending task.

        Raises:
            DuplicateTaskError: There is a task with this id. It stays as it is.
        """
        record.created = now = self._creation_time()
        if now > self._wall_offset_until:
            self._resync_wall_offset(now)
        record.wall_offset = self._wall_offset
        if self._records.setdefault(record.id, record) is not record:
            self.check_unique(record.id)
            self._records[record.id] = record  # the other one had expired
        if self.events.has_subscribers:
            self.events.publish(CREATED, record)

    def set_created(self, record: TaskRecord) -> None:
        """Set the creation time of a task that :meth:`admit_prepared` adds when it is stored."""
        now = self._monotonic()
        if now > self._wall_offset_until:
            self._resync_wall_offset(now)
        record.created = now
        record.wall_offset = self._wall_offset

    def admit_prepared(self, record: TaskRecord) -> None:
        """Add a pending task after :meth:`set_created`. The caller has made sure that its id is unique."""
        self._records[record.id] = record
        if self.events.has_subscribers:
            self.events.publish(CREATED, record)

    def restore(self, records: dict[str, TaskRecord]) -> list[TaskRecord]:
        """Replace all unfinished tasks by those of a file that was opened; see :func:`merge_restored`."""
        self._records, ended = merge_restored(self._records, records)
        self._running = 0
        return ended

    @property
    def wall_offset(self) -> float:
        """Seconds by which the wall clock is ahead of the monotonic clock."""
        return self._wall_offset

    def check_unique(self, task_id: str) -> None:
        """Raise DuplicateTaskError if there is a task with this id."""
        if task_id in self._records:
            self._forget_expired()
            if task_id in self._records:
                raise DuplicateTaskError(repr(task_id), task_id=task_id)

    def start(self, record: TaskRecord) -> bool:
        """Move a pending task to running; return False if it is not pending."""
        if record.status is not PENDING:
            return False
        record.status = RUNNING
        record.started = self._monotonic()
        record.attempt += 1
        self._running += 1
        if self.events.has_subscribers:
            self.events.publish(STARTED, record)
        return True

    def report(self, record: TaskRecord, progress: float) -> None:
        """Set the progress of a running task; does nothing for any other task."""
        if record.status is RUNNING:
            record.progress = progress
            record.updates += 1
            if self.events.has_subscribers:
                self.events.publish(PROGRESS, record)

    def set_phase(self, record: TaskRecord, phase: str | None) -> None:
        """Set the phase of a task, which later snapshots show. Publishes no event."""
        record.phase = phase
        record.updates += 1

    def reprioritize(self, record: TaskRecord, priority: int) -> None:
        """Change the priority of a pending task. The caller moves it in the queue."""
        if record.status is PENDING and record.priority != priority:
            record.priority = priority
            record.updates += 1
            if self.events.has_subscribers:
                self.events.publish(REPRIORITIZED, record)

    def settle(self, record: TaskRecord, outcome: Outcome, ended: float | None = None) -> bool:  # noqa: C901, PLR0912, PLR0915 - inlined, since each call would slow down every task
        """End a task, once and for all; return False, and change nothing, if it has ended already.

        Args:
            record: The task.
            outcome: How it ends.
            ended: When it ended, in monotonic seconds; None for now.
        """
        status, result, error = outcome
        before = record.status
        if before is RUNNING:  # every outcome is allowed for a running task
            self._running -= 1
        elif status not in TRANSITIONS[before]:
            return False
        record.status = status
        record.ended = self._monotonic() if ended is None else ended
        if status is COMPLETED:
            record.result = result
            if result is not None and type(result) not in UNCOUNTED and self.results.add(record):
                self._sweep_above = -1
        else:
            self._record_failure(record, status, error)
        record.func = record.args = record.kwargs = record.context = record.location = None  # needed only to run it
        finished = self._finished
        finished.append(record)
        if self._completion_callbacks and record.id in self._completion_callbacks:
            self._completion_callbacks.pop(record.id)(record)
        if self.events.has_subscribers:
            self.events.publish(TERMINAL_EVENTS[status], record)
        if record.cache_lookup is not None:
            record.cache_lookup = record.cache_lookup.finish(outcome)
        if self._on_few_unfinished is not None and len(self._records) - len(finished) <= self._few_unfinished:
            self._on_few_unfinished()
        if len(finished) > self._sweep_above:
            self._sweep()
        return True

    def requeue(self, record: TaskRecord, phase: str | None = None) -> bool:
        """Move a running task back to pending; return False, and change nothing, if it is not running.

        It keeps its function and arguments, but is not coalesced any more.

        Args:
            record: The task.
            phase: Why it is pending again, shown in its snapshots.
        """
        if record.status is not RUNNING:
            return False
        self._running -= 1
        record.status = PENDING
        self.detach_from_cache(record)
        record.phase, record.location = phase, None
        record.updates += 1
        if self.events.has_subscribers:
            self.events.publish(RELEASED, record)
        return True

    def observe(self, seen: TaskInfo) -> bool:
        """Mirror a task that another process owns: publish its change and resolve its waiters.

        Args:
            seen: A snapshot of the task. A task that the ledger does not have is added.

        Returns:
            False, and nothing is changed, if the ledger has the same or a later revision, or its end.
        """
        record = self._records.get(seen.id)
        if record is None:
            record = self._records[seen.id] = TaskRecord.mirror(seen, self._wall_offset)
            self._publish(CREATED, record)
        elif record.finished or seen.revision <= record.revision:
            return False
        kind = self._mirror_state(record, seen)
        if seen.finished:
            ended = None if seen.completed_at is None else seen.completed_at.timestamp() - record.wall_offset
            return self.settle(record, outcome_of(seen), ended)
        self._publish(kind, record)
        return True

    def _mirror_state(self, record: TaskRecord, seen: TaskInfo) -> str:
        """Copy the state of an unfinished task; return the type of event to publish."""
        before = record.status
        kind = REPRIORITIZED if record.priority != seen.priority else PROGRESS
        if not seen.finished and seen.status is not before:
            kind = STARTED if seen.status is RUNNING else RELEASED
            self._running += 1 if seen.status is RUNNING else -1
            record.status = seen.status
        if seen.started_at is not None:
            record.started = seen.started_at.timestamp() - record.wall_offset
        record.phase, record.priority, record.progress = seen.phase, seen.priority, seen.progress
        record.attempt = seen.attempt
        record.updates = seen.revision - seen.attempt - seen.finished
        return kind

    def _publish(self, kind: str, record: TaskRecord) -> None:
        if self.events.has_subscribers:
            self.events.publish(kind, record)

    def detach_from_cache(self, record: TaskRecord) -> None:
        """Let an unfinished task run without the result cache, and take it out of its group of coalesced tasks."""
        if record.cache_lookup is not None:
            record.cache_lookup.finish(CANCELLED_OUTCOME)  # to its followers that is the same as a cancellation
            record.cache_lookup = None

    def rebind(self, record: TaskRecord, func: TaskCallable, function: TaskFunction | None = None) -> None:
        """Change the function that an unfinished task calls, and its description (None: as before)."""
        record.func = func
        if function is not None:
            record.function = function

    def owns(self, record: TaskRecord) -> bool:
        """Return whether the record itself is in this ledger; another ledger may have a task with the same id."""
        return self._records.get(record.id) is record

    def get(self, task_id: str) -> TaskRecord | None:
        """Return the record with this id, or None."""
        record = self._records.get(task_id)
        if record is not None and record.finished and self._forget_expired():
            return self._records.get(task_id)
        return record

    def select(
        self,
        statuses: AbstractSet[TaskStatus] | None = None,
        limit: int | None = None,
        older_than: float | None = None,
    ) -> list[TaskRecord]:
        """Return the records that match, newest first.

        Args:
            statuses: Only tasks in one of these; None for all.
            limit: At most this many; None for all.
            older_than: Only tasks added at least this many seconds ago; None for all.
        """
        self._forget_expired()
        matching: Iterator[TaskRecord] = reversed(self._records.values())
        if older_than is not None:
            now = self._monotonic()
            matching = (record for record in matching if now - record.created >= older_than)
        if statuses is not None:
            counts = self.counts()
            existing = sum(counts[status] for status in statuses)
            limit = existing if limit is None else min(limit, existing)  # so that the search ends with the last match
            matching = (record for record in matching if record.status in statuses)
        return list(islice(matching, limit))

    def info(self, task_id: str) -> TaskInfo | None:
        """Return a snapshot of the task with this id, or None."""
        record = self.get(task_id)
        return None if record is None else record.info()

    def search(self, query: TaskQuery) -> TaskPage:
        """Return a page of the tasks that match, newest first.

        Raises:
            ValueError: The cursor is invalid.
        """
        self._forget_expired()
        records, cursor = filter_page(self._records, query, self.cursors)
        return TaskPage([record.info() for record in records], cursor)

    def counts(self) -> dict[TaskStatus, int]:
        """Return how many tasks are in each status."""
        self._forget_expired()
        return self.peek_counts()

    def peek_counts(self) -> dict[TaskStatus, int]:
        """Return :meth:`counts`, expired tasks included. Changes nothing, so any thread may call it."""
        running, unsuccessful = self._running, self._unsuccessful
        completed = len(self._finished) - sum(unsuccessful.values())
        return {PENDING: self.unfinished() - running, RUNNING: running, COMPLETED: completed, **unsuccessful}

    def unfinished(self) -> int:
        """Return how many tasks are pending or running."""
        return len(self._records) - len(self._finished)

    def on_unfinished_at_most(self, unfinished: int, callback: Callable[[], None] | None) -> None:
        """Call *callback* whenever a task ends and at most *unfinished* tasks are left; None stops that."""
        self._few_unfinished, self._on_few_unfinished = unfinished, callback

    def _record_failure(self, record: TaskRecord, status: TaskStatus, error: BaseException | None) -> None:
        """Count a task that failed or was cancelled, and keep its error."""
        self._unsuccessful[status] += 1
        if error is not None:
            record.error = error
            record.traceback = traceback_of_task(error)

    def _resync_wall_offset(self, now: float) -> None:
        self._wall_offset_until = now + _CLOCK_CHECK_INTERVAL
        wall_offset = self._wall() - now
        if abs(wall_offset - self._wall_offset) > _MAX_CLOCK_DRIFT:
            self._wall_offset = wall_offset

    def _sweep(self) -> None:
        """Drop tasks above *max_history* and expired ones. The next sweep comes when their number has doubled."""
        finished = self._finished
        while len(finished) > self._max_history:
            self._forget(finished.popleft())
        if self._sweep_above < 0:  # the results take too much memory
            self._sweep_above = self._max_history
            self.drop_results()
        if self._retention is not None:
            self._forget_expired()
            self._sweep_above = min(self._max_history, max(_MIN_SWEEP, 2 * len(finished)))

    def _forget_expired(self) -> bool:
        """Drop tasks past their retention; return whether there were any."""
        finished = self._finished
        if self._retention is None or not finished:
            return False
        latest = self._monotonic() - self._retention
        if finished[0].ended > latest:  # the usual case
            return False
        while finished and finished[0].ended <= latest:
            self._forget(finished.popleft())
        return True

    def drop_results(self) -> None:
        """Drop the oldest results until the others fit into *max_result_bytes*."""
        for record in self.results.surplus():
            record.result = DROPPED
            record.updates += 1

    def _forget(self, record: TaskRecord) -> None:
        del self._records[record.id]
        if record.status is not COMPLETED:
            self._unsuccessful[record.status] -= 1
        elif record.result is not None and type(record.result) not in UNCOUNTED:
            self.results.remove(record)
        if record.cache_lookup is not None:
            record.cache_lookup.forget(record.id)
