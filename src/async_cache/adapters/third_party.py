"""Adapters written by users, wrapped so that the cache can use them like its own."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..codec import Codec
from ..exceptions import CorruptError, UnencodableError
from ..snapshot import Snapshot, snapshot_of
from ..validation import NO_EXPIRY
from .base import CORRUPT, DEFAULT_OPTIONS, METHODS, MISS, CacheAdapter, Store, StoreOptions
from .circuit_breaker import DEFAULT_TIMEOUT, CircuitBreaker
from .memory import MemoryCacheAdapter
from .redis import RedisCacheAdapter

BUILTIN_ADAPTERS: Final[tuple[type[Store], ...]] = (MemoryCacheAdapter, RedisCacheAdapter)


def wrap_adapter(adapter: Any, timeout: float = DEFAULT_TIMEOUT) -> Store:
    """Return *adapter* itself if it is a store, else a store that wraps it.

    Args:
        adapter: A built-in adapter, or any object with the four methods of :class:`CacheAdapter`.
        timeout: Seconds that a call of a wrapped adapter may take.

    Raises:
        TypeError: It lacks one of the methods.
    """
    if isinstance(adapter, Store) and not _overrides_methods(adapter):
        return adapter
    missing = [name for name in METHODS if not callable(getattr(adapter, name, None))]
    if missing or isinstance(adapter, type):
        raise TypeError(
            f"a cache adapter is an object with the async methods get, set, delete and clear; {adapter!r} "
            + (f"lacks {', '.join(missing)}" if missing else "is a class: call it")
        )
    return WrappedAdapter(adapter, timeout)


def _overrides_methods(adapter: Store) -> bool:
    """Return whether a subclass of a built-in adapter overrides a method that the cache would bypass."""
    builtin = next((base for base in BUILTIN_ADAPTERS if isinstance(adapter, base)), None)
    return builtin is not None and any(getattr(type(adapter), name) is not getattr(builtin, name) for name in METHODS)


class WrappedAdapter(Store):
    """A store on top of a user's adapter, which knows neither snapshots nor ids.

    The adapter receives copies, and its values are copied again on a hit: whether it encodes
    values or keeps the objects, no two callers share one.
    """

    def __init__(self, adapter: CacheAdapter, timeout: float = DEFAULT_TIMEOUT) -> None:
        super().__init__()
        self.adapter = adapter
        self._codec = Codec()
        self._breaker = CircuitBreaker(type(adapter).__name__, self.counters, timeout)

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* encoded; the adapter receives a value decoded from it."""
        return snapshot_of(self._codec, value)

    async def fetch(self, key: str, options: StoreOptions = DEFAULT_OPTIONS) -> tuple[bool, Any]:
        """Call ``get()`` of the adapter."""
        found = await self._breaker.call_or(partial(self._get, key), MISS, options.timeout)
        if found[0]:
            self._link(key, options)
        return found

    async def put(self, key: str, snapshot: Snapshot, options: StoreOptions = DEFAULT_OPTIONS) -> bool:
        """Call ``set()`` of the adapter with a copy of the value."""
        set_copy = partial(self._set, key, snapshot, options.seconds)
        stored = await self._breaker.call_or(set_copy, False, options.timeout)
        if stored:
            self._link(key, options)
        return stored

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Call ``delete()`` of the adapter; return False if that failed."""
        self.ids.forget_key(key)
        return await self._breaker.call_or(partial(self._delete, key), False, timeout, force=True)

    async def clear(self) -> None:
        """Call ``clear()`` of the adapter, without a timeout.

        Raises:
            CacheUnavailableError: It raised an error.
        """
        self.ids.clear()
        await self._breaker.call(self._clear, NO_EXPIRY, force=True)

    async def sweep(self) -> None:
        """Drop the ids of entries that the adapter no longer has. It is asked for each key; a fault ends the sweep."""
        for key in self.ids.known_keys():
            ids = self.ids.ids_of(key)  # ids linked while the adapter is asked belong to a newer entry
            found = await self._breaker.call_or(partial(self._get, key), None)
            if found is None:
                return
            if not found[0]:
                for entry_id in ids:
                    self.ids.forget(entry_id)

    async def aclose(self) -> None:
        """Wait for calls in progress. The adapter itself is left for its owner to close."""
        await self._breaker.aclose()

    async def _get(self, key: str) -> tuple[bool, Any]:
        answer: object = await self.adapter.get(key)
        if not isinstance(answer, tuple | list):  # a str of two characters, for example, would unpack as a hit
            raise TypeError(f"get() returned {type(answer).__name__} instead of a tuple of hit and value")
        hit, value = answer
        if not hit:
            return MISS
        try:
            return True, self.snapshot(value).value()
        except (UnencodableError, CorruptError) as error:
            self._breaker.record_fault(CORRUPT, error)
            return MISS

    async def _set(self, key: str, snapshot: Snapshot, seconds: float) -> bool:
        # Adapters expect None for no expiry, and an int where the number is whole.
        ttl: Any = None if seconds == NO_EXPIRY else int(seconds) if seconds == int(seconds) else seconds
        await self.adapter.set(key, snapshot.value(), ttl)
        return True

    async def _delete(self, key: str) -> bool:
        return bool(await self.adapter.delete(key))

    async def _clear(self) -> None:
        await self.adapter.clear()
