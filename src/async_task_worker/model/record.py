"""TaskRecord: one task, as the ledger keeps it. Only the ledger changes its state."""

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
"""In place of a result that was dropped because results took too much memory."""

EMPTY_CONTEXT: Final = Context()
"""Shared by all tasks added in an empty context: a context each would take 60 bytes."""


class CacheUse(Protocol):
    """What is asked of a task's cache lookup below the cache: see :class:`..caching.lookup.CacheLookup`."""

    from_cache: bool

    def finish(self, outcome: Outcome) -> CacheUse:
        """Pass on how the task ended; return what stands for its lookup from then on."""
        ...

    def forget(self, task_id: str) -> None:
        """Drop the ids by which the result of the task is found: the task is forgotten."""


class TaskRecord:
    """A call to run in the background, and its state.

    Call and state are one object, since a million of them may be pending. The arguments of
    ``__init__`` are the validated call; what is needed only to run it is dropped when the task ends.
    All else is written by the ledger.

    Times are in monotonic seconds; datetimes are made for snapshots. ``wall_offset`` is the number of
    seconds by which the wall clock was ahead of the monotonic clock when the task was added. It
    applies to all times of the task, so a clock that is set back never makes a task end before it started.

    Attributes:
        location: The TaskQueue that the task waits in, or the Slot that it runs in, else None. One
            field for both: a second one would add 8 bytes to each record.
        updates: How many changes there were besides starts and the end.
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
        "location",
        "metadata",
        "phase",
        "priority",
        "progress",
        "result",
        "result_size",
        "started",
        "status",
        "timeout",
        "traceback",
        "updates",
        "wall_offset",
    )

    # Not set by __init__, which would slow down adding a task, but when there is a value:
    created: float  # at its admission, like wall_offset
    wall_offset: float
    started: float  # at each start
    ended: float  # at its end, like what follows
    result: Any  # of a completed task
    result_size: int  # bytes, if it is counted
    error: BaseException  # of a failed task, and where it was raised
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
        self.cache_lookup: CacheUse | None = None
        self.location: Any = None
        self.attempt = 0
        self.updates = 0

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
        """The number of changes of the task."""
        return self.updates + self.attempt + self.finished

    @property
    def finished(self) -> bool:
        """Whether the task has ended. Compares two statuses, which is faster than a look-up in TRANSITIONS."""
        status = self.status
        return status is not PENDING and status is not RUNNING

    def log_fields(self) -> dict[str, object]:
        """Return the ``extra`` of log records about this task."""
        return {"task_id": self.id, "task_type": self.function.name, "attempt": self.attempt}

    def info(self) -> TaskInfo:
        """Return a snapshot of the task."""
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
