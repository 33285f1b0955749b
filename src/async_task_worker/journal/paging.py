"""Search for a page of tasks in short steps, between which the thread can do other work.

First the matching tasks are found without reading large results. Then the tasks of the page are
read completely, except those that are in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple

from ..model.query import Cursors, Position, TaskPage, TaskQuery
from ..model.status import TaskInfo
from .history import SMALL_RESULT, MatchingRows, read_by_seq
from .rows import Row, info_of
from .serialization import decode_metadata

_MAX_STEP: Final = 0.005
"""Seconds after which a step ends."""

_MAX_TEXT_SCANNED: Final = 2_000
"""Rows that one page searches for a text."""

_MAX_LIMIT: Final = 2**62
"""A limit that SQLite accepts."""

_TEXT_CHUNK: Final = 50
"""Rows that one query reads to search them for a text."""

_ROW_CHUNK: Final = 100
"""Rows that one query reads otherwise."""

_MAX_CHUNK_BYTES: Final = 1 << 20
"""Bytes of results that one query reads. One larger result is read alone."""


class _Found(NamedTuple):
    """A task that was found.

    Attributes:
        seq: Its sequence number.
        created_at: The time it was added.
        task_id: Its id.
        size: The size of its result in bytes.
    """

    seq: int
    created_at: float
    task_id: str
    size: int


class PageSearch:
    """Searches for the newest tasks that match a query, from its cursor on.

    Args:
        query: The query.
        cursors: Decodes its cursor and makes the next one.

    Raises:
        ValueError: The cursor is invalid.
    """

    def __init__(self, query: TaskQuery, cursors: Cursors) -> None:
        self._query = query
        self._cursors = cursors
        self._matching = MatchingRows(query, cursors.position(query))
        self._to_scan = min(query.limit, _MAX_LIMIT) if query.text is None else _MAX_TEXT_SCANNED
        self._found: list[_Found] = []
        self._last: _Found | None = None  # the last row that was scanned
        self._has_more = False
        self._infos: dict[int, TaskInfo] = {}
        self._unread: list[_Found] = []

    def find(self, connection: Any) -> bool:
        """Find tasks for a few milliseconds; return whether all of the page are found."""
        deadline = perf_counter() + _MAX_STEP
        if not self._matching.prepare(connection):
            return True
        while not self._find_chunk(connection):
            if perf_counter() >= deadline:
                return False
        return True

    def take_known(self, known: Callable[[str], TaskInfo | None]) -> bool:
        """Take the snapshots of tasks that are in memory; return whether any are left to read."""
        for found in self._found:
            info = known(found.task_id)
            if info is not None:
                self._infos[found.seq] = info
            elif found.seq not in self._infos:
                self._unread.append(found)
        return bool(self._unread)

    def read(self, connection: Any) -> bool:
        """Read tasks of the page for a few milliseconds; return whether all of them are read."""
        deadline = perf_counter() + _MAX_STEP
        while self._unread:
            self._infos.update(read_by_seq(connection, self._next_seqs()))
            if perf_counter() >= deadline:
                break
        return not self._unread

    def page(self) -> TaskPage:
        """Return the page, without tasks that were deleted since they were found."""
        infos = [self._infos[found.seq] for found in self._found if found.seq in self._infos]
        if not self._has_more or self._last is None:
            return TaskPage(infos, None)
        position = Position(self._last.created_at, self._last.seq, self._last.task_id)
        return TaskPage(infos, self._cursors.at(position, self._query))

    def _find_chunk(self, connection: Any) -> bool:
        """Scan the next rows; return whether all tasks of the page are found."""
        text, limit = self._query.text, self._query.limit
        count = min(_ROW_CHUNK if text is None else _TEXT_CHUNK, self._to_scan)
        rows = self._matching.next(connection, count + 1)
        for index, row in enumerate(rows[:count], 1):
            self._last = _Found(*row[:4])
            if text is None or _contains(text, row):
                self._found.append(self._last)
                if text is None and self._last.size <= SMALL_RESULT:
                    self._infos[self._last.seq] = info_of(row[4:])
                if len(self._found) == limit:
                    self._has_more = index < len(rows)
                    return True
        self._to_scan -= count
        if len(rows) <= count or not self._to_scan:
            self._has_more = len(rows) > count
            return True
        self._matching.continue_after(rows[count - 1])
        return False

    def _next_seqs(self) -> str:
        """Return the sequence numbers of the tasks to read next, as JSON."""
        size = count = 0
        for found in self._unread[:_ROW_CHUNK]:
            size += found.size
            if count and size > _MAX_CHUNK_BYTES:
                break
            count += 1
        seqs = [found.seq for found in self._unread[:count]]
        del self._unread[:count]
        return json.dumps(seqs)


def _contains(text: str, row: Row) -> bool:
    return any(text in searched.casefold() for searched in _texts(*row[4:]))


def _texts(task_id: str, name: str, error: str | None, metadata: bytes | None) -> Iterator[str]:
    yield task_id
    yield name
    yield error or ""
    for value in (decode_metadata(metadata) or {}).values():
        if isinstance(value, str):
            yield value
