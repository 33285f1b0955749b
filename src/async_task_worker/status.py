"""What a task's state can be, and how it is shown: the state machine and the public snapshot."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final


class TaskStatus(StrEnum):
    """Where a task is in its life. These five never grow; nuance goes into ``phase``."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Plain names: an enum's attribute access costs more than a task's whole bookkeeping may.
PENDING: Final = TaskStatus.PENDING
RUNNING: Final = TaskStatus.RUNNING
COMPLETED: Final = TaskStatus.COMPLETED
FAILED: Final = TaskStatus.FAILED
CANCELLED: Final = TaskStatus.CANCELLED

NEXT: Final[Mapping[TaskStatus, frozenset[TaskStatus]]] = {
    PENDING: frozenset({RUNNING, COMPLETED, FAILED, CANCELLED}),  # the middle two: it shares another's outcome
    RUNNING: frozenset({PENDING, COMPLETED, FAILED, CANCELLED}),  # PENDING: to be run again
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""The whole state machine: which status may follow which. A final one has no successor."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What is known of a task's error beyond its text.

    Attributes:
        exception: The error itself, the same object the task raised.
    """

    exception: BaseException
    _traceback: TracebackType | None = None

    @property
    def type(self) -> str:
        """The error's class, with its module unless that is ``builtins``."""
        return class_name(type(self.exception))

    @property
    def message(self) -> str:
        """The same text as :attr:`TaskInfo.error`."""
        return error_text(self.exception)

    @property
    def traceback(self) -> str:
        """The formatted traceback. Not for the public: it shows file names and source lines."""
        error, raised = self.exception, self._traceback or traceback_of(self.exception)
        return "".join(traceback.format_exception(type(error), error, raised))


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return where *error* was raised, past whatever its own class may have put in front of that."""
    found: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return found


def class_name(cls: type) -> str:
    """Return what a class is called, with its module unless that is ``builtins``; its metaclass is not asked."""
    module, name = type.__dict__["__module__"].__get__(cls), type.__dict__["__qualname__"].__get__(cls)
    if module == "builtins":
        return str(name)
    return f"{module if isinstance(module, str) else '?'}.{name}"


def error_text(error: BaseException) -> str:
    """Return ``str(error)``, the class name if that is empty, and a stand-in if it raises."""
    try:
        return str(error) or _bare_name(error)
    except BaseException as fault:  # noqa: BLE001 - the user's own __str__: whatever it raises, the task has ended
        return f"<{_bare_name(error)}; its str() raised {_bare_name(fault)}>"


def _bare_name(error: BaseException) -> str:
    return str(type.__dict__["__name__"].__get__(type(error)))


@dataclass(frozen=True, slots=True)
class MissingResult:
    """Stands for a result that could not be written down, once the process that computed it is gone.

    Attributes:
        type: The class of the result, with its module.
        reason: Why there is no more of it.
    """

    type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What was known of a task at the moment it was asked for. It never changes afterwards.

    Attributes:
        id: The task's id.
        name: The task type its function is registered under, else the function's name.
        status: One of the five of :class:`TaskStatus`; compares equal to its text.
        phase: What happens within the status, or None: "cancelling"; "coalesced" while it waits
            for the result of a task that does the same.
        created_at: When it was added (aware, UTC), like the other two.
        started_at: When its function was started last, or None.
        completed_at: When it ended, in whichever way, or None.
        progress: 0.0 to 1.0, as reported by the task; 1.0 once completed.
        progress_detail: What the task said beside the number, or None.
        result: What the task returned, the same object, or a copy from the cache; None unless completed.
            Read from a file it is an equal one, or a :class:`MissingResult`.
        error: ``str()`` of what the task raised, or why it was ended; None unless it has one.
        error_detail: Its type and traceback, or None.
        metadata: What was given to ``add_task``: a copy of its own.
        priority: Lower numbers run first. The best of those who wait for its result counts.
        attempt: How often it has been started.
        from_cache: Whether its function was not called: the result was in the cache, or another
            task was about to have it.
        revision: Grows with every change of the task.
    """

    id: str
    name: str
    status: TaskStatus
    phase: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    progress: float
    progress_detail: Mapping[str, Any] | None
    result: Any
    error: str | None
    error_detail: ErrorDetail | None
    metadata: dict[Any, Any]
    priority: int
    attempt: int
    from_cache: bool
    revision: int

    @property
    def finished(self) -> bool:
        """Whether the task has ended, in whichever way."""
        return not NEXT[self.status]

    @property
    def wait_time(self) -> float | None:
        """Seconds between being added and its start; None before that."""
        return None if self.started_at is None else (self.started_at - self.created_at).total_seconds()

    @property
    def run_time(self) -> float | None:
        """Seconds between its start and its end; None before that."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()


class TaskInfoDraft:
    """A TaskInfo that can still be written to. Its maker fills it in and changes its ``__class__``.

    A frozen dataclass sets each of its fields by a call; for a whole page of tasks that would
    be most of the work.
    """

    __slots__ = TaskInfo.__slots__
