"""TaskQuery, TaskPage and Cursors: the input and output of each backend's search."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from .status import TaskInfo, TaskStatus

_HEAD: Final = struct.Struct(">Bdq8s")
"""Head of a cursor: version, creation time, number and digest of the filters. The task id and a checksum follow."""

_VERSION: Final = 1
_CHECKSUM_SIZE: Final = 8
_MAX_CURSOR_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """The filters of a search, validated. A filter of None matches all tasks.

    Attributes:
        statuses: The status is one of these.
        task_type: The name is this one.
        before: Added earlier than this, in seconds since the epoch.
        after: Added at this time or later, in seconds since the epoch.
        text: Casefolded; it is part of the id, the name, the error, or a value of the metadata.
        limit: The maximum number of tasks in a page.
        cursor: The ``next_cursor`` of the page before; None for the first page.
    """

    statuses: AbstractSet[TaskStatus] | None = None
    task_type: str | None = None
    before: float | None = None
    after: float | None = None
    text: str | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of the tasks that match a search, newest first.

    Attributes:
        tasks: Snapshots of the tasks. A page may have fewer than the limit, even none, and not be the
            last one: a search stops before it takes too long.
        next_cursor: The cursor for the next page, with the same filters. None only after the last page.
    """

    tasks: list[TaskInfo]
    next_cursor: str | None


def timestamp_of(name: str, value: object) -> float | None:
    """Return seconds since the epoch for an aware datetime, None for None, else raise."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {value!r}")
    if value.tzinfo is None:
        raise ValueError(f"{name} must have a time zone: datetime.now(UTC), not datetime.now()")
    return value.timestamp()


class Position(NamedTuple):
    """The position right after a task in a list of tasks, in memory or in a file.

    Attributes:
        created_at: When the task was added, in seconds since the epoch.
        seq: A number in the order in which tasks were added, which each backend assigns.
        task_id: The id of the task.
    """

    created_at: float
    seq: int
    task_id: str


class Cursors:
    """Makes and reads the cursors of one worker.

    A cursor is opaque text: a position, a digest of the filters that it was returned for, and a
    checksum. So a changed text, a cursor of another worker and changed filters are detected.

    Args:
        key: A key that is different for each worker.
        lasting: Whether positions outlive the process, so that only the wall clock can order them.
    """

    def __init__(self, key: bytes, *, lasting: bool) -> None:
        self._key = blake2b(key).digest()
        self.lasting = lasting

    def at(self, position: Position, query: TaskQuery) -> str:
        """Return the cursor for a position in the tasks that match *query*."""
        created_at, seq, task_id = position
        head = _HEAD.pack(_VERSION, created_at, seq, filters_digest(query))
        body = head + task_id.encode("utf-8", "surrogatepass")
        return _text(body + self._checksum(body))

    def position(self, query: TaskQuery) -> Position | None:
        """Return the position of the query's cursor; None without one.

        Raises:
            ValueError: It is not a cursor of this worker, or was returned for other filters.
        """
        if query.cursor is None:
            return None
        body, check = self._parts(query.cursor)
        if len(body) <= _HEAD.size or check != self._checksum(body):
            raise _invalid(query.cursor)
        version, created_at, seq, digest = _HEAD.unpack(body[: _HEAD.size])
        if version != _VERSION:
            raise _invalid(query.cursor)
        if digest != filters_digest(query):
            raise ValueError(
                "the filters differ from those of the page that returned this cursor: repeat all of them for "
                "each page (only limit may change), or leave out the cursor to begin again"
            )
        return Position(created_at, seq, body[_HEAD.size :].decode("utf-8", "surrogatepass"))

    def _parts(self, cursor: str) -> tuple[bytes, bytes]:
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid(cursor) from None
        if _text(data) != cursor:  # several texts decode to the same bytes
            raise _invalid(cursor)
        return data[:-_CHECKSUM_SIZE], data[-_CHECKSUM_SIZE:]

    def _checksum(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=_CHECKSUM_SIZE, key=self._key).digest()


def filters_digest(query: TaskQuery) -> bytes:
    """Return a digest of the query's filters, which have to stay the same from page to page."""
    statuses = None if query.statuses is None else sorted(map(str, query.statuses))
    wanted = repr((statuses, query.task_type, query.before, query.after, query.text))
    return blake2b(wanted.encode("ascii", "backslashreplace"), digest_size=8).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _invalid(cursor: str) -> ValueError:
    shown = cursor if len(cursor) <= _MAX_CURSOR_SHOWN else f"{cursor[:_MAX_CURSOR_SHOWN]}…"
    return ValueError(
        f"{shown!a} is not a cursor that a search of this worker returned: pass the next_cursor of the page before "
        "unchanged, or None for the first page"
    )
