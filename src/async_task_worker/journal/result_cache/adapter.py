"""Result cache in the database of the tasks, written together with the tasks' own commits.

The index of the entries (keys, order of use, expiry) is in memory: a miss costs nothing, and
the least recently used entry is evicted at once. Only values are read from the file, in the
journal's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Protocol

from async_cache import CacheUnavailableError, Codec, CorruptError
from async_cache.adapters.base import CORRUPT, DEFAULT_OPTIONS, MISS, Store, StoreOptions
from async_cache.adapters.circuit_breaker import ERROR, CircuitBreaker
from async_cache.snapshot import Snapshot
from async_cache.validation import NO_EXPIRY

from ...exceptions import StorageError
from .pending_writes import CommitChanges, Entry, PendingWrites
from .table import CachedRow, read_rows, read_value


class JournalAccess(Protocol):
    """What the cache needs of the journal."""

    @property
    def is_open(self) -> bool:
        """Whether the file can be used."""
        ...

    def wall_time(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    def schedule_write(self) -> None:
        """Write what is pending with the next commit."""

    async def flush(self) -> None:
        """Return when everything that was pending is durable."""

    def read(self, query: Callable[[Any], Any]) -> Awaitable[Any]:
        """Run a query on the database connection, in the journal's thread."""
        ...


class _CachePart(NamedTuple):
    """The cache's part of one commit."""

    cache: SqliteCacheAdapter
    taken: CommitChanges

    def write(self, connection: Any) -> None:
        """Write the changes, within the commit's transaction."""
        self.taken.write(connection)

    def finish(self, error: BaseException | None) -> None:
        """Pass the end of the commit on to the cache."""
        self.cache.on_commit(self.taken, error)


class SqliteCacheAdapter(Store):
    """Cache adapter for the database of the tasks: a commit participant of the journal.

    Entries expire by the wall clock, since they outlive the process. While the file is closed,
    lookups miss and nothing is stored. An error of the disk or a damaged entry is a miss and is
    counted in *counters*. Entries that cannot be written are dropped; they never keep a task from
    being written.

    Args:
        journal: The journal of the database. The caller registers this adapter with it.
        max_size: Entries to keep; the least recently used one is evicted first. None for any
            number, 0 to store nothing.
    """

    def __init__(self, journal: JournalAccess, max_size: int | None) -> None:
        super().__init__()
        self.max_size = max_size
        self._journal = journal
        self._wall_time = journal.wall_time
        self._codec = Codec()
        self._breaker = CircuitBreaker("the tasks' database", self.counters)
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # in the order of use, the least recently used first
        self._bytes = 0
        self._numbers = count(1)
        self._pending = PendingWrites()

    @property
    def size(self) -> int:
        """Number of entries, including expired ones that have not been looked up or swept since."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Size of all encoded values in bytes."""
        return self._bytes

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* encoded by the codec, never pickled.

        Raises:
            UnencodableError: Decoding would not give an equal value of the same types.
        """
        encoded = self._codec.encode(value)
        return Snapshot(encoded, self._codec.decode, len(encoded))

    async def fetch(self, key: str, options: StoreOptions = DEFAULT_OPTIONS) -> tuple[bool, Any]:
        """Look up *key*; on a hit, link the entry id in *options* to it."""
        entry = self._find(key)
        if entry is None:
            return MISS
        encoded = entry.value
        if encoded is None:
            encoded = await self._breaker.call_or(partial(self._read, entry), None, options.timeout)
        if encoded is None:
            return MISS
        try:
            value = self._codec.decode(encoded)
        except CorruptError as error:  # for example, a class of the value was changed or removed since
            self._discard(entry, error)
            return MISS
        if self._entries.get(key) is entry:
            self._use(entry)
            self._link(key, options)
        return True, value

    async def put(self, key: str, snapshot: Snapshot, options: StoreOptions = DEFAULT_OPTIONS) -> bool:
        """Store a snapshot: lookups find it at once, the next commit writes it. Return whether it was stored."""
        replaced = self._entries.get(key)
        if not self._accepts(snapshot):
            if replaced is not None:  # an old value must not outlive the new one
                self._drop(replaced)
            return False
        if replaced is not None:
            self._remove(replaced)
        entry = Entry(self._row(key, snapshot, options), key, snapshot.payload)
        self._pending.add(entry)
        self._insert(entry)
        self._link(key, options)
        self._evict_excess()
        self._journal.schedule_write()
        return True

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Delete the entry under *key*; when this returns True, that is durable.

        Returns False if there was no entry, or if the deletion could not be written in time.
        """
        entry = self._find(key)
        if entry is None:
            return False
        self._drop(entry)
        return await self._breaker.call_or(partial(self._deleted, entry.row.number), False, timeout, force=True)

    async def clear(self) -> None:
        """Delete all entries; return when that is durable.

        Raises:
            CacheUnavailableError: The file is not open or cannot be written.
        """
        if not self._journal.is_open:
            raise CacheUnavailableError("the tasks' database is not open")
        self._empty()
        self._pending.clear()
        await self._breaker.call(self._all_deleted, NO_EXPIRY, force=True)

    async def sweep(self) -> None:
        """Delete the expired entries."""
        now = self._wall_time()
        for entry in [entry for entry in self._entries.values() if _expired(entry, now)]:
            self._expire(entry)
        if self._pending.is_urgent:
            self._journal.schedule_write()

    async def aclose(self) -> None:
        """Wait for running operations. The file stays open: the worker closes it."""
        await self._breaker.aclose()

    # What the journal calls, as a CommitParticipant

    @property
    def has_pending(self) -> bool:
        """Whether anything is left to write, if only that an entry was used."""
        return self._pending.has_pending

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to write soon."""
        return self._pending.is_urgent

    async def open(self, read: Callable[[Callable[[Any], Any]], Awaitable[Any]]) -> None:
        """Load the index of the entries. If it cannot be read, the cache starts empty and is cleared."""
        try:
            self._load(await read(read_rows))
        except StorageError as error:
            self._breaker.record_fault(CORRUPT, error)
            self._pending.clear()

    def next_part(self) -> _CachePart | None:
        """Return what the next commit writes; None for nothing."""
        taken = self._pending.take()
        return None if taken is None else _CachePart(self, taken)

    def on_commit(self, taken: CommitChanges, error: BaseException | None) -> None:
        """Handle the end of a commit: *error* is why *taken* was not committed."""
        if error is None:
            self._pending.succeeded(taken)
            return
        self._breaker.record_fault(ERROR, error)
        self._pending.failed(taken)
        for entry in taken.entries:
            if self._entries.get(entry.key) is entry:
                self._drop(entry)
        if self._pending.overflowed:
            self._empty()
            self._pending.clear()

    def close(self) -> None:
        """Forget all entries: the file is closed."""
        self._empty()
        self._pending.discard()

    def _load(self, rows: Iterable[CachedRow]) -> None:
        self.counters.circuit_open = False
        last = 0
        for row in rows:
            last = max(last, row.number)
            try:
                last = max(last, self._load_row(row))
            except (TypeError, AttributeError, UnicodeDecodeError) as error:  # the file may be edited by hand
                self._breaker.record_fault(CORRUPT, error)
                self._pending.delete(row.number)
        self._numbers = count(last + 1)
        self._evict_excess()

    def _load_row(self, row: CachedRow) -> int:
        """Add an entry of the file to the index; return its place in the order of use."""
        entry = Entry(row, _text(row.key))
        expired = _expired(entry, self._wall_time())
        entry_id, alias = (None if name is None else _text(name) for name in (row.entry_id, row.alias))
        used, _ = row.used + 0, row.size + 0  # raises TypeError if one of them is not a number
        if (other := self._entries.get(entry.key)) is not None:
            self._remove(other)
        self._insert(entry)
        if entry_id is not None:
            self.ids.link(entry_id, entry.key, alias)
        if expired:
            self._expire(entry)
        return used

    # Single entries

    def _accepts(self, snapshot: Snapshot) -> bool:
        if not self._journal.is_open or self.max_size == 0:
            return False
        accepted = self._pending.accepts(snapshot.size)
        self.counters.skipped += not accepted
        return accepted

    def _find(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None and _expired(entry, self._wall_time()):
            self._expire(entry)
            return None
        return entry

    async def _read(self, entry: Entry) -> Any:
        try:
            return await self._journal.read(partial(read_value, number=entry.row.number, key=entry.row.key))
        except CorruptError as error:
            self._discard(entry, error)
            return None

    def _row(self, key: str, snapshot: Snapshot, options: StoreOptions) -> CachedRow:
        number = next(self._numbers)
        expires = None if options.seconds == NO_EXPIRY else self._wall_time() + options.seconds
        ids = (options.entry_id, options.alias)
        return CachedRow(
            number,
            _bytes(key),
            number,
            expires,
            snapshot.size,
            *(None if name is None else _bytes(name) for name in ids),
        )

    def _insert(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self._bytes += entry.row.size

    def _use(self, entry: Entry) -> None:
        entry.used = next(self._numbers)
        self._entries.move_to_end(entry.key)
        self._pending.use(entry)

    def _evict_excess(self) -> None:
        while self.max_size is not None and len(self._entries) > self.max_size:
            self.counters.evictions += 1
            self._drop(next(iter(self._entries.values())))

    def _expire(self, entry: Entry) -> None:
        self.counters.expirations += 1
        self._drop(entry)

    def _discard(self, entry: Entry, error: Exception) -> None:
        """Delete an entry that cannot be read, unless it was replaced since the read began."""
        if self._entries.get(entry.key) is entry:
            self._breaker.record_fault(CORRUPT, error)
            self._drop(entry)
            self._journal.schedule_write()

    def _drop(self, entry: Entry) -> None:
        self.ids.forget_key(entry.key)
        self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        """Remove an entry, but not the entry ids of its key: they stay valid for an entry that replaces it."""
        del self._entries[entry.key]
        self._bytes -= entry.row.size
        self._pending.delete(entry.row.number)

    # All entries

    def _empty(self) -> None:
        self._entries.clear()
        self._bytes = 0
        self.ids.clear()

    async def _deleted(self, number: int) -> bool:
        while self._pending.is_deletion_pending(number):
            await self._flush_now()
        return True

    async def _all_deleted(self) -> None:
        while self._pending.is_clear_pending:
            await self._flush_now()

    async def _flush_now(self) -> None:
        """Commit what is pending, even during the backoff after a failure."""
        self._pending.retry_now()
        await self._journal.flush()
        if self._pending.in_backoff:
            raise StorageError("the deletion of cached results could not be written")


def _expired(entry: Entry, now: float) -> bool:
    return entry.row.expires_at is not None and entry.row.expires_at <= now


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
