"""Base classes of cache adapters: four methods for users to implement, and the methods of the built-in adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple

from ..entry_ids import EntryIds
from ..snapshot import Snapshot
from ..statistics import StoreCounters
from ..validation import NO_EXPIRY, lifetime

MISS: Final[tuple[bool, Any]] = (False, None)
"""The result of a lookup that found nothing."""


CORRUPT: Final = "corrupt"
"""The kind of fault of stored bytes that cannot be decoded."""


class StoreOptions(NamedTuple):
    """Options of one operation of a store."""

    seconds: float = NO_EXPIRY  # lifetime of the entry or id: more than zero
    entry_id: str | None = None  # id to link to the entry
    alias: str | None = None  # second id to link to the entry
    timeout: float | None = None  # seconds the operation may take; None for the store's default


DEFAULT_OPTIONS: Final = StoreOptions()

METHODS: Final = ("get", "set", "delete", "clear")
"""The methods that every adapter has, whether it is derived from :class:`CacheAdapter` or not."""


class CacheAdapter(ABC):
    """Base class for a storage of your own.

    The cache passes plain values and copies the values it gets back, so an adapter may keep
    objects as they are or encode them. An error or a delay in one of its methods counts as a
    miss and never reaches the task.
    """

    @abstractmethod
    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Store *value* under *key*, replacing an existing entry.

        Args:
            key: Any text.
            value: The result of a task.
            ttl: Seconds until it expires; a float if the caller gave a fraction. None for never.
        """

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Delete the entry under *key*; return whether there was one."""

    @abstractmethod
    async def clear(self) -> None:
        """Delete every entry."""


class Store(CacheAdapter):
    """An adapter that stores snapshots and links entry ids to entries.

    Lookups and stores do not raise errors of the storage: a fault is a miss and is counted.

    Attributes:
        counters: Counters of this store.
        ids: Entry ids and their keys; empty if the storage keeps them itself.
    """

    def __init__(self) -> None:
        self.counters = StoreCounters()
        self.ids = EntryIds()

    @abstractmethod
    def snapshot(self, value: object) -> Snapshot:
        """Return *value* in the form in which this store keeps it; raise UnencodableError if there is none."""

    @abstractmethod
    async def fetch(self, key: str, options: StoreOptions = DEFAULT_OPTIONS) -> tuple[bool, Any]:
        """Return ``(True, value)`` or ``(False, None)``; on a hit, link the ids in *options* to the entry."""

    @abstractmethod
    async def put(self, key: str, snapshot: Snapshot, options: StoreOptions = DEFAULT_OPTIONS) -> bool:
        """Store a snapshot; return whether it was stored."""

    @abstractmethod
    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Delete the entry under *key*; return whether there was one. False if the storage did not answer."""

    async def resolve(self, entry_id: str, timeout: float | None = None) -> str | None:  # noqa: ARG002 - no I/O here
        """Return the key that an entry id or an alias is linked to, or None."""
        return self.ids.key_of(entry_id)

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Store a snapshot of *value* under *key*, replacing an existing entry.

        Args:
            key: Any text.
            value: A value that this store can copy faithfully.
            ttl: Seconds to live, fractions allowed. None and infinity for no expiry; zero or less: do not store.

        Raises:
            UnencodableError: *value* cannot be copied faithfully.
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
        """
        seconds = lifetime(ttl)
        if seconds > 0:
            await self.put(key, self.snapshot(value), StoreOptions(seconds))

    async def get(self, key: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry under *key*, or ``(False, None)``."""
        return await self.fetch(key)

    async def sweep(self) -> None:
        """Delete expired entries, and ids of entries that no longer exist."""

    async def aclose(self) -> None:
        """Wait for operations in progress and release resources. The store may be used again afterwards."""

    @property
    def size(self) -> int | None:
        """Number of entries; None if only the storage knows."""

    @property
    def bytes(self) -> int | None:
        """Size of all values in bytes; None if only the storage knows."""

    def _link(self, key: str, options: StoreOptions) -> None:
        if options.entry_id is not None:
            self.ids.link(options.entry_id, key, options.alias)
