"""Read the pending tasks of a file in the order they are to start, and their arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final, NamedTuple

from ..model.record import TaskRecord
from ..model.validation import LOWEST_PRIORITY
from .rows import Row

_UNFINISHED: Final = (
    "seq, id, name, priority, created_at, changes OR once OR timeout IS NOT NULL OR metadata IS NOT NULL"
)
"""The last column says whether :data:`_DETAILS` has something to add; a task that is pending again has changes."""
_DETAILS: Final = """
    SELECT seq, phase, attempt, changes, progress, timeout, metadata, started_at, once FROM task
    WHERE seq IN (SELECT value FROM json_each(?))
"""
_BEFORE_FIRST: Final = LOWEST_PRIORITY, 0
_SMALL_KIB: Final = 1024
_CHUNK: Final = 1_000
"""Unfinished tasks that are read at a time."""

PREFETCHED: Final = 500
"""Tasks whose arguments are read ahead."""


class UnfinishedRows(NamedTuple):
    """A chunk of the pending tasks.

    Attributes:
        rows: One row of each task, in the order the tasks are to start: sequence number, id, name, priority,
            time it was added, and whether there are details.
        details: The details by sequence number: phase, attempt, changes, progress, timeout, metadata,
            time of the last start, and whether it must not run twice.
    """

    rows: list[Row]
    details: dict[int, Row]


def read_unfinished(connection: Any, consume: Callable[[UnfinishedRows], bool]) -> None:
    """Pass all pending tasks to *consume*, in chunks, in the order they are to start, until it returns False."""
    last = _BEFORE_FIRST
    with _small_cache(connection):
        while (chunk := _unfinished_after(connection, *last)).rows:
            last = chunk.rows[-1][3], chunk.rows[-1][0]
            if not consume(chunk):
                return


@contextmanager
def _small_cache(connection: Any) -> Iterator[None]:
    """Cache few pages of the file in memory, because each of them is read only once."""
    usual = connection.execute("PRAGMA cache_size").fetchone()[0]
    connection.execute(f"PRAGMA cache_size = -{_SMALL_KIB}").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA cache_size = {usual}").fetchall()


def _unfinished_after(connection: Any, priority: int, seq: int) -> UnfinishedRows:
    """Return the next chunk. Most tasks have no details, and leaving them out makes reading a million tasks faster."""
    rows = _next_pending(connection, _UNFINISHED, priority, seq, _CHUNK)
    seqs = [row[0] for row in rows if row[5]]
    details = connection.execute(_DETAILS, [json.dumps(seqs)]).fetchall() if seqs else ()
    return UnfinishedRows(rows, {row[0]: row[1:] for row in details})


def read_arguments(connection: Any, record: TaskRecord) -> list[Row]:
    """Return the ids and arguments of a task and of the next ones to start after it."""
    own = connection.execute("SELECT seq, id, arguments FROM task WHERE id = ?", [record.id]).fetchall()
    following = [_next_pending(connection, "seq, id, arguments", record.priority, row[0], PREFETCHED) for row in own]
    return [row[1:] for row in chain(own, *following)]


def _next_pending(connection: Any, columns: str, priority: int, seq: int, limit: int) -> list[Row]:
    """Return the pending tasks after the given one, in the order they are to start.

    Two queries, since SQLite would not use the index from the right place for a condition with OR.
    """
    select = f"SELECT {columns} FROM task INDEXED BY task_pending WHERE status = 0 AND"  # noqa: S608 - constants
    rows: list[Row] = connection.execute(
        f"{select} priority = ? AND seq > ? ORDER BY priority, seq LIMIT ?", [priority, seq, limit]
    ).fetchall()
    if len(rows) < limit:
        rows += connection.execute(
            f"{select} priority > ? ORDER BY priority, seq LIMIT ?", [priority, limit - len(rows)]
        ).fetchall()
    return rows
