"""Cache adapter that keeps entries in memory: LRU eviction, and a time to live per entry."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from operator import call
from typing import Any, Final

from ..codec import Codec
from ..copying import copier_of
from ..exceptions import CorruptError
from ..snapshot import Snapshot, snapshot_of
from ..validation import NO_EXPIRY, checked_limit, lifetime
from .base import CORRUPT, DEFAULT_OPTIONS, MISS, Store, StoreOptions

MAX_SIZE: Final = 1000
"""Number of entries to keep by default."""

EVICTED: Final = "evicted"
EXPIRED: Final = "expired"
DELETED: Final = "deleted"

RemovalCallback = Callable[[str, str], None]
"""Called with the key of a removed entry and the reason."""

MemoryEntry = tuple[float, Any, Callable[[Any], Any] | None, int, bool]
"""Deadline in monotonic seconds; payload, restore function and size of the snapshot; whether it has been read.

A plain tuple, because one is created for each value stored.
"""

MAX_COPIED_BYTES: Final = 2**20
"""Encoded bytes of values that are copied at each hit instead of decoded, which takes a quarter of the time.

A value kept for copying takes five times the memory, so their total is limited. With *max_bytes* none is kept.
"""


class MemoryCacheAdapter(Store):
    """A cache in memory, for one process and one event loop.

    Values are kept as snapshots: each hit returns a new copy, except for immutable values,
    so stored values cannot be modified. The time of an operation does not depend on the
    number of entries.

    Args:
        max_size: Number of entries to keep; the least recently used one is evicted first.
            None for any number, 0 to store nothing.
        max_bytes: Size of all stored values in bytes, encoded. None for any size. A value
            larger than this is not stored.
        clock: Returns monotonic time in seconds.
        on_removed: Called with the key of a removed entry and the reason: ``"evicted"``,
            ``"expired"`` or ``"deleted"``. It should be quick and must not raise.

    Raises:
        TypeError: A limit is not an int.
        ValueError: A limit is negative.
    """

    def __init__(
        self,
        max_size: int | None = MAX_SIZE,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_removed: RemovalCallback | None = None,
    ) -> None:
        super().__init__()
        self.max_size = checked_limit("max_size", max_size)
        self.max_bytes = checked_limit("max_bytes", max_bytes)
        self._entries: OrderedDict[str, MemoryEntry] = OrderedDict()
        self._bytes = 0
        self._copy_budget = MAX_COPIED_BYTES if self.max_bytes is None else 0
        self._clock = clock
        self._codec = Codec()
        self._on_removed = on_removed

    @property
    def size(self) -> int:
        """Number of entries, including expired ones that have not been looked up or swept since."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Size of all encoded values in bytes."""
        return self._bytes

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* as it would be stored; raise UnencodableError if it cannot be copied faithfully."""
        return snapshot_of(self._codec, value)

    def get_nowait(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``, without waiting."""
        entry = self._entries.get(key)
        if entry is None:
            return MISS
        deadline, payload, restore, _, was_read = entry
        if deadline <= self._clock():
            self._remove(key, EXPIRED)
            return MISS
        self._entries.move_to_end(key)
        if restore is None:
            return True, payload
        try:
            return True, restore(payload) if was_read else self._first_read(key, entry)
        except CorruptError:  # its class has been changed or removed since
            self.counters.faults[CORRUPT] += 1
            self._remove(key, DELETED)
            return MISS

    def set_nowait(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Store a snapshot of *value* like :meth:`set`, without waiting; return whether it was stored."""
        seconds = lifetime(ttl)
        return seconds > 0 and self.put_nowait(key, self.snapshot(value), seconds)

    def put_nowait(
        self,
        key: str,
        snapshot: Snapshot,
        seconds: float = NO_EXPIRY,
        entry_id: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """Store a snapshot for a number of seconds, without waiting; return whether it was stored."""
        payload, restore, size = snapshot
        if self.max_size == 0 or (self.max_bytes is not None and size > self.max_bytes):
            self.delete_nowait(key)  # an old value must not outlive the new one
            return False
        if (replaced := self._entries.pop(key, None)) is not None:
            self._subtract(replaced)
        self._entries[key] = self._clock() + seconds, payload, restore, size, False
        self._bytes += size
        if entry_id is not None:
            self.ids.link(entry_id, key, alias)
        self._evict_excess()
        return True

    def delete_nowait(self, key: str) -> bool:
        """Delete the entry under *key* without waiting; return whether there was one that had not expired."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        deadline, *_ = entry
        expired = deadline <= self._clock()
        self._remove(key, EXPIRED if expired else DELETED)
        return not expired

    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""
        return self.get_nowait(key)

    async def fetch(self, key: str, options: StoreOptions = DEFAULT_OPTIONS) -> tuple[bool, Any]:
        """Look up *key*; on a hit, link the ids in *options* to it."""
        found = self.get_nowait(key)
        if found[0]:
            self._link(key, options)
        return found

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Store a snapshot of *value* under *key*, replacing an existing entry. See :meth:`Store.set`.

        Raises:
            UnencodableError: *value* cannot be copied faithfully.
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
        """
        self.set_nowait(key, value, ttl)

    async def put(self, key: str, snapshot: Snapshot, options: StoreOptions = DEFAULT_OPTIONS) -> bool:
        """Store a snapshot."""
        return self.put_nowait(key, snapshot, options.seconds, options.entry_id, options.alias)

    async def delete(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002 - no I/O here
        """Delete the entry under *key*; return whether there was one that had not expired."""
        return self.delete_nowait(key)

    async def clear(self) -> None:
        """Delete every entry."""
        keys = list(self._entries) if self._on_removed is not None else []
        for entry in self._entries.values():
            self._subtract(entry)
        self._entries.clear()
        self.ids.clear()
        if self._on_removed is not None:
            for key in keys:
                self._on_removed(key, DELETED)

    async def sweep(self) -> None:
        """Delete expired entries."""
        now = self._clock()
        for key in [key for key, (deadline, *_) in self._entries.items() if deadline <= now]:
            self._remove(key, EXPIRED)

    def _first_read(self, key: str, entry: MemoryEntry) -> Any:
        """Return the value on the first hit. Later hits copy it, if it can be copied and the copy budget allows it."""
        deadline, payload, restore, size, _ = entry
        value = payload if restore is None else restore(payload)
        if self._entries.get(key) is not entry:  # code of the value's classes may have replaced it
            return value
        copier = copier_of(value) if size <= self._copy_budget else None
        if copier is None:
            self._entries[key] = deadline, payload, restore, size, True
            return value
        self._copy_budget -= size
        self._entries[key] = deadline, copier, call, size, True
        return copier()

    def _evict_excess(self) -> None:
        if self.max_size is not None and len(self._entries) > self.max_size:
            self._remove(next(iter(self._entries)), EVICTED)
        if self.max_bytes is not None:
            while self._bytes > self.max_bytes:
                self._remove(next(iter(self._entries)), EVICTED)

    def _subtract(self, entry: MemoryEntry) -> None:
        """Subtract a removed entry from the totals."""
        _, _, restore, size, _ = entry
        self._bytes -= size
        if restore is call:
            self._copy_budget += size

    def _remove(self, key: str, reason: str) -> None:
        self._subtract(self._entries.pop(key))
        self.ids.forget_key(key)
        if reason is EVICTED:
            self.counters.evictions += 1
        elif reason is EXPIRED:
            self.counters.expirations += 1
        if self._on_removed is not None:
            self._on_removed(key, reason)
