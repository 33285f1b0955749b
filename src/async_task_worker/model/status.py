"""What a task's state can be, and how it is shown: the state machine and the public snapshot."""

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

TRANSITIONS: Final[Mapping[TaskStatus, frozenset[TaskStatus]]] = {
    PENDING: frozenset({RUNNING, COMPLETED, FAILED, CANCELLED}),  # the middle two: it shares another's outcome
    RUNNING: frozenset({PENDING, COMPLETED, FAILED, CANCELLED}),  # PENDING: to be run again
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""The whole state machine: which status may follow which. A final one has no successor."""


class _Raised:
    """The exception an error's detail is about, beside the fields: it is not copied with them."""

    __slots__ = ("_exception", "_raised")

    _exception: BaseException | None
    _raised: TracebackType | None


@dataclass(frozen=True, slots=True, eq=False)
class ErrorDetail(_Raised):
    """What is known of a task's error beyond its text, as plain data.

    Copies made by ``copy.deepcopy``, ``pickle`` and ``dataclasses.asdict`` have the three
    texts, and no :attr:`exception`.

    Attributes:
        type: The error's class, with its module unless that is ``builtins``.
        message: The same text as :attr:`TaskInfo.error`.
        traceback: The formatted traceback, or the beginning and the end of a very long one.
            Not for the public: it shows file names and source lines.
    """

    type: str
    message: str
    traceback: str = field(repr=False)

    @staticmethod
    def of(exception: BaseException, raised: TracebackType | None = None) -> ErrorDetail:
        """Return the detail of an exception. Its texts are made when they are read first.

        Args:
            exception: What the task raised.
            raised: Where; None for what its traceback says then.
        """
        detail = object.__new__(ErrorDetail)
        _set(detail, "_exception", exception)
        _set(detail, "_raised", raised)
        return detail

    @staticmethod
    def written(exception: BaseException, kind: str, message: str, trace: str) -> ErrorDetail:
        """Return a detail of these texts, and an exception to stand for the one that is gone."""
        detail = ErrorDetail(kind, message, trace)
        _set(detail, "_exception", exception)
        return detail

    @property
    def exception(self) -> BaseException | None:
        """The error itself, the same object the task raised.

        Read from a file, it is a :class:`TaskFailedError` of the same text; of a copy
        made by ``pickle``, ``copy.deepcopy`` or ``dataclasses.asdict`` it is None.
        """
        try:
            return self._exception
        except AttributeError:
            return None

    def __eq__(self, other: object) -> bool:
        """Whether the other one has the same texts."""
        if not isinstance(other, ErrorDetail):
            return NotImplemented
        error = self.exception
        if error is not None and error is other.exception and _raised_at(self) is _raised_at(other):
            return True  # so there is no need to make the texts
        return _texts(self) == _texts(other)

    def __hash__(self) -> int:
        """Return what is equal for equal details."""
        return hash(_texts(self))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> str:  # of a text that was not read before
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

    It is plain data: ``copy.deepcopy``, ``pickle`` and ``dataclasses.asdict`` take it as far
    as they take its result and metadata, and :meth:`as_dict` is always JSON.

    Attributes:
        id: The task's id.
        name: The task type its function is registered under, else the function's name.
        status: One of the five of :class:`TaskStatus`; compares equal to its text.
        phase: What happens within the status, or None: "cancelling"; "coalesced" while it waits
            for the result of a task that does the same; "recovered" if its process died while it ran;
            "unregistered" while a stored task waits for its function to be registered.
        created_at: When it was added (aware, UTC), like the other two.
        started_at: When its function was started last, or None.
        completed_at: When it ended, in whichever way, or None.
        progress: 0.0 to 1.0, as reported by the task; 1.0 once completed.
        progress_detail: What the task said beside the number, or None.
        result: What the task returned, the same object, or a copy from the cache; None unless completed.
            Read from a file it is an equal one, or a :class:`MissingResult`.
        result_dropped: Whether the result was dropped to save memory, as ``max_result_bytes`` has it.
        error: ``str()`` of what the task raised, or why it was ended; None unless it has one. It is
            cut after a million characters.
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
    result_dropped: bool = False

    @property
    def finished(self) -> bool:
        """Whether the task has ended, in whichever way."""
        return not TRANSITIONS[self.status]

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

    def as_dict(self, *, include_traceback: bool = False) -> dict[str, Any]:
        """Return the task as plain data that ``json.dumps`` takes, with the names of the HTTP body.

        Times are RFC 3339 text. What is not JSON, such as a result of bytes or NaN, is an
        object that names its type: ``{"$type": "bytes", "$text": "12 bytes"}``. ``params``
        is None: what a task was called with is not part of a snapshot.

        Args:
            include_traceback: Whether ``error_detail`` has the traceback, which shows file
                names and source lines.
        """
        return document_of(self, _LONGEST_SHOWN, include_traceback=include_traceback)


class TaskInfoDraft:
    """A TaskInfo that can still be written to. Its maker fills it in and changes its ``__class__``.

    A frozen dataclass sets each of its fields by a call; for a whole page of tasks that would
    be most of the work.
    """

    __slots__ = TaskInfo.__slots__


_LONGEST_SHOWN: Final = 1 << 26
"""Characters of one field: a value that refers to a part of it many times can be endless as JSON."""


def document_of(
    info: TaskInfo, limit: int, params: dict[str, Any] | None = None, *, include_traceback: bool = False
) -> dict[str, Any]:
    """Return the members of a task's body as plain data.

    Args:
        info: The task.
        limit: Characters, about, that each field may take.
        params: What it was submitted with, if that is to be shown.
        include_traceback: Whether an error's traceback is part of its detail.
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
