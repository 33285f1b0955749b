"""A task as it is kept: what was asked for, and what became of it. Only the ledger changes it."""

from __future__ import annotations

from contextvars import Context, copy_context
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self

from .failure import error_text
from .functions import TaskCallable, TaskFunction, unregistered
from .outcome import Outcome
from .status import COMPLETED, FAILED, PENDING, RUNNING, ErrorDetail, TaskInfo, TaskInfoDraft, TaskStatus
from .validation import copied


class Dropped:
    """Type of :data:`DROPPED`."""


DROPPED: Final = Dropped()
"""In place of the result of a task that was dropped, since the results took too much memory."""

EMPTY_CONTEXT: Final = Context()
"""Stands for every empty context, so that a million pending tasks need not hold one each."""


class CacheUse(Protocol):
    """What is asked of a task's cache lookup below the cache: see :class:`..caching.lookup.CacheLookup`."""

    from_cache: bool

    def finish(self, outcome: Outcome) -> CacheUse:
        """Pass on how the task ended; return what stands for its lookup from then on."""
        ...

    def forget(self, task_id: str) -> None:
        """Drop the ids by which the result of the task is found: the task is forgotten."""


class TaskRecord:
    """One call to be made in the background, and its state.

    It is one object because a million of them wait at a time. The first half is what was
    asked for, checked before there is a record of it; what only running it needs is let go
    at its end. The second half is the ledger's.

    Times are monotonic seconds, snapshots are made when read. ``wall_offset`` is what the wall
    clock was ahead of the monotonic one when the task was added: all its times are shown
    against that, so a clock set back meanwhile never makes a task end before it began.
    """

    __slots__ = (
        "args",
        "attempt",
        "cache_lookup",
        "context",
        "created",
        "ended",
        "error",
        "func",
        "function",
        "id",
        "kwargs",
        "metadata",
        "phase",
        "priority",
        "progress",
        "result",
        "result_size",
        "slot",
        "started",
        "status",
        "timeout",
        "traceback",
        "updates",
        "wall_offset",
    )

    # Set when there is something to say, so that adding a task writes none of them:
    created: float  # at its admission, like wall_offset
    wall_offset: float
    started: float  # at each start
    ended: float  # at its end, like what follows
    result: Any  # of a completed task
    result_size: int  # bytes, if it is counted
    error: BaseException  # of a failed one, and where it was raised
    traceback: TracebackType | None

    def __init__(
        self,
        task_id: str,
        function: TaskFunction,
        func: TaskCallable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        priority: int,
        timeout: float | None,
        metadata: dict[Any, Any] | None,
    ) -> None:
        self.id = task_id
        self.function = function
        self.func: Any = func
        self.args: Any = args
        self.kwargs = kwargs
        self.priority = priority
        self.timeout = timeout
        self.metadata = metadata
        context = copy_context()  # request ids and traces of the caller follow the task
        self.context: Any = context or EMPTY_CONTEXT
        self.status: TaskStatus = PENDING
        self.phase: str | None = None
        self.progress = 0.0
        self.cache_lookup: CacheUse | None = None  # for the cache, if it is to be asked
        self.slot: Any = None  # the queue it waits in, then what it runs in
        self.attempt = 0
        self.updates = 0  # beside its starts and its end

    @classmethod
    def mirror(cls, seen: TaskInfo, wall_offset: float) -> Self:
        """Return a record for a task that another process owns: pending, and without a function to call.

        Args:
            seen: The task.
            wall_offset: Seconds from the monotonic clock to the wall clock.
        """
        function = TaskFunction(unregistered, seen.name)
        record = cls(seen.id, function, unregistered, (), None, seen.priority, None, copied(seen.metadata))
        record.created = seen.created_at.timestamp() - wall_offset
        record.wall_offset = wall_offset
        return record

    @property
    def revision(self) -> int:
        """How often the task has changed."""
        return self.updates + self.attempt + self.finished

    @property
    def finished(self) -> bool:
        """Whether the task has ended, in whichever way: asked too often to look into TRANSITIONS each time."""
        status = self.status
        return status is not PENDING and status is not RUNNING

    def log_fields(self) -> dict[str, object]:
        """Return the ``extra`` of log records about this task."""
        return {"task_id": self.id, "task_type": self.function.name, "attempt": self.attempt}

    def info(self) -> TaskInfo:
        """Return the snapshot of this moment."""
        status, finished = self.status, self.finished
        error = self.error if status is FAILED else None
        info: Any = TaskInfoDraft()
        info.id = self.id
        info.name = self.function.name
        info.status = status
        info.phase = None if finished else self.phase
        info.created_at = self._as_datetime(self.created)
        info.started_at = self._as_datetime(self.started) if self.attempt else None
        info.completed_at = self._as_datetime(self.ended) if finished else None
        info.progress = 1.0 if status is COMPLETED else self.progress
        info.progress_detail = None
        result = self.result if status is COMPLETED else None
        info.result_dropped = result is DROPPED
        info.result = None if result is DROPPED else result
        info.error = None if error is None else error_text(error)
        info.error_detail = None if error is None else ErrorDetail.of(error, self.traceback)
        info.metadata = copied(self.metadata) if self.metadata else {}
        info.priority = self.priority
        info.attempt = self.attempt
        info.from_cache = self.cache_lookup is not None and self.cache_lookup.from_cache
        info.revision = self.updates + self.attempt + finished
        info.__class__ = TaskInfo
        done: TaskInfo = info
        return done

    def _as_datetime(self, monotonic: float) -> datetime:
        return datetime.fromtimestamp(monotonic + self.wall_offset, UTC)
