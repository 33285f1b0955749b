"""Queries of stored tasks: one by its id, or those that match a query, newest first."""

from __future__ import annotations

from typing import Any, Final

from ..model.query import Position, TaskQuery
from ..model.status import COMPLETED, TaskInfo
from .rows import INFO_COLUMNS, STATUS_CODES, TERMINAL_CODES, Row, info_of

_FEW: Final = 500
"""With no more tasks of a type than this, its index is used rather than the index of a status."""

_MIN_TERMINAL_CODE: Final = min(TERMINAL_CODES)
_COLUMNS: Final = ",".join(INFO_COLUMNS)
_POSITION: Final = "seq, created_at, id, coalesce(length(result), 0)"  # SQLite knows the length without reading it
_TEXTS: Final = "id, name, error, metadata"
SMALL_RESULT: Final = 4096
"""Bytes of a result up to which it is read together with its row."""
_WITHOUT_LARGE: Final = _COLUMNS.replace("result", f"CASE WHEN length(result) <= {SMALL_RESULT} THEN result END", 1)
_SEQ: Final = INFO_COLUMNS.index("seq")
_MAX_ROUNDING: Final = 0.001
"""Seconds by which the creation time in the file may differ from the one in a cursor made in memory."""


def find(connection: Any, task_id: str) -> TaskInfo | None:
    """Return the snapshot of a stored task, or None if there is no such task."""
    try:
        row = connection.execute(f"SELECT {_COLUMNS} FROM task WHERE id = ?", [task_id]).fetchone()  # noqa: S608 - constants
    except UnicodeEncodeError:  # a text with a lone surrogate is never stored
        return None
    return None if row is None else info_of(row)


def read_by_seq(connection: Any, seqs: str) -> dict[int, TaskInfo]:
    """Return snapshots of tasks by sequence number; *seqs* is a JSON array of those."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM task WHERE seq IN (SELECT value FROM json_each(?))",  # noqa: S608 - constants
        [seqs],
    ).fetchall()
    return {row[_SEQ]: info_of(row) for row in rows}


class MatchingRows:
    """The rows that match a query, newest first, in chunks and without large results.

    Each row begins with: sequence number, creation time, id, size of the result in bytes. If the
    query has a text, the columns that are searched for it follow: id, name, error, metadata.
    Otherwise :data:`INFO_COLUMNS` follow, with NULL in place of a large result.

    Args:
        query: The query.
        position: The position of its cursor; None to begin with the newest task.
    """

    def __init__(self, query: TaskQuery, position: Position | None) -> None:
        self._query = query
        self._position = position
        self._has_few_of_type: bool | None = None
        self._columns = f"{_POSITION}, {_WITHOUT_LARGE if query.text is None else _TEXTS}"

    def prepare(self, connection: Any) -> bool:
        """Choose the index, the first time this is called; return False if no row can match."""
        try:
            if self._has_few_of_type is None:
                self._has_few_of_type = _has_few(connection, self._query.task_type)
                self._position = _as_stored(connection, self._position)
        except UnicodeEncodeError:  # a text with a lone surrogate is never stored
            return False
        return True

    def next(self, connection: Any, count: int) -> list[Row]:
        """Return the next *count* rows, or fewer at the end."""
        conditions, values = _conditions(self._query, self._position, few=bool(self._has_few_of_type))
        rows: list[Row] = connection.execute(
            f"SELECT {self._columns} FROM task WHERE {' AND '.join(conditions)}"  # noqa: S608 - the values are bound
            f" ORDER BY created_at DESC, seq DESC LIMIT {count}",
            values,
        ).fetchall()
        return rows

    def continue_after(self, last: Row) -> None:
        """Let the next rows be those after *last*."""
        seq, created_at, task_id = last[:3]
        self._position = Position(created_at, seq, task_id)


def _has_few(connection: Any, task_type: str | None) -> bool:
    """Whether there are at most :data:`_FEW` tasks of this type."""
    one_more = connection.execute("SELECT 1 FROM task WHERE name = ? LIMIT 1 OFFSET ?", [task_type, _FEW]).fetchone()
    return one_more is None


def _conditions(query: TaskQuery, position: Position | None, *, few: bool) -> tuple[list[str], list[Any]]:
    terms: list[tuple[str, list[Any]]] = [("1", [])]
    codes = sorted(STATUS_CODES[status] for status in query.statuses or ())
    if query.statuses is not None:
        terms.append((f"status IN ({','.join(map(str, codes))})", []))
        if codes and codes[0] >= _MIN_TERMINAL_CODE:
            terms.append((f"status >= {_MIN_TERMINAL_CODE}", []))  # the literal condition of the partial index
    if query.task_type is not None:
        # Few tasks fail, so the status index finds them faster, unless there are few of the type. The + disables the
        # index of the type.
        rare = bool(codes) and codes[0] > STATUS_CODES[COMPLETED] and not few
        terms.append(("+name = ?" if rare else "name = ?", [query.task_type]))
    if query.before is not None:
        terms.append(("created_at < ?", [query.before]))
    if query.after is not None:
        terms.append(("created_at >= ?", [query.after]))
    if position is not None:
        created, seq, _ = position
        terms.append(("created_at <= ? AND (created_at < ? OR seq < ?)", [created, created, seq]))
    return [condition for condition, _ in terms], [value for _, values in terms for value in values]


def _as_stored(connection: Any, position: Position | None) -> Position | None:
    """Return the position with the sequence number and time in the file, if it comes from a cursor made in memory.

    Memory numbers tasks in another way and rounds their times.
    """
    if position is None:
        return None
    created_at, _, task_id = position
    found = connection.execute("SELECT created_at, seq FROM task WHERE id = ?", [task_id]).fetchone()
    if found is None or abs(found[0] - created_at) >= _MAX_ROUNDING:
        return position
    created_at, seq = found
    return Position(created_at, seq, task_id)
