"""What a cache stores its entries in: the four methods anybody can write, and what our own offer beyond them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple

from ..entry_ids import EntryIds
from ..snapshot import Snapshot
from ..statistics import StoreTally
from ..validation import FOR_EVER, lifetime

MISS: Final[tuple[bool, Any]] = (False, None)
"""What a lookup returns that found nothing."""


class Terms(NamedTuple):
    """What goes with an operation of a store."""

    seconds: float = FOR_EVER  # how long an entry, or an id, is to last: more than zero
    entry_id: str | None = None  # stands for the entry from now on
    alias: str | None = None  # means the same
    timeout: float | None = None  # seconds it may take; None for the store's own budget


NO_TERMS: Final = Terms()

METHODS: Final = ("get", "set", "delete", "clear")
"""What every adapter has, whether it is derived from :class:`CacheAdapter` or not."""


class CacheAdapter(ABC):
    """A place for results, to be derived from for a storage of your own.

    The cache hands it plain values and copies those that come back, so it may keep
    objects as they are or encode them as it likes. An error or a delay in one of its
    methods counts as a miss and never reaches the task.
    """

    @abstractmethod
    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Keep *value* under *key*, in place of what was there.

        Args:
            key: Any text.
            value: What a task returned.
            ttl: Seconds until it expires; a float if fractions were asked for. None for never.
        """

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Drop the entry under *key*, and say whether there was one."""

    @abstractmethod
    async def clear(self) -> None:
        """Drop every entry."""


class Store(CacheAdapter):
    """What the cache works with: an adapter that takes snapshots and knows entries by their ids too.

    Neither looking up nor storing raises because of the storage: what goes wrong there is
    a miss, counted in *tally*.

    Attributes:
        tally: What this store counts.
        ids: Entry ids and the keys they stand for; empty where the storage keeps them.
    """

    def __init__(self) -> None:
        self.tally = StoreTally()
        self.ids = EntryIds()

    @abstractmethod
    def snapshot(self, value: object) -> Snapshot:
        """Return *value* in the form this store keeps; UnencodableError if it has none."""

    @abstractmethod
    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Return ``(True, value)`` or ``(False, None)``; on a hit the ids in *terms* stand for *key*."""

    @abstractmethod
    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Store a snapshot on these *terms*, and say whether that was done."""

    @abstractmethod
    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Drop the entry under *key*, and say whether there was one. False if the storage did not answer."""

    async def resolve(self, entry_id: str, timeout: float | None = None) -> str | None:  # noqa: ARG002 - it is known
        """Return the key that an id, or an alias, stands for."""
        return self.ids.key_of(entry_id)

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keep a snapshot of *value* under *key*, in place of what was there.

        Args:
            key: Any text.
            value: What has a faithful copy in this store.
            ttl: Seconds to live, fractions too. None and infinity for ever; zero and less: do not store.

        Raises:
            UnencodableError: There is no faithful copy of *value*.
            TypeError: *ttl* is no number.
            ValueError: *ttl* is NaN.
        """
        seconds = lifetime(ttl)
        if seconds > 0:
            await self.put(key, self.snapshot(value), Terms(seconds))

    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""
        return await self.fetch(key)

    async def sweep(self) -> None:
        """Drop what is past its time, entries and ids alike."""

    async def aclose(self) -> None:
        """Wait for what is under way and give back what was opened. It may be used again afterwards."""

    @property
    def size(self) -> int | None:
        """Entries held; None where only the storage knows."""

    @property
    def bytes(self) -> int | None:
        """Bytes their values take; None where only the storage knows."""

    def _link(self, key: str, terms: Terms) -> None:
        if terms.entry_id is not None:
            self.ids.link(terms.entry_id, key, terms.alias)
