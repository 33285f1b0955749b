"""What becomes of the tasks whose process died: one transaction when the file is opened next."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final, NamedTuple

from ..model.record import TaskRecord
from ..model.validation import LOWEST_PRIORITY
from .rows import Row

_END_FAILED: Final = """
    UPDATE task SET status = 3, phase = NULL, ended_at = :now, recoveries = recoveries + 1, error = {error}
    WHERE status = 1 AND {condition}
"""
_DIED_AGAIN: Final = _END_FAILED.format(
    error="'worker died ' || (recoveries + 1) || ' times while running this task'",
    condition="recoveries + 1 >= :deaths",
)
_NOT_TWICE: Final = _END_FAILED.format(
    error="'worker died while running this task, which must not run twice'", condition="once"
)
_AGAIN: Final = """
    UPDATE task SET status = 0, phase = 'recovered', recoveries = recoveries + 1, changes = changes + 1
    WHERE status = 1
"""

_UNFINISHED: Final = (
    "seq, id, name, priority, created_at, changes OR once OR timeout IS NOT NULL OR metadata IS NOT NULL"
)
"""The last says whether there is more: whatever happened to a task that is pending again has changed it."""
_MORE: Final = """
    SELECT seq, phase, attempt, changes, progress, timeout, metadata, started_at, once FROM task
    WHERE seq IN (SELECT value FROM json_each(?))
"""
_BEFORE_ALL: Final = LOWEST_PRIORITY, 0
_SMALL_KIB: Final = 1024
_CHUNK: Final = 1_000
"""How many unfinished tasks are read at a time."""

WINDOW: Final = 500
"""How many tasks' arguments are read ahead."""


class OpenResult(NamedTuple):
    """What was found in a file when it was opened.

    Attributes:
        last_seq: The highest number given to a task.
        finished: How many finished tasks there are.
        unclean_shutdown: Whether the last owner did not close the file.
    """

    last_seq: int
    finished: int
    unclean_shutdown: bool


class UnfinishedRows(NamedTuple):
    """Some of the tasks that are pending.

    Attributes:
        rows: What there is to know of each in the order of their turns: number, id, type, priority,
            when it was added, whether there is more.
        more: That, by number: phase, attempt, changes, progress, timeout, metadata, its last start.
    """

    rows: list[Row]
    more: dict[int, Row]


def recover(connection: Any, max_recoveries: int, now: float) -> OpenResult:
    """Make the running tasks pending again, or failed, and return what there is. Within a transaction."""
    connection.execute(_NOT_TWICE, {"now": now})
    connection.execute(_DIED_AGAIN, {"now": now, "deaths": max(max_recoveries, 1)})
    connection.execute(_AGAIN)
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM task").fetchone()[0]
    finished = connection.execute("SELECT count(*) FROM task WHERE status >= 2").fetchone()[0]
    in_use = connection.execute("SELECT 1 FROM fact WHERE name = 'in use'").fetchone()
    connection.execute("INSERT INTO fact VALUES ('in use', 1) ON CONFLICT DO NOTHING")
    return OpenResult(last_seq=last, finished=finished, unclean_shutdown=in_use is not None)


def read_unfinished(connection: Any, take: Callable[[UnfinishedRows], bool]) -> None:
    """Hand *take* all pending tasks, some at a time, in the order of their turns, as long as it returns True."""
    last = _BEFORE_ALL
    with _small_cache(connection):
        while (found := _unfinished_after(connection, *last)).rows:
            last = found.rows[-1][3], found.rows[-1][0]
            if not take(found):
                return


@contextmanager
def _small_cache(connection: Any) -> Iterator[None]:
    """Keep few pages of the file in memory, where each is read once only."""
    usual = connection.execute("PRAGMA cache_size").fetchone()[0]
    connection.execute(f"PRAGMA cache_size = -{_SMALL_KIB}").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA cache_size = {usual}").fetchall()


def _unfinished_after(connection: Any, priority: int, seq: int) -> UnfinishedRows:
    """Return the next tasks. Of most there is little to know, and every value read of a million costs time."""
    rows = _next_in_turn(connection, _UNFINISHED, priority, seq, _CHUNK)
    longer = [row[0] for row in rows if row[5]]
    more = connection.execute(_MORE, [json.dumps(longer)]).fetchall() if longer else ()
    return UnfinishedRows(rows, {row[0]: row[1:] for row in more})


def read_arguments(connection: Any, record: TaskRecord) -> list[Row]:
    """Return the id and the arguments of a task and of those whose turn comes after it."""
    own = connection.execute("SELECT seq, id, arguments FROM task WHERE id = ?", [record.id]).fetchall()
    following = [_next_in_turn(connection, "seq, id, arguments", record.priority, row[0], WINDOW) for row in own]
    return [row[1:] for row in chain(own, *following)]


def _next_in_turn(connection: Any, columns: str, priority: int, seq: int, limit: int) -> list[Row]:
    """Return pending tasks in the order of their turns: two searches, each of which begins where it should."""
    select = f"SELECT {columns} FROM task INDEXED BY task_pending WHERE status = 0 AND"  # noqa: S608 - columns of ours
    rows: list[Row] = connection.execute(
        f"{select} priority = ? AND seq > ? ORDER BY priority, seq LIMIT ?", [priority, seq, limit]
    ).fetchall()
    if len(rows) < limit:
        rows += connection.execute(
            f"{select} priority > ? ORDER BY priority, seq LIMIT ?", [priority, limit - len(rows)]
        ).fetchall()
    return rows
