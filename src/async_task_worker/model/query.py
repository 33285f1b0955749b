"""What to look for among the tasks, and a page of what was found: the nouns every backend's search speaks in."""

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
"""Of a cursor: version, when the task was added, its number, digest of the filters. Then come its id and a checksum."""

_VERSION: Final = 1
_CHECK: Final = 8
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks are wanted, checked already. What is None does not matter.

    Attributes:
        statuses: In one of these.
        task_type: Of this name.
        before: Added earlier than this, in seconds since the epoch.
        after: Added then or later.
        text: Casefolded; occurs in the id, the name, the error, or a value of the metadata.
        limit: At most this many in a page.
        cursor: Where the page before ended, as its backend returned it.
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
    """Some of the tasks that were searched for, newest first.

    Attributes:
        tasks: As they were at that moment. A page may hold fewer than were asked for, even
            none, and still not be the last: the search stops where it would take too long.
        next_cursor: What to search on with, with the same filters; None after the last page, and
            only after that.
    """

    tasks: list[TaskInfo]
    next_cursor: str | None


def moment_of(name: str, value: object) -> float | None:
    """Return seconds since the epoch for an aware datetime, None for None, else raise."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {value!r}")
    if value.tzinfo is None:
        raise ValueError(f"{name} must have a time zone: datetime.now(UTC), not datetime.now()")
    return value.timestamp()


class Position(NamedTuple):
    """The place in a list of tasks right after one of them, for memory and file alike.

    Attributes:
        created_at: When the task was added, in seconds since the epoch.
        seq: Its number in the order of arrival, for tasks added at the same moment; as the store counts.
        task_id: Its id.
    """

    created_at: float
    seq: int
    task_id: str


class Cursors:
    """Makes and reads the cursors of one worker.

    A cursor is opaque text: a position, a digest of the filters it was returned for, and a
    checksum. So a changed text, the cursor of another worker and changed filters are noticed.

    Args:
        key: What tells this worker's cursors from those of others.
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
        return data[:-_CHECK], data[-_CHECK:]

    def _checksum(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=_CHECK, key=self._key).digest()


def filters_digest(query: TaskQuery) -> bytes:
    """Return a digest of what the query looks for, which has to stay the same from page to page."""
    statuses = None if query.statuses is None else sorted(map(str, query.statuses))
    wanted = repr((statuses, query.task_type, query.before, query.after, query.text))
    return blake2b(wanted.encode("ascii", "backslashreplace"), digest_size=8).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _invalid(cursor: str) -> ValueError:
    shown = cursor if len(cursor) <= _SHOWN else f"{cursor[:_SHOWN]}…"
    return ValueError(
        f"{shown!a} is not a cursor that a search of this worker returned: pass the next_cursor of the page before "
        "unchanged, or None for the first page"
    )
