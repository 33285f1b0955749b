"""What to look for among the tasks, and a page of what was found: the nouns every backend's search speaks in."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .status import TaskInfo, TaskStatus

_MOMENT: Final = struct.Struct(">d")


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
        cursor: Where the page before ended, as its backend said it.
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
        next_cursor: What to search on with; None after the last page.
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


def cursor_at(created: float, task_id: str) -> str:
    """Return the opaque text that stands for the place right after a task."""
    place = _MOMENT.pack(created) + task_id.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode("ascii")


def place_of(cursor: str) -> tuple[float, str]:
    """Return when the task at the cursor was added, and its id.

    Raises:
        ValueError: The text is none of ours.
    """
    try:
        place = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        (created,) = _MOMENT.unpack(place[: _MOMENT.size])
        task_id = place[_MOMENT.size :].decode("utf-8", "surrogatepass")
    except (binascii.Error, struct.error, ValueError):
        raise ValueError("cursor is not one that a search returned") from None
    if not task_id or created != created:  # noqa: PLR0124 - NaN is what differs from itself
        raise ValueError("cursor is not one that a search returned")
    return created, task_id
