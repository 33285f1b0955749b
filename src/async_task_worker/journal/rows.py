"""What a task is as a row of the file: written in tuples, many at a time, and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from ..exceptions import NotStorableError
from ..model.record import TaskRecord
from ..model.status import COMPLETED, FAILED, TRANSITIONS, TaskInfo, TaskStatus
from .serialization import (
    decoded_error,
    decoded_metadata,
    decoded_result,
    encoded_call,
    encoded_error,
    encoded_metadata,
    encoded_result,
    is_text,
)

CODES: Final = {status: code for code, status in enumerate(TaskStatus)}
"""How a status is written. The numbers never change, nor does their order."""

STATUSES: Final = tuple(TaskStatus)
FINISHED: Final = [code for status, code in CODES.items() if not TRANSITIONS[status]]

Row = tuple[Any, ...]


ADDED: Final = ("seq", "id", "name", "created_at", "arguments", "priority", "timeout", "once", "metadata")
"""Of a new task. Rows are as long as they need to be: what is left out is as the table has it, and costs nothing."""

MOVED: Final = ("id", "status", "phase", "attempt", "changes", "progress", "once", "started_at", "priority")
"""Of one that goes on. Whether it must not run twice is written again: its function may have become such a one."""
DONE: Final = ("id", "started_at", "ended_at", "result")
"""Of a task that completed at its first start without a report: without the result if that is None."""
REPORTED: Final = (*DONE, "attempt", "changes", "progress", "priority")
"""Of one that completed after more than that."""
ENDED: Final = (*MOVED, "ended_at", "result", "error", "detail", "from_cache")
"""Of one that ended otherwise."""


def added_row(record: TaskRecord, seq: int, once: bool) -> Row:
    """Return a new task as a row, as many of :data:`ADDED` as it needs.

    Raises:
        NotStorableError: Some part of the task cannot be written.
    """
    args, kwargs, task_id, name = record.args, record.kwargs, record.id, record.function.name
    if not (task_id.isascii() and name.isascii()) and not (is_text(task_id) and is_text(name)):
        raise NotStorableError(f"{task_id!r} or {name!r} is no text that UTF-8 can express")
    bare = (seq, task_id, name, record.created + record.wall_offset)
    if record.priority or once or record.metadata or record.timeout is not None:
        options = (record.priority, record.timeout, once, encoded_metadata(record.metadata))
        return (*bare, encoded_call(record.function, args, kwargs), *options)
    return (*bare, encoded_call(record.function, args, kwargs)) if args or kwargs else bare


def noted_rows(records: Sequence[TaskRecord]) -> tuple[list[Row], list[Row]]:
    """Return what is written of those tasks that go on, and of those that ended."""
    moved: list[Row] = []
    ended: list[Row] = []
    for record in records:
        if TRANSITIONS[record.status]:
            moved.append(moved_row(record))
        else:
            ended.append(ended_row(record))
    return moved, ended


def moved_row(record: TaskRecord) -> Row:
    """Return what can change about a task before its end."""
    return (
        *(record.id, CODES[record.status], record.phase, record.attempt, record.updates, record.progress),
        not record.function.idempotent,
        record.started + record.wall_offset if record.attempt else None,
        record.priority,
    )


def ended_row(record: TaskRecord) -> Row:
    """Return what can change about a task, its end included: of :data:`DONE`, :data:`REPORTED` or :data:`ENDED`."""
    result: bytes | None = None
    error: str | None = None
    detail: bytes | None = None
    if record.status is COMPLETED:
        if record.result is not None:
            result, detail = encoded_result(record.result)
        if detail is None and record.attempt and (record.ticket is None or not record.ticket.from_cache):
            wall_offset = record.wall_offset
            started, ended = record.started + wall_offset, record.ended + wall_offset
            if record.attempt == 1 and not record.updates:
                return (record.id, started, ended) if result is None else (record.id, started, ended, result)
            changed = (record.attempt, record.updates, record.progress, record.priority)
            return (record.id, started, ended, result, *changed)
    elif record.status is FAILED:
        error, detail = encoded_error(record)
    from_cache = record.ticket is not None and record.ticket.from_cache
    return (*moved_row(record), record.ended + record.wall_offset, result, error, detail, from_cache)


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
        phase=phase if TRANSITIONS[status] else None,
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


PIECES: Final = (1, 4, 16, 64, 128, 256, 512)
"""How many rows one statement takes. Each size is prepared once, and what is left of it filled up.

One statement for many rows, because after each the thread may have to wait for its turn to run.
"""

Statement = Callable[[int], str]


@cache
def insertion(width: int) -> Statement:
    """Return what makes the statement that adds rows of so many columns, but for those whose id is taken."""
    names = ",".join(ADDED[:width])

    @cache
    def statement(count: int) -> str:
        return f"INSERT INTO task ({names}) VALUES {_places(width, count)} ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours

    return statement


def update(columns: tuple[str, ...], constants: str = "") -> Statement:
    """Return what makes the statement that writes these columns of rows, found by the first one.

    Args:
        columns: Their names.
        constants: What is written of each, too.
    """
    key, *changed = columns
    new = ",".join(f"{column} = new.{column}" for column in changed)

    @cache
    def statement(count: int) -> str:
        return (
            f"WITH new ({','.join(columns)}) AS (VALUES {_places(len(columns), count)}) "  # noqa: S608 - names of ours
            f"UPDATE task SET {constants}{new} FROM new WHERE task.{key} = new.{key}"
        )

    return statement


def _places(width: int, count: int) -> str:
    return ",".join([f"({','.join('?' * width)})"] * count)
