"""Asking the file about tasks of all times: one by its id, or those that match, newest first."""

from __future__ import annotations

from typing import Any, Final

from ..model.query import Position, TaskQuery
from ..model.status import COMPLETED, TaskInfo
from .rows import CODES, FINISHED, SHOWN, Row, info_of

_FEW: Final = 500
"""Tasks of one type that are looked at sooner than those of a status."""

_LEAST_FINISHED: Final = min(FINISHED)
_COLUMNS: Final = ",".join(SHOWN)
_PLACE: Final = "seq, created_at, id, coalesce(length(result), 0)"  # a length is known without reading the result
_TEXTS: Final = "id, name, error, metadata"
SMALL: Final = 4096
"""Bytes of a result that is read at once, where no text is looked for."""
_WITHOUT_LARGE: Final = _COLUMNS.replace("result", f"CASE WHEN length(result) <= {SMALL} THEN result END", 1)
_SEQ: Final = SHOWN.index("seq")
_AS_ADDED: Final = 0.001
"""Seconds by which the time a task was added may differ from that in a cursor made in memory."""


def find(connection: Any, task_id: str) -> TaskInfo | None:
    """Return what is written of a task, or None."""
    try:
        row = connection.execute(f"SELECT {_COLUMNS} FROM task WHERE id = ?", [task_id]).fetchone()  # noqa: S608
    except UnicodeEncodeError:  # it is no text, and nothing is written of such
        return None
    return None if row is None else info_of(row)


def read_by_number(connection: Any, numbers: str) -> dict[int, TaskInfo]:
    """Return the tasks of these numbers, a JSON array, by number."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM task WHERE seq IN (SELECT value FROM json_each(?))",  # noqa: S608 - names of ours
        [numbers],
    ).fetchall()
    return {row[_SEQ]: info_of(row) for row in rows}


class Places:
    """The rows that match a query, newest first, some at a time, without what is large.

    Of each: number, time it was added, id, size of the result; then what a text is looked for
    in: id, name, error, metadata; or, without a text, :data:`SHOWN`, but for large results.

    Args:
        query: What is wanted.
        position: Where to begin, as its cursor says.
    """

    def __init__(self, query: TaskQuery, position: Position | None) -> None:
        self._query = query
        self._position = position
        self._are_few: bool | None = None
        self._columns = f"{_PLACE}, {_WITHOUT_LARGE if query.text is None else _TEXTS}"

    def prepare(self, connection: Any) -> bool:
        """Look how the rows are found soonest, the first time; return False if there can be none."""
        try:
            if self._are_few is None:
                self._are_few = _are_few(connection, self._query.task_type)
                self._position = _exact(connection, self._position)
        except UnicodeEncodeError:  # it is no text, and nothing is written of such
            return False
        return True

    def next(self, connection: Any, count: int) -> list[Row]:
        """Return the next rows, so many at most."""
        conditions, values = _conditions(self._query, self._position, few=bool(self._are_few))
        rows: list[Row] = connection.execute(
            f"SELECT {self._columns} FROM task WHERE {' AND '.join(conditions)}"  # noqa: S608 - the values are bound
            f" ORDER BY created_at DESC, seq DESC LIMIT {count}",
            values,
        ).fetchall()
        return rows

    def go_on(self, last: Row) -> None:
        """Have the next rows be those after this one."""
        seq, created_at, task_id = last[:3]
        self._position = Position(created_at, seq, task_id)


def _are_few(connection: Any, task_type: str | None) -> bool:
    """Whether there are few tasks of this type."""
    beyond = connection.execute("SELECT 1 FROM task WHERE name = ? LIMIT 1 OFFSET ?", [task_type, _FEW]).fetchone()
    return beyond is None


def _conditions(query: TaskQuery, position: Position | None, *, few: bool) -> tuple[list[str], list[Any]]:
    asked: list[tuple[str, list[Any]]] = [("1", [])]
    codes = sorted(CODES[status] for status in query.statuses or ())
    if query.statuses is not None:
        asked.append((f"status IN ({','.join(map(str, codes))})", []))
        if codes and codes[0] >= _LEAST_FINISHED:
            asked.append((f"status >= {_LEAST_FINISHED}", []))  # to the letter what its partial index says
    if query.task_type is not None:
        # Few tasks fail: their index is the shorter way, unless there are few of the type.
        rare = bool(codes) and codes[0] > CODES[COMPLETED] and not few
        asked.append(("+name = ?" if rare else "name = ?", [query.task_type]))
    if query.before is not None:
        asked.append(("created_at < ?", [query.before]))
    if query.after is not None:
        asked.append(("created_at >= ?", [query.after]))
    if position is not None:
        created, seq, _ = position
        asked.append(("created_at <= ? AND (created_at < ? OR seq < ?)", [created, created, seq]))
    return [condition for condition, _ in asked], [value for _, values in asked for value in values]


def _exact(connection: Any, position: Position | None) -> Position | None:
    """Return the position as the file has it: memory numbers tasks in its own way, and rounds their times."""
    if position is None:
        return None
    created_at, _, task_id = position
    found = connection.execute("SELECT created_at, seq FROM task WHERE id = ?", [task_id]).fetchone()
    if found is None or abs(found[0] - created_at) >= _AS_ADDED:
        return position
    created_at, seq = found
    return Position(created_at, seq, task_id)
