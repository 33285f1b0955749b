"""Queue of inserts and updates for the next commit; a failed commit is re-queued."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.record import TaskRecord

if TYPE_CHECKING:
    from .rows import Row

MAX_BATCH: Final = 512
"""Inserts in one commit at most, and as many updates: making their rows blocks the loop for a millisecond."""


PendingInsert = tuple[TaskRecord, "Row", "asyncio.Future[None]"]
"""A new task, its row, and the future that is resolved when the row is committed, or cancelled by the caller."""


class CommitGroup(NamedTuple):
    """What one commit writes.

    Attributes:
        inserts: New tasks.
        updates: Tasks whose current state is written.
        withdrawn: Sequence numbers of tasks to delete, since they were never acknowledged.
        waiters: Futures to resolve when the commit has ended.
    """

    inserts: list[PendingInsert]
    updates: list[TaskRecord]
    withdrawn: list[int]
    waiters: list[asyncio.Future[None]]


class CommitQueue:
    """Collects what the next commits write; for one event loop at a time.

    Its size is bounded although it has no limit: each insert has a caller that waits for it, and
    each update is of a task that is in the file already. So it stops growing when the disk fails.

    Attributes:
        inserts: New tasks.
        updates: Tasks whose state is to be written, by id: several updates of one task are merged.
    """

    def __init__(self) -> None:
        self.inserts: list[PendingInsert] = []
        self.updates: dict[str, TaskRecord] = {}
        self._withdrawn: list[int] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []  # each with the number of entries to commit first

    def __bool__(self) -> bool:
        """Whether anything is left to commit."""
        return bool(self.inserts or self.updates or self._withdrawn or self._waiters)

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for the next commit."""
        return bool(self.inserts or self._waiters)

    @property
    def fills_batch(self) -> bool:
        """Whether the updates alone fill a commit."""
        return len(self.updates) >= MAX_BATCH

    def withdraw(self, seq: int) -> None:
        """Remove an unacknowledged task: from this queue, or from the file with the next commit."""
        index = bisect_left(self.inserts, seq, key=_seq)
        if index < len(self.inserts) and _seq(self.inserts[index]) == seq:
            del self.inserts[index]
        else:
            self._withdrawn.append(seq)

    def add_waiter(self, waiter: asyncio.Future[None]) -> None:
        """Resolve *waiter* when everything that is queued now is committed."""
        self._waiters.append((max(len(self.inserts), len(self.updates)), waiter))

    def take(self) -> CommitGroup:
        """Remove and return what the next commit writes: the oldest inserts and updates."""
        longest = max(len(self.inserts), len(self.updates))  # a waiter can expect more, if tasks were withdrawn since
        inserts, self.inserts = self.inserts[:MAX_BATCH], self.inserts[MAX_BATCH:]
        updates = list(islice(self.updates.values(), MAX_BATCH))
        if len(updates) == len(self.updates):
            self.updates = {}
        else:
            for record in updates:
                del self.updates[record.id]
        withdrawn, self._withdrawn = self._withdrawn, []
        remaining = [(min(ahead, longest) - MAX_BATCH, waiter) for ahead, waiter in self._waiters]
        self._waiters = [entry for entry in remaining if entry[0] > 0]
        waiters = [waiter for ahead, waiter in remaining if ahead <= 0]
        return CommitGroup(inserts, updates, withdrawn, waiters)

    def requeue(self, group: CommitGroup) -> None:
        """Queue the updates and deletions of a failed commit again, ahead of newer ones.

        Its inserts are not queued again, because their callers get the error. All waiters are
        added to the group, to get it too.
        """
        self.updates = {record.id: record for record in group.updates} | self.updates  # keeps the older ones first
        self._withdrawn[:0] = group.withdrawn
        group.waiters.extend(waiter for _, waiter in self._waiters)
        self._waiters = []

    def clear(self) -> list[asyncio.Future[None]]:
        """Remove everything and return the futures of all callers that wait for it."""
        futures = [durable for _, _, durable in self.inserts] + [waiter for _, waiter in self._waiters]
        self.inserts, self.updates, self._withdrawn, self._waiters = [], {}, [], []
        return futures


def _seq(insert: PendingInsert) -> int:
    return int(insert[1][0])
