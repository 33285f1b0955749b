"""The cache of this repository. A hit is a fresh copy, unless the value can never change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from async_cache import AsyncCache, MemoryCacheAdapter
from benchmarks.caches.protocol import TTL, Function


class Adapter:
    """A ``MemoryCacheAdapter``, and an ``AsyncCache`` in front of it."""

    async def open(self, max_size: int) -> None:
        self._adapter = MemoryCacheAdapter(max_size)
        self._cache = AsyncCache(self._adapter, default_ttl=TTL)
        self.get = self._adapter.get
        self.set = self._adapter.set

    def value_in(self, answer: tuple[bool, Any]) -> Any:
        return answer[1]

    async def wrap(self, function: Function) -> None:
        self._function = function

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        cache, function = self._cache, self._function
        key = cache.key_for(function, args, kwargs)
        if key is None:
            raise RuntimeError("no key")
        hit, value = await cache.get(key)
        if not hit:
            value = await function(*args, **kwargs)
            await cache.set(key, value)
        return value

    def copier(self, value: Any) -> Callable[[], Any]:
        return MemoryCacheAdapter().snapshot(value).value
