"""What a cache stores its entries in: the four methods anybody can write, and what our own offer beyond them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..entry_ids import EntryName
from ..lifetime import FOR_EVER, lifetime
from ..snapshot import Snapshot
from ..statistics import StoreTally

MISS: Final[tuple[bool, Any]] = (False, None)
"""What a lookup returns that found nothing."""


class Terms(NamedTuple):
    """What goes with an operation of a store.

    Attributes:
        seconds: How long an entry, or an id, is to last: more than zero.
        name: What stands for the entry from now on, or None.
        timeout: Seconds it may take; None for the store's own budget.
    """

    seconds: float = FOR_EVER
    name: EntryName | None = None
    timeout: float | None = None


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
    """

    tally: StoreTally

    @abstractmethod
    def snapshot(self, value: object) -> Snapshot:
        """Return *value* in the form this store keeps; UnencodableError if it has none."""

    @abstractmethod
    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Return ``(True, value)`` or ``(False, None)``; on a hit the name in *terms* stands for *key*."""

    @abstractmethod
    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Store a snapshot on these *terms*, and say whether that was done."""

    @abstractmethod
    async def resolve(self, entry_id: str) -> str | None:
        """Return the key that an id, or an alias, stands for."""

    @property
    def entry_keys(self) -> Mapping[str, str]:
        """Entry ids and the keys they stand for; empty where the storage keeps them."""
        return {}

    def forget(self, entry_id: str) -> None:
        """Drop an id, unless the storage does so in time by itself. Its entry stays."""

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
        return None

    @property
    def bytes(self) -> int | None:
        """Bytes their values take; None where only the storage knows."""
        return None
