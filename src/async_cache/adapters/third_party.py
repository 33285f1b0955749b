"""Adapters of other people's making, brought into the form the cache works with."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..codec import Codec
from ..exceptions import CorruptError, UnencodableError
from ..snapshot import Snapshot, snapshot_of
from ..validation import FOR_EVER
from .base import METHODS, MISS, NO_TERMS, CacheAdapter, Store, Terms
from .circuit_breaker import BUDGET, Guard
from .memory import MemoryCacheAdapter
from .redis import RedisCacheAdapter

OWN: Final[tuple[type[Store], ...]] = (MemoryCacheAdapter, RedisCacheAdapter)
CORRUPT: Final = "corrupt"


def store_for(adapter: Any, timeout: float = BUDGET) -> Store:
    """Return *adapter* in the form the cache works with.

    Args:
        adapter: One of our own, or any object with the four methods of :class:`CacheAdapter`.
        timeout: Seconds a call of somebody else's method may take.

    Raises:
        TypeError: It lacks one of the methods.
    """
    if isinstance(adapter, Store) and not _redefined(adapter):
        return adapter
    lacking = [name for name in METHODS if not callable(getattr(adapter, name, None))]
    if lacking or isinstance(adapter, type):
        raise TypeError(
            f"a cache adapter is an object with the async methods get, set, delete and clear; {adapter!r} "
            + (f"lacks {', '.join(lacking)}" if lacking else "is a class: call it")
        )
    return ForeignStore(adapter, timeout)


def _redefined(adapter: Store) -> bool:
    """Whether a class derived from ours has a method of its own that a shortcut would pass by."""
    own = next((base for base in OWN if isinstance(adapter, base)), None)
    return own is not None and any(getattr(type(adapter), name) is not getattr(own, name) for name in METHODS)


class ForeignStore(Store):
    """An adapter that keeps values by itself and knows nothing of snapshots and ids.

    It gets copies and gives copies: whether it encodes values or keeps them as they are,
    a hit is nobody else's object.
    """

    def __init__(self, adapter: CacheAdapter, timeout: float = BUDGET) -> None:
        super().__init__()
        self.adapter = adapter
        self._codec = Codec()
        self._guard = Guard(type(adapter).__name__, self.tally, timeout)

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* encoded: what the adapter gets is decoded from it."""
        return snapshot_of(self._codec, value)

    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Ask the adapter for *key*."""
        found = await self._guard.ask(partial(self._get, key), MISS, terms.timeout)
        if found[0]:
            self._link(key, terms)
        return found

    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Give the adapter a copy of the value."""
        done = await self._guard.ask(partial(self._set, key, snapshot, terms.seconds), False, terms.timeout)
        if done:
            self._link(key, terms)
        return done

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Have the adapter drop the entry. False if it could not be asked."""
        self.ids.forget_key(key)
        return await self._guard.ask(partial(self._delete, key), False, timeout, insist=True)

    async def clear(self) -> None:
        """Have the adapter drop every entry, however long that takes.

        Raises:
            CacheUnavailableError: It raised something.
        """
        self.ids.clear()
        await self._guard.attempt(self._clear, FOR_EVER, insist=True)

    async def sweep(self) -> None:
        """Drop the ids of entries the adapter has no longer. It is asked for each; a fault ends the round."""
        for key in self.ids.known_keys():
            asked_for = self.ids.ids_of(key)  # those linked while we ask stand for a newer entry
            found = await self._guard.ask(partial(self._get, key), None)
            if found is None:
                return
            if not found[0]:
                for entry_id in asked_for:
                    self.ids.forget(entry_id)

    async def aclose(self) -> None:
        """Wait for what is under way. The adapter belongs to whoever made it."""
        await self._guard.aclose()

    async def _get(self, key: str) -> tuple[bool, Any]:
        answer: object = await self.adapter.get(key)
        if not isinstance(answer, tuple | list):  # text of two letters, say, would be a hit
            raise TypeError(f"get() returned {type(answer).__name__} instead of a tuple of hit and value")
        hit, value = answer
        if not hit:
            return MISS
        try:
            return True, self.snapshot(value).value()
        except (UnencodableError, CorruptError) as error:
            self._guard.note(CORRUPT, error)
            return MISS

    async def _set(self, key: str, snapshot: Snapshot, seconds: float) -> bool:
        # What adapters are used to: None for ever, an int wherever it is one.
        ttl: Any = None if seconds == FOR_EVER else int(seconds) if seconds == int(seconds) else seconds
        await self.adapter.set(key, snapshot.value(), ttl)
        return True

    async def _delete(self, key: str) -> bool:
        return bool(await self.adapter.delete(key))

    async def _clear(self) -> None:
        await self.adapter.clear()
