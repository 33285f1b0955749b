"""aiocache in memory, by its class and its decorator. It has no limit; a hit is the stored object itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiocache import SimpleMemoryCache, cached

from benchmarks.caches.protocol import TTL, Function


class Adapter:
    """One ``SimpleMemoryCache``."""

    async def open(self, max_size: int) -> None:  # noqa: ARG002
        self._cache = SimpleMemoryCache()
        self.get = self._cache.get
        self.set = self._cache.set

    def value_in(self, answer: Any) -> Any:
        return answer

    async def wrap(self, function: Function) -> None:
        self._wrapped = cached(ttl=TTL, cache=SimpleMemoryCache)(function)

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return await self._wrapped(*args, **kwargs)
