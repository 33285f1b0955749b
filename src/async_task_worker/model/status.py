"""The state machine of tasks, and TaskInfo, the public snapshot of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .failure import class_name, error_text, traceback_text
from .rendering import clipped, rendered, rfc3339, text


class TaskStatus(StrEnum):
    """The status of a task. There will never be more than these five; ``phase`` has the details."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Module constants, since access to an enum member is slow compared with all that one task may cost.
PENDING: Final = TaskStatus.PENDING
RUNNING: Final = TaskStatus.RUNNING
COMPLETED: Final = TaskStatus.COMPLETED
FAILED: Final = TaskStatus.FAILED
CANCELLED: Final = TaskStatus.CANCELLED

TRANSITIONS: Final[Mapping[TaskStatus, frozenset[TaskStatus]]] = {
    PENDING: frozenset({RUNNING, COMPLETED, FAILED, CANCELLED}),  # COMPLETED, FAILED: as a follower
    RUNNING: frozenset({PENDING, COMPLETED, FAILED, CANCELLED}),  # PENDING: to run again
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""The whole state machine: the statuses that may follow each one. A final status has none."""


class _Raised:
    """The exception of an ErrorDetail. It is not a field, so that copies are made without it."""

    __slots__ = ("_exception", "_raised")

    _exception: BaseException | None
    _raised: TracebackType | None


@dataclass(frozen=True, slots=True, eq=False)
class ErrorDetail(_Raised):
    """The type, message and traceback of a task's error, as plain data.

    Copies made by ``copy.deepcopy``, ``pickle`` and ``dataclasses.asdict`` have the three texts, and
    None as :attr:`exception`.

    Attributes:
        type: The error's class, with its module unless that is ``builtins``.
        message: The same text as :attr:`TaskInfo.error`.
        traceback: The formatted traceback; the beginning and the end of a very long one. It shows file
            names and source lines, so do not publish it.
    """

    type: str
    message: str
    traceback: str = field(repr=False)

    @staticmethod
    def of(exception: BaseException, raised: TracebackType | None = None) -> ErrorDetail:
        """Return the detail of an exception. Its texts are made when they are first read.

        Args:
            exception: The exception that the task raised.
            raised: Its traceback; None for its ``__traceback__`` at that time.
        """
        detail = object.__new__(ErrorDetail)
        _set(detail, "_exception", exception)
        _set(detail, "_raised", raised)
        return detail

    @staticmethod
    def written(exception: BaseException, kind: str, message: str, trace: str) -> ErrorDetail:
        """Return a detail with these texts, read from a file, and an exception in place of the original one."""
        detail = ErrorDetail(kind, message, trace)
        _set(detail, "_exception", exception)
        return detail

    @property
    def exception(self) -> BaseException | None:
        """The exception object that the task raised.

        After a restart it is a :class:`TaskFailedError` with the same text. In a copy made by
        ``pickle``, ``copy.deepcopy`` or ``dataclasses.asdict`` it is None.
        """
        try:
            return self._exception
        except AttributeError:
            return None

    def __eq__(self, other: object) -> bool:
        """Return whether the other detail has the same texts."""
        if not isinstance(other, ErrorDetail):
            return NotImplemented
        error = self.exception
        if error is not None and error is other.exception and _raised_at(self) is _raised_at(other):
            return True  # without making the texts
        return _texts(self) == _texts(other)

    def __hash__(self) -> int:
        """Return the hash of the texts."""
        return hash(_texts(self))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> str:  # called for a text that was not read before
            if name not in _TEXTS:
                raise AttributeError(name)
            text = _TEXTS[name](self._exception, self._raised)
            _set(self, name, text)
            return text


_set: Final = object.__setattr__
_TEXTS: Final[Mapping[str, Callable[[BaseException, TracebackType | None], str]]] = {
    "type": lambda error, _raised: class_name(type(error)),
    "message": lambda error, _raised: error_text(error),
    "traceback": traceback_text,
}


def _texts(detail: ErrorDetail) -> tuple[str, str, str]:
    return detail.type, detail.message, detail.traceback


def _raised_at(detail: ErrorDetail) -> TracebackType | None:
    return getattr(detail, "_raised", None)


@dataclass(frozen=True, slots=True)
class MissingResult:
    """Placeholder for a result that could not be stored, after the process that computed it has ended.

    Attributes:
        type: The class of the result, with its module.
        reason: Why it could not be stored.
    """

    type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A snapshot of a task. It never changes.

    It is plain data: ``copy.deepcopy``, ``pickle`` and ``dataclasses.asdict`` work if they work for its
    result and metadata, and :meth:`as_dict` can always be written as JSON.

    Attributes:
        id: The task's id.
        name: The task type its function is registered under, else the function's name.
        status: One of the five of :class:`TaskStatus`; compares equal to its text.
        phase: A detail of the status, or None: "cancelling"; "coalesced" while it waits for the result of
            a task with the same cache key; "recovered" if its process crashed while it ran;
            "unregistered" while a stored task waits for its function to be registered.
        created_at: When it was added (aware, UTC).
        started_at: When its function was last started, or None.
        completed_at: When it completed, failed or was cancelled, or None.
        progress: 0.0 to 1.0, as reported by the task; 1.0 once completed.
        progress_detail: More about the progress, or None.
        result: The object that the task returned, or a copy from the cache; None unless completed. After
            a restart it is an equal object, or a :class:`MissingResult`.
        result_dropped: Whether the result was dropped because results took more than ``max_result_bytes``.
        error: ``str()`` of the exception, or why the task was ended; None unless it failed. It is cut
            after a million characters.
        error_detail: The type and the traceback of the error, or None.
        metadata: A copy of the metadata given to ``add_task``.
        priority: Lower numbers run first. The best priority of the tasks that wait for its result counts.
        attempt: How often it has been started.
        from_cache: Whether its function was not called, because the result was cached or came from
            another task.
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
    result_dropped: bool = False

    @property
    def finished(self) -> bool:
        """Whether the task completed, failed or was cancelled."""
        return not TRANSITIONS[self.status]

    @property
    def wait_time(self) -> float | None:
        """Seconds from when it was added to its start; None before its start."""
        return None if self.started_at is None else (self.started_at - self.created_at).total_seconds()

    @property
    def run_time(self) -> float | None:
        """Seconds from its start to its end; None before its end."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    def as_dict(self, *, include_traceback: bool = False) -> dict[str, Any]:
        """Return the task as plain data for ``json.dumps``, with the member names of the HTTP API.

        Times are RFC 3339 text. A value that JSON cannot hold, such as bytes or NaN, becomes an object
        that names its type: ``{"$type": "bytes", "$text": "12 bytes"}``. ``params`` is None: a snapshot
        does not have the arguments of a task.

        Args:
            include_traceback: Whether ``error_detail`` has the traceback, which shows file names and
                source lines.
        """
        return document_of(self, _MAX_FIELD_LENGTH, include_traceback=include_traceback)


class TaskInfoDraft:
    """A TaskInfo that can be written to. Set its fields, then its ``__class__``.

    A frozen dataclass sets each field by a function call, which would be most of the work of making a
    page of tasks.
    """

    __slots__ = TaskInfo.__slots__


_MAX_FIELD_LENGTH: Final = 1 << 26
"""Characters per field: a value that contains a part of itself many times may be huge as JSON."""


def document_of(
    info: TaskInfo, limit: int, params: dict[str, Any] | None = None, *, include_traceback: bool = False
) -> dict[str, Any]:
    """Return the members of a task's HTTP body as plain data.

    Args:
        info: The task.
        limit: About how many characters each field may take.
        params: The parameters it was submitted with, if they are to be shown.
        include_traceback: Whether the error's detail has the traceback.
    """
    detail, error = info.error_detail, None if info.error is None else clipped(info.error, limit)
    shown = None if detail is None else {"type": text(detail.type), "message": error}
    if shown is not None and detail is not None and include_traceback:
        shown["traceback"] = clipped(detail.traceback, limit)
    metadata: dict[str, Any] = rendered(info.metadata, limit)
    metadata.setdefault("task_type", text(info.name))
    return {
        "id": text(info.id),
        "status": str(info.status),
        "progress": info.progress,
        "metadata": metadata,
        "result": None if info.result is None else rendered(info.result, limit),
        "error": error,
        "task_type": text(info.name),
        "phase": info.phase,
        "params": None if params is None else rendered(params, limit),
        "priority": info.priority,
        "progress_detail": None if info.progress_detail is None else rendered(dict(info.progress_detail), limit),
        "error_detail": shown,
        "attempt": info.attempt,
        "from_cache": info.from_cache,
        "result_dropped": info.result_dropped,
        "worker_id": None,
        "created_at": rfc3339(info.created_at),
        "started_at": rfc3339(info.started_at),
        "completed_at": rfc3339(info.completed_at),
        "wait_time": info.wait_time,
        "run_time": info.run_time,
    }
