"""A cache that lasts: results in the file of the tasks, which find their way there with the tasks' own commits.

What there is, in which order it was used and when it expires is known in memory, so a
miss costs nothing and the least recently used entry goes at once. Only values are read
from the file, in the journal's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, Final, Protocol

from async_cache import CacheUnavailableError, Codec, CorruptError
from async_cache.adapters.base import MISS, NO_TERMS, Store, Terms
from async_cache.adapters.circuit_breaker import ERROR, Guard
from async_cache.snapshot import Snapshot
from async_cache.validation import FOR_EVER

from ...exceptions import StorageError
from .pending_writes import Entry, Outgoing
from .table import CacheChanges, CachedRow, read_value

CORRUPT: Final = "corrupt"


class File(Protocol):
    """What the cache needs of the journal."""

    @property
    def is_open(self) -> bool:
        """Whether the file can be used."""
        ...

    def write_soon(self) -> None:
        """Have what waits written with the next commit."""

    async def flush(self) -> None:
        """Return when all that waited is durable."""

    def read(self, query: Callable[[Any], Any]) -> Awaitable[Any]:
        """Run a query on the file, in its thread."""
        ...


class SqliteCacheAdapter(Store):
    """A cache in the file of the tasks, for the one worker that has it open.

    Entries expire by the wall clock, since they outlive the process. While the file is
    closed nothing is found and nothing stored. A fault of the disk, or of what is in the
    file, is a miss, counted in *tally*; entries that cannot be written are given up, and
    never keep a task from being written.

    Args:
        file: The journal.
        max_size: How many entries to keep; the least recently used one goes first. None
            for any number, 0 to store nothing.
        wall: Tells the time in seconds since the epoch.
    """

    def __init__(self, file: File, max_size: int | None, wall: Callable[[], float]) -> None:
        super().__init__()
        self.max_size = max_size
        self._file = file
        self._wall = wall
        self._codec = Codec()
        self._guard = Guard("the file of the tasks", self.tally)
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # the least recently used first
        self._bytes = 0
        self._numbers = count(1)
        self._outgoing = Outgoing()

    @property
    def size(self) -> int:
        """Entries held, those past their time included until they are asked for or swept."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes their values take."""
        return self._bytes

    @property
    def pending(self) -> bool:
        """Whether anything is left to be written, if only that an entry was used."""
        return self._outgoing.pending

    @property
    def waits(self) -> bool:
        """Whether there is something to be written soon."""
        return self._outgoing.waits

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* encoded, never pickled; UnencodableError if it would not come back as it was."""
        encoded = self._codec.encode(value)
        return Snapshot(encoded, self._codec.decode, len(encoded))

    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Look *key* up; on a hit the ids in *terms* stand for it too."""
        entry = self._find(key)
        if entry is None:
            return MISS
        encoded = entry.value
        if encoded is None:
            encoded = await self._guard.ask(partial(self._read, entry), None, terms.timeout)
        if encoded is None:
            return MISS
        try:
            value = self._codec.decode(encoded)
        except CorruptError as error:  # its class has changed or gone since
            self._discard(entry, error)
            return MISS
        if self._entries.get(key) is entry:
            self._use(entry)
            self._link(key, terms)
        return True, value

    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Store a snapshot: it is found from now on, and in the file with the next commit."""
        replaced = self._entries.get(key)
        if not self._has_room_for(snapshot):
            if replaced is not None:  # it is out of date
                self._drop(replaced)
            return False
        if replaced is not None:
            self._take_out(replaced)
        entry = Entry(self._row(key, snapshot, terms), key, snapshot.payload)
        self._outgoing.add(entry)
        self._hold(entry)
        self._link(key, terms)
        self._make_room()
        self._file.write_soon()
        return True

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Drop the entry under *key*, for good when this returns True; False if there was none, or the disk failed."""
        entry = self._find(key)
        if entry is None:
            return False
        self._drop(entry)
        return await self._guard.ask(partial(self._deleted, entry.row.number), False, timeout, insist=True)

    async def clear(self) -> None:
        """Drop every entry for good.

        Raises:
            CacheUnavailableError: The file is not open, or cannot be written.
        """
        if not self._file.is_open:
            raise CacheUnavailableError("the file of the tasks is not open")
        self._empty()
        self._outgoing.clear()
        await self._guard.attempt(self._all_deleted, FOR_EVER, insist=True)

    async def sweep(self) -> None:
        """Drop the entries past their time."""
        now = self._wall()
        for entry in [entry for entry in self._entries.values() if _expired(entry, now)]:
            self._expire(entry)
        if self._outgoing.waits:
            self._file.write_soon()

    async def aclose(self) -> None:
        """Wait for what is under way. The file is the worker's to close."""
        await self._guard.aclose()

    # What the journal calls

    def load(self, rows: Iterable[CachedRow]) -> None:
        """Know what is in the file, which has just been opened."""
        self.tally.circuit_open = False
        last = 0
        for row in rows:
            last = max(last, row.number)
            try:
                last = max(last, self._know(row))
            except (TypeError, AttributeError, UnicodeDecodeError) as error:  # the file may be edited by hand
                self._guard.note(CORRUPT, error)
                self._outgoing.remove(row.number)
        self._numbers = count(last + 1)
        self._make_room()

    def _know(self, row: CachedRow) -> int:
        """Take up a row of the file; return its place in the order of use."""
        entry = Entry(row, _text(row.key))
        expired = _expired(entry, self._wall())
        entry_id, alias = (None if name is None else _text(name) for name in (row.entry_id, row.alias))
        used, _ = row.used + 0, row.size + 0
        if (other := self._entries.get(entry.key)) is not None:
            self._take_out(other)
        self._hold(entry)
        if entry_id is not None:
            self.ids.link(entry_id, entry.key, alias)
        if expired:
            self._expire(entry)
        return used

    def forget(self) -> None:
        """Know nothing: the file is closed, or given up."""
        self._empty()
        self._outgoing.forget()

    def condemn(self, error: Exception) -> None:
        """Have all there is deleted, because it cannot be read."""
        self._guard.note(CORRUPT, error)
        self._outgoing.clear()

    def take(self) -> tuple[CacheChanges, list[Entry]] | None:
        """Return what the next commit is to write, and the entries that are new in it; None for nothing."""
        return self._outgoing.take()

    def written(self, changes: CacheChanges, entries: list[Entry], error: BaseException | None) -> None:
        """Hear what became of what was taken: it is in the file, or *error* kept it out."""
        if error is None:
            self._outgoing.written(entries)
            return
        self._guard.note(ERROR, error)
        self._outgoing.failed(changes, entries)
        for entry in entries:
            if self._entries.get(entry.key) is entry:
                self._drop(entry)
        if self._outgoing.is_hopeless:
            self._empty()
            self._outgoing.clear()

    # One entry

    def _has_room_for(self, snapshot: Snapshot) -> bool:
        if not self._file.is_open or self.max_size == 0:
            return False
        taken = self._outgoing.takes(snapshot.size)
        self.tally.skipped += not taken
        return taken

    def _find(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None and _expired(entry, self._wall()):
            self._expire(entry)
            return None
        return entry

    async def _read(self, entry: Entry) -> Any:
        try:
            return await self._file.read(partial(read_value, number=entry.row.number, key=entry.row.key))
        except CorruptError as error:
            self._discard(entry, error)
            return None

    def _row(self, key: str, snapshot: Snapshot, terms: Terms) -> CachedRow:
        number = next(self._numbers)
        expires = None if terms.seconds == FOR_EVER else self._wall() + terms.seconds
        ids = (terms.entry_id, terms.alias)
        return CachedRow(
            number,
            _bytes(key),
            number,
            expires,
            snapshot.size,
            *(None if name is None else _bytes(name) for name in ids),
        )

    def _hold(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self._bytes += entry.row.size

    def _use(self, entry: Entry) -> None:
        entry.used = next(self._numbers)
        self._entries.move_to_end(entry.key)
        self._outgoing.use(entry)

    def _make_room(self) -> None:
        while self.max_size is not None and len(self._entries) > self.max_size:
            self.tally.evictions += 1
            self._drop(next(iter(self._entries.values())))

    def _expire(self, entry: Entry) -> None:
        self.tally.expirations += 1
        self._drop(entry)

    def _discard(self, entry: Entry, error: Exception) -> None:
        """Delete what cannot be read, unless it was replaced meanwhile."""
        if self._entries.get(entry.key) is entry:
            self._guard.note(CORRUPT, error)
            self._drop(entry)
            self._file.write_soon()

    def _drop(self, entry: Entry) -> None:
        self.ids.forget_key(entry.key)
        self._take_out(entry)

    def _take_out(self, entry: Entry) -> None:
        """Let go of an entry, but not of the ids of its key: a new one takes its place."""
        del self._entries[entry.key]
        self._bytes -= entry.row.size
        self._outgoing.remove(entry.row.number)

    # All of them

    def _empty(self) -> None:
        self._entries.clear()
        self._bytes = 0
        self.ids.clear()

    async def _deleted(self, number: int) -> bool:
        while self._outgoing.has(number):
            await self._insist()
        return True

    async def _all_deleted(self) -> None:
        while self._outgoing.cleared:
            await self._insist()

    async def _insist(self) -> None:
        """Write what waits now, even if the last try failed a moment ago."""
        self._outgoing.wake()
        await self._file.flush()
        if self._outgoing.rests:
            raise StorageError("cached results could not be deleted")


def _expired(entry: Entry, now: float) -> bool:
    return entry.row.expires_at is not None and entry.row.expires_at <= now


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
