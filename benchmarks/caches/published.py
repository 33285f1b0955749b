"""The cache of the published package, by its interface. A hit is the stored object itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from async_cache import AsyncCache, MemoryCacheAdapter
from benchmarks.caches.protocol import TTL, Function


class Adapter:
    """A published ``MemoryCacheAdapter``, and an ``AsyncCache`` in front of it."""

    async def open(self, max_size: int) -> None:
        self._adapter = MemoryCacheAdapter(max_size)
        self._cache = AsyncCache(self._adapter, default_ttl=TTL)
        self.get = self._adapter.get
        self.set = self._adapter.set

    def value_in(self, answer: tuple[bool, Any]) -> Any:
        return answer[1]

    async def wrap(self, function: Function) -> None:
        self._function = function
        self._name = function.__name__

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        cache, name = self._cache, self._name
        hit, value = await cache.get(name, args, kwargs)
        if not hit:
            value = await self._function(*args, **kwargs)
            await cache.set(name, args, kwargs, value)
        return value
