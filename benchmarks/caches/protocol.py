"""What a scenario may ask of a cache.

An adapter offers what its cache can do and nothing else. What is measured is a coroutine function
for every contender, so that the measuring code pays the same for each of them; where the cache has one
that fits, it is the adapter's method. Entries live an hour where the cache knows of time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

TTL = 3600
"""Seconds an entry lives: none expires while it is measured."""

Function = Callable[..., Awaitable[Any]]


class Opens(Protocol):
    """A cache that can be set up; the process ends without tearing it down."""

    async def open(self, max_size: int) -> None:
        """Make ready to keep *max_size* entries, or more where there is no limit."""


class Keeps(Opens, Protocol):
    """A cache asked by key."""

    async def get(self, key: str) -> Any:
        """Look *key* up and answer in the cache's own way."""

    async def set(self, key: str, value: Any, ttl: int) -> Any:
        """Keep *value* under *key* for *ttl* seconds."""

    def value_in(self, answer: Any) -> Any:
        """Return the value in what ``get`` answered, None if it is a miss."""


class Calls(Opens, Protocol):
    """A cache in front of a coroutine function, with keys made of its arguments."""

    async def wrap(self, function: Function) -> None:
        """Stand in front of *function* from now on."""

    async def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the function returns for these arguments, calling it if that is not known yet."""


class Copies(Protocol):
    """A way to hand out a value that the next caller does not see changed."""

    def copier(self, value: Any) -> Callable[[], Any]:
        """Return a function that makes a copy of *value*, with what can be done beforehand done."""
