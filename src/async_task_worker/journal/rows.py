"""What a task is as a row of the file: written in tuples, many at a time, and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..record import TaskRecord
from ..status import COMPLETED, FAILED, NEXT, TaskInfo, TaskStatus
from .payload import (
    decoded_error,
    decoded_metadata,
    decoded_result,
    encoded_call,
    encoded_error,
    encoded_metadata,
    encoded_result,
)

CODES: Final = {status: code for code, status in enumerate(TaskStatus)}
"""How a status is written. The numbers never change, nor does their order."""

STATUSES: Final = tuple(TaskStatus)
FINISHED: Final = [code for status, code in CODES.items() if not NEXT[status]]

Row = tuple[Any, ...]


ADDED: Final = (
    *("seq", "id", "name", "status", "priority", "phase", "changes", "timeout"),
    *("created_at", "once", "arguments", "metadata"),
)
MOVED: Final = ("id", "status", "phase", "attempt", "changes", "progress", "started_at")
ENDED: Final = (*MOVED, "ended_at", "result", "error", "detail", "from_cache")


def added_row(record: TaskRecord, seq: int, once: bool) -> Row:
    """Return a new task as a row; NotStorableError if some part of it cannot be one."""
    arguments = encoded_call(record.args, record.kwargs) if record.args or record.kwargs else None
    metadata = encoded_metadata(record.metadata) if record.metadata else None
    return (
        *(seq, record.id, record.function.name, 0, record.priority, None, 0, record.timeout),
        *(record.created + record.epoch, once, arguments, metadata),
    )


def moved_row(record: TaskRecord) -> Row:
    """Return what can change about a task before its end."""
    return (
        *(record.id, CODES[record.status], record.phase, record.attempt, record.changes, record.progress),
        record.started + record.epoch if record.attempt else None,
    )


def ended_row(record: TaskRecord) -> Row:
    """Return what can change about a task, its end included."""
    result: bytes | None = None
    error: str | None = None
    detail: bytes | None = None
    from_cache = record.ticket is not None and record.ticket.from_cache
    if record.status is COMPLETED:
        result, detail = encoded_result(record.result)
    elif record.status is FAILED:
        error, detail = encoded_error(record)
    return (*moved_row(record), record.ended + record.epoch, result, error, detail, from_cache)


SHOWN: Final = (
    *("seq", "id", "name", "status", "phase", "created_at", "started_at", "ended_at", "progress", "result"),
    *("error", "detail", "metadata", "priority", "attempt", "from_cache", "changes"),
)
"""The columns that :func:`info_of` reads, in its order."""


def info_of(row: Sequence[Any]) -> TaskInfo:
    """Return the snapshot a row of :data:`SHOWN` stands for."""
    (_, task_id, name, code, phase, created, started, ended, progress, result, error, detail) = row[:12]
    metadata, priority, attempt, from_cache, changes = row[12:]
    status = STATUSES[code]
    return TaskInfo(
        id=task_id,
        name=name,
        status=status,
        phase=phase if NEXT[status] else None,
        created_at=_fact(created),
        started_at=None if started is None else _fact(started),
        completed_at=None if ended is None else _fact(ended),
        progress=1.0 if status is TaskStatus.COMPLETED else progress,
        progress_detail=None,
        result=decoded_result(result, detail) if status is TaskStatus.COMPLETED else None,
        error=error,
        error_detail=decoded_error(task_id, error, detail),
        metadata=decoded_metadata(metadata) or {},
        priority=priority,
        attempt=attempt,
        from_cache=bool(from_cache),
        revision=changes + attempt + (ended is not None),
    )


def _fact(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


PIECES: Final = (512, 64, 8, 1)
"""How many rows one statement takes: few sizes, so that each is prepared once."""

Write = Callable[[int], str]


def insertion(count: int) -> str:
    """Return the statement that adds so many rows, but for those whose id is taken."""
    places = ",".join([f"({','.join('?' * len(ADDED))})"] * count)
    return f"INSERT INTO task ({','.join(ADDED)}) VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours


def update(columns: tuple[str, ...]) -> Write:
    """Return what makes the statement that writes these columns of so many rows, found by the first one."""
    key, *changed = columns
    new = ",".join(f"{column} = new.{column}" for column in changed)

    def statement(count: int) -> str:
        places = ",".join([f"({','.join('?' * len(columns))})"] * count)
        return (
            f"WITH new ({','.join(columns)}) AS (VALUES {places}) "  # noqa: S608 - names of ours
            f"UPDATE task SET {new} FROM new WHERE task.{key} = new.{key}"
        )

    return statement
