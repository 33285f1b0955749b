"""Pending writes of the result cache: batched per commit, dropped or retried on failure."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from .table import CacheChanges, CachedRow

AT_ONCE: Final = 1 << 20
"""Bytes of values that one commit takes along, so that tasks need not wait for more."""

GONE_AT_ONCE: Final = 500
"""Entries that one commit deletes."""

BACKLOG: Final = 32 << 20
"""Bytes of values that may wait for a commit."""

MOST_GONE: Final = 10_000
"""Entries that may wait to be deleted when that fails; if there are more, all are to go."""

REST: Final = 1.0
"""Seconds without a try after one that failed."""


class Entry:
    """A result that is stored, or about to be.

    Attributes:
        row: What is written of it, but for its use.
        key: Its key as text.
        used: Its place in the order of use.
        value: Its value until that is in the file, then None.
    """

    __slots__ = ("key", "row", "used", "value")

    def __init__(self, row: CachedRow, key: str, value: bytes | None = None) -> None:
        self.row = row
        self.key = key
        self.used = row.used
        self.value = value


class Outgoing:
    """Changes on their way into the file; for one event loop at a time."""

    def __init__(self) -> None:
        self._new: dict[int, Entry] = {}  # by number, like those that were used since the last commit
        self._used: dict[int, Entry] = {}
        self._gone: list[int] = []
        self._cleared = False
        self._bytes = 0  # of values that are not in the file yet
        self._rest_until = -math.inf

    @property
    def pending(self) -> bool:
        """Whether anything is left to be written, if only that an entry was used."""
        return bool(self._used or self._new or self._gone or self._cleared)

    @property
    def waits(self) -> bool:
        """Whether there is something to be written soon: a use alone can wait for company."""
        return bool(self._new or self._gone or self._cleared) and not self.rests

    @property
    def rests(self) -> bool:
        """Whether the last try failed a moment ago."""
        return asyncio.get_running_loop().time() < self._rest_until

    def wake(self) -> None:
        """Try again with the next commit."""
        self._rest_until = -math.inf

    def takes(self, size: int) -> bool:
        """Whether a value of so many bytes may be added."""
        return self._bytes + size <= BACKLOG and not self.rests

    def add(self, entry: Entry) -> None:
        """Have a new entry written."""
        self._new[entry.row.number] = entry
        self._bytes += entry.row.size

    def use(self, entry: Entry) -> None:
        """Have it written that an entry was used."""
        if entry.row.number not in self._new:
            self._used[entry.row.number] = entry

    def remove(self, number: int) -> None:
        """Have an entry deleted, whether it is in the file, on its way there or waits."""
        self._used.pop(number, None)
        entry = self._new.pop(number, None)
        if entry is None:
            self._gone.append(number)
        else:
            self._bytes -= entry.row.size

    def clear(self) -> None:
        """Have everything deleted that is in the file or on its way there, and write nothing of what waited."""
        self._bytes -= sum(entry.row.size for entry in self._new.values())
        for waiting in (self._new, self._used, self._gone):
            waiting.clear()
        self._cleared = True

    def forget(self) -> None:
        """Have nothing written: the file is closed."""
        self.clear()
        self._cleared = False
        self._bytes = 0
        self.wake()

    def has(self, number: int) -> bool:
        """Whether the deletion of this entry is still to be written."""
        return number in self._gone

    @property
    def cleared(self) -> bool:
        """Whether the deletion of everything is still to be written."""
        return self._cleared

    @property
    def is_hopeless(self) -> bool:
        """Whether so many deletions wait that it is better to clear everything."""
        return len(self._gone) > MOST_GONE

    def take(self) -> tuple[CacheChanges, list[Entry]] | None:
        """Return what the next commit is to write, and the entries that are new in it; None for nothing."""
        if not self.pending or self.rests:
            return None
        entries = self._next_entries()
        changes = CacheChanges(
            self._cleared,
            self._gone[:GONE_AT_ONCE],
            [(entry.row._replace(used=entry.used), entry.value or b"") for entry in entries],
            [(entry.used, number) for number, entry in self._used.items()],
        )
        self._cleared = False
        del self._gone[:GONE_AT_ONCE]
        self._used.clear()
        return changes, entries

    def written(self, entries: list[Entry]) -> None:
        """Hear that what was taken is in the file."""
        self._bytes -= sum(entry.row.size for entry in entries)
        for entry in entries:
            entry.value = None

    def failed(self, changes: CacheChanges, entries: list[Entry]) -> None:
        """Hear that it is not: what was new is given up, what was to go still is."""
        self._rest_until = asyncio.get_running_loop().time() + REST
        self._bytes -= sum(entry.row.size for entry in entries)
        self._gone[:0] = changes.gone
        self._cleared |= changes.cleared

    def _next_entries(self) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        for entry in self._new.values():
            size += entry.row.size
            if entries and size > AT_ONCE:
                break
            entries.append(entry)
        for entry in entries:
            del self._new[entry.row.number]
        return entries
