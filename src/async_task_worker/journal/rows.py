"""Tasks as rows of the database: the columns, and how records become rows and rows become snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..exceptions import NotStorableError
from ..model.record import TaskRecord
from ..model.status import COMPLETED, FAILED, TRANSITIONS, TaskInfo, TaskStatus
from .serialization import (
    decode_error,
    decode_metadata,
    decode_result,
    encode_call,
    encode_error,
    encode_metadata,
    encode_result,
    is_text,
)

STATUS_CODES: Final = {status: code for code, status in enumerate(TaskStatus)}
"""The number that stands for a status in the file. These numbers never change, nor does their order."""

STATUSES: Final = tuple(TaskStatus)
TERMINAL_CODES: Final = [code for status, code in STATUS_CODES.items() if not TRANSITIONS[status]]

Row = tuple[Any, ...]


INSERT_COLUMNS: Final = ("seq", "id", "name", "created_at", "arguments", "priority", "timeout", "once", "metadata")
"""Columns of a new task. A row may end after any of the first four or five: the others then have their defaults."""

UPDATED_COLUMNS: Final = ("id", "status", "phase", "attempt", "changes", "progress", "once", "started_at", "priority")
"""Columns of a task that is pending or running. ``once`` is among them, because a task type can be registered again
with ``idempotent=False``."""

COMPLETED_COLUMNS: Final = ("id", "started_at", "ended_at", "result")
"""Columns of a task that completed at its first attempt without any other change; without ``result`` if it is None."""

REPORTED_COLUMNS: Final = (*COMPLETED_COLUMNS, "attempt", "changes", "progress", "priority")
"""Columns of a task that completed after other changes, such as reports of progress."""

FINISHED_COLUMNS: Final = (*UPDATED_COLUMNS, "ended_at", "result", "error", "detail", "from_cache")
"""Columns of a task that finished in any other way."""


def insert_row(record: TaskRecord, seq: int, at_most_once: bool) -> Row:
    """Return the row of a new task, with as many of :data:`INSERT_COLUMNS` as it needs.

    Raises:
        NotStorableError: Some part of the task cannot be stored.
    """
    args, kwargs, task_id, name = record.args, record.kwargs, record.id, record.function.name
    if not (task_id.isascii() and name.isascii()) and not (is_text(task_id) and is_text(name)):
        raise NotStorableError(f"{task_id!r} or {name!r} cannot be encoded as UTF-8")
    required = (seq, task_id, name, record.created + record.wall_offset)
    if record.priority or at_most_once or record.metadata or record.timeout is not None:
        options = (record.priority, record.timeout, at_most_once, encode_metadata(record.metadata))
        return (*required, encode_call(record.function, args, kwargs), *options)
    return (*required, encode_call(record.function, args, kwargs)) if args or kwargs else required


def update_rows(records: Sequence[TaskRecord]) -> tuple[list[Row], list[Row]]:
    """Return the rows of the tasks that are pending or running, and the rows of those that have finished."""
    updated: list[Row] = []
    finished: list[Row] = []
    for record in records:
        if TRANSITIONS[record.status]:
            updated.append(_updated_row(record))
        else:
            finished.append(_finished_row(record))
    return updated, finished


def _updated_row(record: TaskRecord) -> Row:
    """Return a row of :data:`UPDATED_COLUMNS`."""
    return (
        *(record.id, STATUS_CODES[record.status], record.phase, record.attempt, record.updates, record.progress),
        not record.function.idempotent,
        record.started + record.wall_offset if record.attempt else None,
        record.priority,
    )


def _finished_row(record: TaskRecord) -> Row:
    """Return the shortest row that describes a finished task.

    It has the columns of :data:`COMPLETED_COLUMNS`, :data:`REPORTED_COLUMNS` or :data:`FINISHED_COLUMNS`.
    """
    result: bytes | None = None
    error: str | None = None
    detail: bytes | None = None
    if record.status is COMPLETED:
        if record.result is not None:
            result, detail = encode_result(record.result)
        if detail is None and record.attempt and (record.cache_lookup is None or not record.cache_lookup.from_cache):
            wall_offset = record.wall_offset
            started, ended = record.started + wall_offset, record.ended + wall_offset
            if record.attempt == 1 and not record.updates:
                return (record.id, started, ended) if result is None else (record.id, started, ended, result)
            changed = (record.attempt, record.updates, record.progress, record.priority)
            return (record.id, started, ended, result, *changed)
    elif record.status is FAILED:
        error, detail = encode_error(record)
    from_cache = record.cache_lookup is not None and record.cache_lookup.from_cache
    return (*_updated_row(record), record.ended + record.wall_offset, result, error, detail, from_cache)


INFO_COLUMNS: Final = (
    *("seq", "id", "name", "status", "phase", "created_at", "started_at", "ended_at", "progress", "result"),
    *("error", "detail", "metadata", "priority", "attempt", "from_cache", "changes"),
)
"""The columns that :func:`info_of` reads, in this order."""


def info_of(row: Sequence[Any]) -> TaskInfo:
    """Return a row of :data:`INFO_COLUMNS` as a snapshot."""
    (_, task_id, name, code, phase, created, started, ended, progress, result, error, detail) = row[:12]
    metadata, priority, attempt, from_cache, changes = row[12:]
    status = STATUSES[code]
    return TaskInfo(
        id=task_id,
        name=name,
        status=status,
        phase=phase if TRANSITIONS[status] else None,
        created_at=_as_datetime(created),
        started_at=None if started is None else _as_datetime(started),
        completed_at=None if ended is None else _as_datetime(ended),
        progress=1.0 if status is TaskStatus.COMPLETED else progress,
        progress_detail=None,
        result=decode_result(result, detail) if status is TaskStatus.COMPLETED else None,
        error=error,
        error_detail=decode_error(task_id, error, detail),
        metadata=decode_metadata(metadata) or {},
        priority=priority,
        attempt=attempt,
        from_cache=bool(from_cache),
        revision=changes + attempt + (ended is not None),
    )


def _as_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
