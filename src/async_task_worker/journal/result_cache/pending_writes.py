"""Pending writes of the result cache: batched per commit, dropped or retried on failure."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, NamedTuple

from .table import CacheChanges, CachedRow, write_changes

MAX_BYTES_PER_COMMIT: Final = 1 << 20
"""Bytes of values that one commit stores, so that tasks need not wait for more. One larger value is stored alone."""

MAX_DELETIONS_PER_COMMIT: Final = 500
"""Entries that one commit deletes."""

MAX_PENDING_BYTES: Final = 32 << 20
"""Bytes of values that may wait for a commit."""

MAX_PENDING_DELETIONS: Final = 10_000
"""Deletions that may wait while they fail; beyond this number, the whole cache is cleared instead."""

BACKOFF: Final = 1.0
"""Seconds without another attempt after a failed one."""


class Entry:
    """A result that is stored, or about to be.

    Attributes:
        row: Its columns in the file; the order of use in it is the one at the time it was stored.
        key: Its key as text.
        used: Its place in the order of use; the least recently used entry has the lowest.
        value: Its encoded value until that is in the file, then None.
    """

    __slots__ = ("key", "row", "used", "value")

    def __init__(self, row: CachedRow, key: str, value: bytes | None = None) -> None:
        self.row = row
        self.key = key
        self.used = row.used
        self.value = value


class CommitChanges(NamedTuple):
    """What one commit writes.

    Attributes:
        changes: The changes of the tables.
        entries: The entries they store.
    """

    changes: CacheChanges
    entries: list[Entry]

    def write(self, connection: Any) -> None:
        """Write the changes, within a transaction."""
        write_changes(connection, self.changes)


class PendingWrites:
    """Changes that the next commits write to the file; for one event loop at a time."""

    def __init__(self) -> None:
        self._new: dict[int, Entry] = {}  # by number
        self._used: dict[int, Entry] = {}  # by number: those that were used since the last commit
        self._deleted: list[int] = []
        self._is_clear_pending = False
        self._bytes = 0  # of values that are not in the file yet, those of the current commit included
        self._retry_at = -math.inf

    @property
    def has_pending(self) -> bool:
        """Whether anything is left to write, if only that an entry was used."""
        return bool(self._used or self._new or self._deleted or self._is_clear_pending)

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to write soon: uses alone wait for another commit."""
        return bool(self._new or self._deleted or self._is_clear_pending) and not self.in_backoff

    @property
    def in_backoff(self) -> bool:
        """Whether the last attempt failed less than :data:`BACKOFF` seconds ago."""
        return asyncio.get_running_loop().time() < self._retry_at

    @property
    def is_clear_pending(self) -> bool:
        """Whether the deletion of all entries is still to be written."""
        return self._is_clear_pending

    @property
    def overflowed(self) -> bool:
        """Whether so many deletions wait that all entries should be cleared."""
        return len(self._deleted) > MAX_PENDING_DELETIONS

    def retry_now(self) -> None:
        """End the backoff: the next commit tries again."""
        self._retry_at = -math.inf

    def accepts(self, size: int) -> bool:
        """Whether a value of *size* bytes may be added."""
        return self._bytes + size <= MAX_PENDING_BYTES and not self.in_backoff

    def is_deletion_pending(self, number: int) -> bool:
        """Whether the deletion of this entry is still to be written."""
        return number in self._deleted

    def add(self, entry: Entry) -> None:
        """Write a new entry with one of the next commits."""
        self._new[entry.row.number] = entry
        self._bytes += entry.row.size

    def use(self, entry: Entry) -> None:
        """Write the new place of an entry in the order of use."""
        if entry.row.number not in self._new:
            self._used[entry.row.number] = entry

    def delete(self, number: int) -> None:
        """Delete an entry from the file, or do not write it if it is still pending."""
        self._used.pop(number, None)
        entry = self._new.pop(number, None)
        if entry is None:
            self._deleted.append(number)
        else:
            self._bytes -= entry.row.size

    def clear(self) -> None:
        """Delete all entries from the file and write none of those that are pending."""
        self._bytes -= sum(entry.row.size for entry in self._new.values())
        for pending in (self._new, self._used, self._deleted):
            pending.clear()
        self._is_clear_pending = True

    def discard(self) -> None:
        """Write nothing: the file is closed."""
        self.clear()
        self._is_clear_pending = False
        self._bytes = 0
        self.retry_now()

    def take(self) -> CommitChanges | None:
        """Return what the next commit writes; None for nothing."""
        if not self.has_pending or self.in_backoff:
            return None
        entries = self._next_entries()
        changes = CacheChanges(
            self._is_clear_pending,
            self._deleted[:MAX_DELETIONS_PER_COMMIT],
            [(entry.row._replace(used=entry.used), entry.value or b"") for entry in entries],
            [(entry.used, number) for number, entry in self._used.items()],
        )
        self._is_clear_pending = False
        del self._deleted[:MAX_DELETIONS_PER_COMMIT]
        self._used.clear()
        return CommitChanges(changes, entries)

    def succeeded(self, taken: CommitChanges) -> None:
        """Release the values that were committed: they are read from the file from now on."""
        self._bytes -= sum(entry.row.size for entry in taken.entries)
        for entry in taken.entries:
            entry.value = None

    def failed(self, taken: CommitChanges) -> None:
        """Drop the new entries of a failed commit, keep its deletions and begin a backoff."""
        self._retry_at = asyncio.get_running_loop().time() + BACKOFF
        self._bytes -= sum(entry.row.size for entry in taken.entries)
        self._deleted[:0] = taken.changes.deleted
        self._is_clear_pending |= taken.changes.clear

    def _next_entries(self) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        for entry in self._new.values():
            size += entry.row.size
            if entries and size > MAX_BYTES_PER_COMMIT:
                break
            entries.append(entry)
        for entry in entries:
            del self._new[entry.row.number]
        return entries
