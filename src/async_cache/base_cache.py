"""Entries without the switches: for a caller who has decided that the cache is to be asked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn

from .adapters.base import CacheAdapter, Terms
from .adapters.circuit_breaker import BUDGET
from .adapters.memory import MemoryCacheAdapter
from .adapters.third_party import store_for
from .exceptions import UnencodableError
from .snapshot import Snapshot
from .statistics import CacheStatistics, Complaints, Tally, statistics_of
from .validation import checked_limit, checked_seconds, checked_ttl, lifetime

logger = logging.getLogger(__name__)

MAX_SERIALIZED_SIZE: Final = 10 * 1024 * 1024
"""Bytes a value may take unless told otherwise."""


class Entries:
    """Snapshots of values under keys, with a default ttl, a limit on their size, and figures.

    Nothing here raises, or takes longer than its timeout, because of the storage: faults
    are misses. The arguments are those of :class:`~async_cache.AsyncCache`.
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
        self._store = store_for(self.adapter, BUDGET if timeout is None else timeout)
        self._memory = self._store if isinstance(self._store, MemoryCacheAdapter) else None
        self._tally = Tally()
        self._complaints = Complaints(logger)

    @property
    def default_ttl(self) -> float | None:
        """Seconds an entry lives whose ttl is None; None for ever.

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
        """Whether entries are in this process, so that ``lookup_nowait`` and ``store_nowait`` work."""
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
        """Do what ``get`` does, whatever the switches say.

        Args:
            key: As for ``get``.
            entry_id: As for ``get``.
            alias: As for ``get``.
            ttl: Seconds that the ids last at most, for a storage that keeps them; None for the default.
            again: Whether this caller has asked before, and was counted as a miss.
            timeout: Seconds it may take; None for the cache's own.
        """
        found = await self._store.fetch(key, self._terms(ttl, entry_id, alias, timeout))
        self._tally.hits += found[0]
        self._tally.misses += (not found[0]) - again
        return found

    def lookup_nowait(
        self, key: str, *, entry_id: str | None = None, alias: str | None = None, again: bool = False
    ) -> tuple[bool, Any]:
        """Do what :meth:`lookup` does, without waiting. Only where :attr:`is_local`."""
        memory = self._none_here() if self._memory is None else self._memory
        found = memory.get_nowait(key)
        if found[0]:
            self._tally.hits += 1
            if again:  # and was counted as a miss before
                self._tally.misses -= 1
            if entry_id is not None:
                memory.ids.link(entry_id, key, alias)
        elif not again:
            self._tally.misses += 1
        return found

    def snapshot(self, value: object) -> Snapshot | None:
        """Return *value* held still, in the form it is stored in; None, and counted, if there is none.

        Its ``value()`` makes a copy for whoever is to share it without going through the storage.
        """
        try:
            return self._store.snapshot(value)
        except UnencodableError as error:
            self._tally.refused["unencodable"] += 1
            self._complaints.about(error.kind.__qualname__, "cache: a result is not stored: %s", error)
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
        """Store what :meth:`snapshot` returned, whatever the switches say, and say whether that was done.

        None is not stored. *timeout* is in seconds, None for the cache's own; all the
        rest is as for ``set``, the errors too.
        """
        terms = self._terms(ttl, entry_id, alias, timeout)
        if snapshot is None or self._refuses(snapshot, terms.seconds):
            return False
        done = await self._store.put(key, snapshot, terms)
        self._tally.sets += done
        return done

    def store_nowait(
        self,
        key: str,
        snapshot: Snapshot | None,
        ttl: float | None = None,
        *,
        entry_id: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """Do what :meth:`store` does, without waiting. Only where :attr:`is_local`."""
        memory = self._none_here() if self._memory is None else self._memory
        seconds = lifetime(self._default_ttl if ttl is None else ttl)
        if snapshot is None or self._refuses(snapshot, seconds):
            return False
        done = memory.put_nowait(key, snapshot, seconds, entry_id, alias)
        self._tally.sets += done
        return done

    def statistics(self) -> CacheStatistics:
        """Return what the cache did so far, and how it stands."""
        return statistics_of(self._tally, self._store.tally, self._store.size, self._store.bytes)

    def _terms(self, ttl: float | None, entry_id: str | None, alias: str | None, timeout: float | None) -> Terms:
        seconds = lifetime(self._default_ttl if ttl is None else ttl)
        return Terms(seconds, entry_id if seconds > 0 else None, alias, self._timeout if timeout is None else timeout)

    def _refuses(self, snapshot: Snapshot, seconds: float) -> bool:
        if seconds <= 0:
            reason = "ttl"
        elif self.max_serialized_size is not None and snapshot.size > self.max_serialized_size:
            reason = "too large"
        else:
            return False
        self._tally.refused[reason] += 1
        return True

    def _none_here(self) -> NoReturn:
        raise RuntimeError("the entries are not in this process: await lookup() and store()")
