"""Entries in this process: the least recently used one makes room, and each has a time to live of its own."""

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
from ..validation import FOR_EVER, checked_limit, lifetime
from .base import MISS, NO_TERMS, Store, Terms

MAX_SIZE: Final = 1000
"""How many entries are kept unless told otherwise."""

EVICTED: Final = "evicted"
EXPIRED: Final = "expired"
DELETED: Final = "deleted"

Gone = Callable[[str, str], None]


Entry = tuple[float, Any, Callable[[Any], Any] | None, int, bool]
"""When it is past its time to live, in monotonic time; what a snapshot has; whether it has been asked for.

A bare tuple: one is made per set.
"""

COPIED: Final = 2**20
"""Bytes, encoded, of values that are not decoded at each hit but copied, at a quarter of the time.

A value to be copied takes five times the memory, so there is a limit, and none is copied where *max_bytes* counts.
"""


class MemoryCacheAdapter(Store):
    """A cache in memory, for one process and one event loop.

    Values are kept as snapshots: a hit is a fresh copy each time, except for values that
    can never change, and nobody can alter what is stored. Every operation takes the
    same time however many entries there are.

    Args:
        max_size: How many entries to keep; the least recently used one goes first. None
            for any number, 0 to store nothing.
        max_bytes: How many bytes their values may take in all, as they are stored. None
            for any number. A value larger than that is not stored.
        clock: Tells monotonic time in seconds.
        on_gone: Called with the key of an entry that has left, and why: ``"evicted"``,
            ``"expired"`` or ``"deleted"``. It should be quick, and must not raise.

    Raises:
        TypeError: A limit is no int.
        ValueError: A limit is negative.
    """

    def __init__(
        self,
        max_size: int | None = MAX_SIZE,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_gone: Gone | None = None,
    ) -> None:
        super().__init__()
        self.max_size = checked_limit("max_size", max_size)
        self.max_bytes = checked_limit("max_bytes", max_bytes)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._room_for_copied = COPIED if self.max_bytes is None else 0
        self._clock = clock
        self._codec = Codec()
        self._on_gone = on_gone

    @property
    def size(self) -> int:
        """Entries held, those past their time included until they are asked for or swept."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes the values of the entries take, encoded."""
        return self._bytes

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* as it would be stored; UnencodableError if it cannot be copied faithfully."""
        return snapshot_of(self._codec, value)

    def get_nowait(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``, at once."""
        entry = self._entries.get(key)
        if entry is None:
            return MISS
        deadline, payload, restore, _, asked = entry
        if deadline <= self._clock():
            self._drop(key, EXPIRED)
            return MISS
        self._entries.move_to_end(key)
        if restore is None:
            return True, payload
        try:
            return True, restore(payload) if asked else self._first_copy(key, entry)
        except CorruptError:  # its class has changed or gone since
            self.tally.faults["corrupt"] += 1
            self._drop(key, DELETED)
            return MISS

    def set_nowait(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Do what :meth:`set` does at once, and say whether that was done."""
        seconds = lifetime(ttl)
        return seconds > 0 and self.put_nowait(key, self.snapshot(value), seconds)

    def put_nowait(
        self,
        key: str,
        snapshot: Snapshot,
        seconds: float = FOR_EVER,
        entry_id: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """Store a snapshot at once, for so many seconds, and say whether that was done."""
        payload, restore, size = snapshot
        if self.max_size == 0 or (self.max_bytes is not None and size > self.max_bytes):
            self.delete_nowait(key)  # what it was to replace is out of date
            return False
        if (replaced := self._entries.pop(key, None)) is not None:
            self._take_off(replaced)
        self._entries[key] = self._clock() + seconds, payload, restore, size, False
        self._bytes += size
        if entry_id is not None:
            self.ids.link(entry_id, key, alias)
        self._make_room()
        return True

    def delete_nowait(self, key: str) -> bool:
        """Drop the entry under *key* at once, and say whether there was one to be read."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        deadline, *_ = entry
        expired = deadline <= self._clock()
        self._drop(key, EXPIRED if expired else DELETED)
        return not expired

    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""
        return self.get_nowait(key)

    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Look *key* up; on a hit the ids in *terms* stand for it too."""
        found = self.get_nowait(key)
        if found[0]:
            self._link(key, terms)
        return found

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keep a snapshot of *value* under *key*, in place of what was there. See :meth:`Store.set`.

        Raises:
            UnencodableError: There is no faithful copy of *value*.
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
        """
        self.set_nowait(key, value, ttl)

    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Store a snapshot."""
        return self.put_nowait(key, snapshot, terms.seconds, terms.entry_id, terms.alias)

    async def delete(self, key: str, timeout: float | None = None) -> bool:  # noqa: ARG002 - it takes no time
        """Drop the entry under *key*, and say whether there was one to be read."""
        return self.delete_nowait(key)

    async def clear(self) -> None:
        """Drop every entry."""
        keys = list(self._entries) if self._on_gone is not None else []
        for entry in self._entries.values():
            self._take_off(entry)
        self._entries.clear()
        self.ids.clear()
        if self._on_gone is not None:
            for key in keys:
                self._on_gone(key, DELETED)

    async def sweep(self) -> None:
        """Drop the entries past their time."""
        now = self._clock()
        for key in [key for key, (deadline, *_) in self._entries.items() if deadline <= now]:
            self._drop(key, EXPIRED)

    def _first_copy(self, key: str, entry: Entry) -> Any:
        """Restore the value for the first who asks. From then on it is copied, if it can be and there is room."""
        deadline, payload, restore, size, _ = entry
        value = payload if restore is None else restore(payload)
        if self._entries.get(key) is not entry:  # code of the value's own classes has run
            return value
        copier = copier_of(value) if size <= self._room_for_copied else None
        if copier is None:
            self._entries[key] = deadline, payload, restore, size, True
            return value
        self._room_for_copied -= size
        self._entries[key] = deadline, copier, call, size, True
        return copier()

    def _make_room(self) -> None:
        if self.max_size is not None and len(self._entries) > self.max_size:
            self._drop(next(iter(self._entries)), EVICTED)
        if self.max_bytes is not None:
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._entries)), EVICTED)

    def _take_off(self, entry: Entry) -> None:
        """Take an entry that is gone off what the others take."""
        _, _, restore, size, _ = entry
        self._bytes -= size
        if restore is call:
            self._room_for_copied += size

    def _drop(self, key: str, why: str) -> None:
        self._take_off(self._entries.pop(key))
        self.ids.forget_key(key)
        if why is EVICTED:
            self.tally.evictions += 1
        elif why is EXPIRED:
            self.tally.expirations += 1
        if self._on_gone is not None:
            self._on_gone(key, why)
