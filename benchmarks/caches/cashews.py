"""cashews in memory, by its front and its decorator. A hit is a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cashews import Cache

from benchmarks.caches.protocol import TTL, Function


class Adapter:
    """One ``Cache`` with the memory backend."""

    async def open(self, max_size: int) -> None:
        self._cache = Cache()
        self._cache.setup("mem://", size=max_size)
        self.get = self._cache.get
        self.set = self._cache.set

    def value_in(self, answer: Any) -> Any:
        return answer

    async def wrap(self, function: Function) -> None:
        self._wrapped = self._cache(ttl=TTL)(function)

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return await self._wrapped(*args, **kwargs)
