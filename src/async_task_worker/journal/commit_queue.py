"""Queue of inserts and updates for the next commit; a failed commit is re-queued."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.record import TaskRecord

if TYPE_CHECKING:
    from .rows import Row

AT_ONCE: Final = 512
"""Tasks that one commit adds, and as many that it updates: the loop makes rows of them in a millisecond."""


Arrival = tuple[TaskRecord, "Row", "asyncio.Future[None]"]
"""A new task, what is written of it, and what is done when it is in the file, or cancelled with its caller."""


class Group(NamedTuple):
    """What one commit is about.

    Attributes:
        added: New tasks.
        noted: Tasks whose state is written.
        withdrawn: Numbers of tasks that go, since they were never acknowledged.
        waiting: Who is told when it is done.
    """

    added: list[Arrival]
    noted: list[TaskRecord]
    withdrawn: list[int]
    waiting: list[asyncio.Future[None]]


class Backlog:
    """Collects what is to be written; for one event loop at a time.

    It grows with the callers that wait for their tasks to be durable, and with the tasks
    that end while nothing can be written, each of which was durable before. So when a
    disk fails it comes to an end by itself.

    Attributes:
        added: New tasks.
        noted: Tasks whose state is to be written, by id: notes of one task are merged.
    """

    def __init__(self) -> None:
        self.added: list[Arrival] = []
        self.noted: dict[str, TaskRecord] = {}
        self._withdrawn: list[int] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []  # behind so many additions and notes each

    def __bool__(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.added or self.noted or self._withdrawn or self._waiting)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for some of it."""
        return bool(self.added or self._waiting)

    @property
    def is_long(self) -> bool:
        """Whether there are notes enough for a commit."""
        return len(self.noted) >= AT_ONCE

    def withdraw(self, seq: int) -> None:
        """Have a task taken out that nobody was told of: from here, or else from the file."""
        place = bisect_left(self.added, seq, key=_seq)
        if place < len(self.added) and _seq(self.added[place]) == seq:
            del self.added[place]
        else:
            self._withdrawn.append(seq)

    def wait(self, told: asyncio.Future[None]) -> None:
        """Have *told* done when all that is here now is written."""
        self._waiting.append((max(len(self.added), len(self.noted)), told))

    def take(self) -> Group:
        """Return what the next commit is to write: the oldest there is."""
        most = max(len(self.added), len(self.noted))  # fewer than were ahead of somebody, if some were withdrawn
        added, self.added = self.added[:AT_ONCE], self.added[AT_ONCE:]
        noted = list(islice(self.noted.values(), AT_ONCE))
        if len(noted) == len(self.noted):
            self.noted = {}
        else:
            for record in noted:
                del self.noted[record.id]
        withdrawn, self._withdrawn = self._withdrawn, []
        behind = [(min(ahead, most) - AT_ONCE, told) for ahead, told in self._waiting]
        self._waiting = [entry for entry in behind if entry[0] > 0]
        waiting = [told for ahead, told in behind if ahead <= 0]
        return Group(added, noted, withdrawn, waiting)

    def take_back(self, group: Group) -> None:
        """Keep for a later commit what nobody is told the failure of. All who wait are to be told it."""
        self.noted = {record.id: record for record in group.noted} | self.noted  # the oldest first
        self._withdrawn[:0] = group.withdrawn
        group.waiting.extend(told for _, told in self._waiting)
        self._waiting = []

    def forget(self) -> list[asyncio.Future[None]]:
        """Have nothing written; return the futures of those who wait for it."""
        told = [durable for _, _, durable in self.added] + [told for _, told in self._waiting]
        self.added, self.noted, self._withdrawn, self._waiting = [], {}, [], []
        return told


def _seq(arrival: Arrival) -> int:
    return int(arrival[1][0])
