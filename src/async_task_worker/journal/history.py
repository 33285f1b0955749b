"""Asking the file about tasks of all times: one by its id, or a page of those that match, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..search import Cursors, Position, TaskPage, TaskQuery
from ..status import COMPLETED, TaskInfo
from .rows import CODES, FINISHED, SHOWN, Row, info_of

_MOST_READ: Final = 2_000
"""Rows one page reads the texts of: everything else waits meanwhile."""

_MOST_ASKED: Final = 2**62
"""Rows that SQLite can count to, and one more."""

_FEW: Final = 500
"""Tasks of one type that are looked at sooner than those of a status."""

_LEAST_FINISHED: Final = min(FINISHED)
_COLUMNS: Final = ",".join(SHOWN)
_SEQ, _ID, _CREATED = SHOWN.index("seq"), SHOWN.index("id"), SHOWN.index("created_at")
_AS_ADDED: Final = 0.001
"""Seconds by which the time a task was added may differ from that in a cursor made in memory."""


def find(connection: Any, task_id: str) -> TaskInfo | None:
    """Return what is written of a task, or None."""
    try:
        row = connection.execute(f"SELECT {_COLUMNS} FROM task WHERE id = ?", [task_id]).fetchone()  # noqa: S608
    except UnicodeEncodeError:  # it is no text, and nothing is written of such
        return None
    return None if row is None else info_of(row)


def search(connection: Any, query: TaskQuery, cursors: Cursors) -> TaskPage:
    """Return the newest tasks that match, from the cursor on.

    Raises:
        ValueError: The cursor is invalid.
    """
    position = cursors.position(query)
    try:
        few = _are_few(connection, query.task_type)
        position = _exact(connection, position)
    except UnicodeEncodeError:  # it is no text, and nothing is written of such
        return TaskPage([], None)
    conditions, values = _conditions(query, position, few=few)
    limit = min(query.limit, _MOST_ASKED) if query.text is None else _MOST_READ
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM task WHERE {' AND '.join(conditions)}"  # noqa: S608 - the values are bound
        f" ORDER BY created_at DESC, seq DESC LIMIT {limit + 1}",
        values,
    ).fetchall()
    seen, more = rows[:limit], len(rows) > limit
    if query.text is None:
        page, last = [info_of(row) for row in seen], seen[-1:]
    else:
        page, last = _with_text(seen, query.text, query.limit)
        more = more or last != seen[-1:]
    return TaskPage(page, cursors.at(_position(*last), query) if more else None)


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


def _with_text(rows: list[Row], text: str, limit: int) -> tuple[list[TaskInfo], list[Row]]:
    """Return those in which the text occurs, and the last row that was looked at."""
    page: list[TaskInfo] = []
    for row in rows:
        info = info_of(row)
        if any(text in written.casefold() for written in _texts(info)):
            page.append(info)
            if len(page) == limit:
                return page, [row]
    return page, rows[-1:]


def _texts(info: TaskInfo) -> Iterator[str]:
    yield info.id
    yield info.name
    yield info.error or ""
    yield from (value for value in info.metadata.values() if isinstance(value, str))


def _position(row: Row) -> Position:
    return Position(row[_CREATED], row[_SEQ], row[_ID])


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
