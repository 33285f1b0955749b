"""The floor: ``functools.lru_cache``, all in C, without times to live. A hit is the stored object itself.

It has no ``set``: a function that returns what it is about to be given is called instead. The
coroutine in front of it costs more than itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from benchmarks.caches.protocol import Function


class Adapter:
    """One plain function with ``lru_cache``."""

    async def open(self, max_size: int) -> None:
        self._max_size = max_size
        self._next: Any = None
        self._known = lru_cache(max_size)(lambda _: self._next)

    async def get(self, key: str) -> Any:
        return self._known(key)

    async def set(self, key: str, value: Any, ttl: int) -> None:  # noqa: ARG002
        self._next = value
        self._known(key)
        self._next = None

    def value_in(self, answer: Any) -> Any:
        return answer

    async def wrap(self, function: Function) -> None:
        self._wrapped = lru_cache(self._max_size)(_plain(function))

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return self._wrapped(*args, **kwargs)


def _plain(function: Function) -> Callable[..., Any]:
    """Return a plain function that runs a coroutine which never waits."""

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            function(*args, **kwargs).send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("it waits")

    return run
