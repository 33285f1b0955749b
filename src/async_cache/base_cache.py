"""Lookups and stores that ignore whether the cache is enabled, for callers that have checked that already."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn

from .adapters.base import CacheAdapter, StoreOptions
from .adapters.circuit_breaker import DEFAULT_TIMEOUT
from .adapters.memory import MemoryCacheAdapter
from .adapters.third_party import wrap_adapter
from .exceptions import UnencodableError
from .snapshot import Snapshot
from .statistics import CacheCounters, CacheStatistics, ThrottledWarnings, statistics_of
from .validation import checked_limit, checked_seconds, checked_ttl, lifetime

logger = logging.getLogger(__name__)

MAX_SERIALIZED_SIZE: Final = 10 * 1024 * 1024
"""Maximum size of a value in bytes by default."""


class BaseCache:
    """Stores snapshots of values under keys, with a default ttl, a limit on their size, and counters.

    A faulty or slow storage neither raises an error nor delays a call beyond its timeout: a
    fault is a miss. The arguments are those of :class:`~async_cache.AsyncCache`.
    """

    def __init__(
        self,
        adapter: Any,
        default_ttl: float | None,
        max_serialized_size: int | None,
        max_size: int | None,
        timeout: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.adapter: CacheAdapter = MemoryCacheAdapter(max_size, clock=clock) if adapter is None else adapter
        self.max_serialized_size = checked_limit("max_serialized_size", max_serialized_size)
        self._default_ttl = checked_ttl(default_ttl)
        self._timeout = None if timeout is None else checked_seconds("timeout", timeout)
        self._store = wrap_adapter(self.adapter, DEFAULT_TIMEOUT if timeout is None else timeout)
        self._memory = self._store if isinstance(self._store, MemoryCacheAdapter) else None
        self._counters = CacheCounters()
        self._warnings = ThrottledWarnings(logger)

    @property
    def default_ttl(self) -> float | None:
        """Time to live in seconds of entries stored with a ttl of None; None for no expiry.

        Raises:
            TypeError: It was set to what is not a number.
            ValueError: It was set to NaN.
        """
        return self._default_ttl

    @default_ttl.setter
    def default_ttl(self, ttl: float | None) -> None:
        self._default_ttl = checked_ttl(ttl)

    @property
    def is_local(self) -> bool:
        """Whether entries are in this process's memory, so that ``lookup_nowait`` and ``store_nowait`` work."""
        return self._memory is not None

    async def lookup(
        self,
        key: str,
        *,
        entry_id: str | None = None,
        alias: str | None = None,
        ttl: float | None = None,
        again: bool = False,
        timeout: float | None = None,
    ) -> tuple[bool, Any]:
        """Return what ``get`` returns, even if the cache is disabled.

        Args:
            key: As for ``get``.
            entry_id: As for ``get``.
            alias: As for ``get``.
            ttl: Maximum seconds to keep the ids, in a storage that keeps them; None for the default.
            again: Whether this caller has looked up the key before and was counted as a miss.
            timeout: Seconds it may take; None for the timeout of the cache.
        """
        found = await self._store.fetch(key, self._store_options(ttl, entry_id, alias, timeout))
        self._counters.hits += found[0]
        self._counters.misses += (not found[0]) - again
        return found

    def lookup_nowait(
        self, key: str, *, entry_id: str | None = None, alias: str | None = None, again: bool = False
    ) -> tuple[bool, Any]:
        """Do what :meth:`lookup` does, without waiting. Requires :attr:`is_local`."""
        memory = self._not_local() if self._memory is None else self._memory
        found = memory.get_nowait(key)
        if found[0]:
            self._counters.hits += 1
            if again:  # it was counted as a miss before
                self._counters.misses -= 1
            if entry_id is not None:
                memory.ids.link(entry_id, key, alias)
        elif not again:
            self._counters.misses += 1
        return found

    def snapshot(self, value: object) -> Snapshot | None:
        """Return a snapshot of *value* as it is stored; return None, and count it as refused, if there is none.

        Its ``value()`` returns a copy, with which the result can be shared without the storage.
        """
        try:
            return self._store.snapshot(value)
        except UnencodableError as error:
            self._counters.refused["unencodable"] += 1
            self._warnings.warn(error.kind.__qualname__, "cache: a result is not stored: %s", error)
            return None

    async def store(
        self,
        key: str,
        snapshot: Snapshot | None,
        ttl: float | None = None,
        *,
        entry_id: str | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Store a snapshot, even if the cache is disabled; return whether it was stored.

        A snapshot of None is not stored. *timeout* is in seconds, None for the timeout of the
        cache; the other arguments and the errors are those of ``set``.
        """
        options = self._store_options(ttl, entry_id, alias, timeout)
        if snapshot is None or self._refuses(snapshot, options.seconds):
            return False
        stored = await self._store.put(key, snapshot, options)
        self._counters.sets += stored
        return stored

    def store_nowait(
        self,
        key: str,
        snapshot: Snapshot | None,
        ttl: float | None = None,
        *,
        entry_id: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """Do what :meth:`store` does, without waiting. Requires :attr:`is_local`."""
        memory = self._not_local() if self._memory is None else self._memory
        seconds = lifetime(self._default_ttl if ttl is None else ttl)
        if snapshot is None or self._refuses(snapshot, seconds):
            return False
        stored = memory.put_nowait(key, snapshot, seconds, entry_id, alias)
        self._counters.sets += stored
        return stored

    def statistics(self) -> CacheStatistics:
        """Return the counters of the cache and its current size."""
        return statistics_of(self._counters, self._store.counters, self._store.size, self._store.bytes)

    def _store_options(
        self, ttl: float | None, entry_id: str | None, alias: str | None, timeout: float | None
    ) -> StoreOptions:
        seconds = lifetime(self._default_ttl if ttl is None else ttl)
        return StoreOptions(
            seconds, entry_id if seconds > 0 else None, alias, self._timeout if timeout is None else timeout
        )

    def _refuses(self, snapshot: Snapshot, seconds: float) -> bool:
        if seconds <= 0:
            reason = "ttl"
        elif self.max_serialized_size is not None and snapshot.size > self.max_serialized_size:
            reason = "too large"
        else:
            return False
        self._counters.refused[reason] += 1
        return True

    def _not_local(self) -> NoReturn:
        raise RuntimeError("the entries are not in this process's memory: await lookup() and store() instead")
