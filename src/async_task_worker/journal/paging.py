"""A page of tasks, looked for in pieces: between two of them, the thread of the file does what others wait for.

First the tasks are found, without reading large results. Then those that are wanted are read
as a whole; but not those the process has in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple

from ..model.query import Cursors, Position, TaskPage, TaskQuery
from ..model.status import TaskInfo
from .history import SMALL, Places, read_by_number
from .rows import Row, info_of
from .serialization import decoded_metadata

_TURN: Final = 0.005
"""Seconds after which others get their turn."""

_MOST_READ: Final = 2_000
"""Rows one page reads the texts of."""

_MOST_ASKED: Final = 2**62
"""Rows that SQLite can count to."""

_TEXTS_AT_ONCE: Final = 50
_ROWS_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 1 << 20
"""Bytes of results that are read at a time, or one that is larger."""


class _Found(NamedTuple):
    """A task of the page.

    Attributes:
        seq: Its number.
        created_at: When it was added.
        task_id: Its id.
        size: Bytes of its result.
    """

    seq: int
    created_at: float
    task_id: str
    size: int


class PageSearch:
    """Looks for the newest tasks that match, from the cursor on.

    Args:
        query: What is wanted.
        cursors: Reads its cursor, and makes the next one.

    Raises:
        ValueError: The cursor is invalid.
    """

    def __init__(self, query: TaskQuery, cursors: Cursors) -> None:
        self._query = query
        self._cursors = cursors
        self._places = Places(query, cursors.position(query))
        self._left = min(query.limit, _MOST_ASKED) if query.text is None else _MOST_READ
        self._found: list[_Found] = []
        self._last: _Found | None = None  # that was looked at
        self._more = False
        self._infos: dict[int, TaskInfo] = {}
        self._unread: list[_Found] = []

    def find(self, connection: Any) -> bool:
        """Look for tasks for a few milliseconds; return whether the page is complete."""
        until = perf_counter() + _TURN
        if not self._places.prepare(connection):
            return True
        while not self._find_some(connection):
            if perf_counter() >= until:
                return False
        return True

    def take_known(self, known: Callable[[str], TaskInfo | None]) -> bool:
        """Take the snapshots of tasks that the process has in memory; return whether there are others."""
        for found in self._found:
            info = known(found.task_id)
            if info is not None:
                self._infos[found.seq] = info
            elif found.seq not in self._infos:
                self._unread.append(found)
        return bool(self._unread)

    def read(self, connection: Any) -> bool:
        """Read tasks of the page for a few milliseconds; return whether all are read."""
        until = perf_counter() + _TURN
        while self._unread:
            self._infos.update(read_by_number(connection, self._next_numbers()))
            if perf_counter() >= until:
                break
        return not self._unread

    def page(self) -> TaskPage:
        """Return the page; a task that was forgotten meanwhile is not in it."""
        infos = [self._infos[found.seq] for found in self._found if found.seq in self._infos]
        if not self._more or self._last is None:
            return TaskPage(infos, None)
        position = Position(self._last.created_at, self._last.seq, self._last.task_id)
        return TaskPage(infos, self._cursors.at(position, self._query))

    def _find_some(self, connection: Any) -> bool:
        """Look at the next rows; return whether the page is complete."""
        text, limit = self._query.text, self._query.limit
        wanted = min(_ROWS_AT_ONCE if text is None else _TEXTS_AT_ONCE, self._left)
        rows = self._places.next(connection, wanted + 1)
        for place, row in enumerate(rows[:wanted], 1):
            self._last = _Found(*row[:4])
            if text is None or _has(text, row):
                self._found.append(self._last)
                if text is None and self._last.size <= SMALL:
                    self._infos[self._last.seq] = info_of(row[4:])
                if len(self._found) == limit:
                    self._more = place < len(rows)
                    return True
        self._left -= wanted
        if len(rows) <= wanted or not self._left:
            self._more = len(rows) > wanted
            return True
        self._places.go_on(rows[wanted - 1])
        return False

    def _next_numbers(self) -> str:
        """Return the numbers of the tasks to read next, as JSON."""
        size = count = 0
        for found in self._unread[:_ROWS_AT_ONCE]:
            size += found.size
            if count and size > _BYTES_AT_ONCE:
                break
            count += 1
        numbers = [found.seq for found in self._unread[:count]]
        del self._unread[:count]
        return json.dumps(numbers)


def _has(text: str, row: Row) -> bool:
    return any(text in written.casefold() for written in _texts(*row[4:]))


def _texts(task_id: str, name: str, error: str | None, metadata: bytes | None) -> Iterator[str]:
    yield task_id
    yield name
    yield error or ""
    for value in (decoded_metadata(metadata) or {}).values():
        if isinstance(value, str):
            yield value
