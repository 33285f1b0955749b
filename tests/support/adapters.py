"""Third-party cache adapters: in the style of the older contract document, and with all kinds of faults."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from async_cache import CacheAdapter


class DictCache(CacheAdapter):
    """Stores the objects that it is given, without copies.

    Attributes:
        entries: What it holds.
        ttls: The ttl each key was last set with.
        calls: Which methods were called, in order.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.ttls: dict[str, Any] = {}
        self.calls: list[str] = []

    async def get(self, key: str) -> tuple[bool, Any]:
        self.calls.append("get")
        return key in self.entries, self.entries.get(key)

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.calls.append("set")
        self.entries[key] = value
        self.ttls[key] = ttl

    async def delete(self, key: str) -> bool:
        self.calls.append("delete")
        return self.entries.pop(key, self) is not self

    async def clear(self) -> None:
        self.calls.append("clear")
        self.entries.clear()


class JsonCache:
    """Has no base class, and encodes values itself."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def get(self, key):  # type: ignore[no-untyped-def]
        return (True, json.loads(self.texts[key])) if key in self.texts else (False, None)

    async def set(self, key, value, ttl=None):  # type: ignore[no-untyped-def]
        self.texts[key] = json.dumps(value)

    async def delete(self, key):  # type: ignore[no-untyped-def]
        return self.texts.pop(key, None) is not None

    async def clear(self):  # type: ignore[no-untyped-def]
        self.texts.clear()


class TroubledCache(DictCache):
    """Awaits *trouble* before each operation; None for no trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Any = None

    async def get(self, key: str) -> tuple[bool, Any]:
        await self._suffer()
        return await super().get(key)

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        await self._suffer()
        await super().set(key, value, ttl)

    async def delete(self, key: str) -> bool:
        await self._suffer()
        return await super().delete(key)

    async def clear(self) -> None:
        await self._suffer()
        await super().clear()

    async def _suffer(self) -> None:
        if self.trouble is not None:
            await self.trouble()


async def hang() -> None:
    """Never return."""
    await asyncio.get_running_loop().create_future()


async def refuse_to_stop() -> None:
    """Ignore being cancelled, once."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(1)


async def cancel_oneself() -> None:
    """Raise CancelledError, as if the caller were cancelled."""
    raise asyncio.CancelledError


async def lose_connection() -> None:
    """Fail as a client without a server does."""
    raise ConnectionRefusedError("nobody there")


async def make_a_mistake() -> None:
    """Fail as a program with a bug does."""
    raise KeyError("bug\nwith a line break")


class Abort(BaseException):
    """Not an Exception, so that ``except Exception`` does not catch it."""


async def abort() -> None:
    """Raise a BaseException."""
    raise Abort("the storage's own way out")
