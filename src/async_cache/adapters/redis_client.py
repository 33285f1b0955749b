"""The few commands a cache needs of Redis, each with a look at the answer.

The client library, imported only when needed, matches answers to questions by their order
on a connection. Should one have come out of step, its answers are of the wrong kind, or
sealed for another place; then every idle connection is closed, the one in question among
them.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ..exceptions import CorruptError
from ..validation import FOR_EVER
from .circuit_breaker import CONNECTION

INSTALL: Final = 'the Redis cache needs redis-py: pip install "async-task-worker[redis]"'
DEFAULT_PORT: Final = 6379

REJECTED: Final = "rejected"
BUSY: Final = "busy"
CORRUPT: Final = "corrupt"

PAGE: Final = 1000
"""How many keys to ask for at a time."""

AT_ONCE: Final = 16
"""How many questions to ask at a time. Opening a connection for each would take longer than to wait in line."""

GLOB: Final = re.compile(rb"([\\*?\[\]^-])")

Client = Any  # a redis.asyncio.Redis: the library need not be there to read this


class GarbledReplyError(Exception):
    """The answer is not of the kind that was asked for: the connection may be out of step."""


class Entry(NamedTuple):
    """What is to be stored where, for how many seconds."""

    place: bytes
    stored: bytes
    seconds: float


class RedisClient:
    """Talks to one Redis through a client that is given, or one of its own. It is made as the adapter is."""

    def __init__(self, address: Any, port: int | None, db: int | None, options: dict[str, Any]) -> None:
        self._address = (address, port or 0, db or 0, options)
        self._owned = isinstance(address, str)
        if not self._owned and (options or port or db):
            raise TypeError("a client brings its own address: port, db and client options go with a host name")
        self._client = _connect(*self._address) if self._owned else _checked_client(address)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, place: bytes, *others: Entry) -> object:
        """Return what is stored at *place*, or None; store *others* in the same round trip.

        Raises:
            CorruptError: There is something that is no string.
        """
        try:
            if others:
                stored, *replies = await self._pipelined(place, others)
                await self._expect(all(reply is True or isinstance(reply, Exception) for reply in replies))
                _raise_first([stored])
            else:
                stored = await self._ask(lambda client: client.get(place))
        except _library("redis.exceptions").ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise CorruptError(str(error)) from error
            raise
        await self._expect(stored is None or isinstance(stored, bytes))
        return stored

    async def set(self, entries: Sequence[Entry]) -> bool:
        """Store *entries* in one round trip and return True; raise the first error."""
        replies = await self._pipelined(None, entries)
        _raise_first(replies)
        await self._expect(all(reply is True for reply in replies))
        return True

    async def unlink(self, *places: bytes) -> int:
        """Delete what is stored there, and return how many of the places held something."""
        count = await self._ask(lambda client: client.unlink(*places)) if places else 0
        await self._expect(type(count) is int)
        return int(count)

    async def clear_page(self, cursor: int, prefix: bytes) -> int:
        """Delete some of the keys that begin with *prefix*; return where to go on, 0 when through."""
        pattern = GLOB.sub(rb"\\\1", prefix) + b"*"
        following, places = await self._ask(lambda client: client.scan(cursor, match=pattern, count=PAGE))
        own = [place for place in places if isinstance(place, bytes) and place.startswith(prefix)]
        await self._expect(len(own) == len(places))
        await self.unlink(*own)
        return int(following)

    async def distrust(self) -> None:
        """Close what is not in use: one of those connections gave an answer that cannot be right."""
        client = self._client
        if client.connection is not None:  # made with single_connection_client=True
            await client.connection.disconnect(nowait=True)
        await client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close a client of one's own. The next command opens it again."""
        if self._owned and self._loop is asyncio.get_running_loop():
            await self._client.aclose()

    async def _ask(self, question: Callable[[Client], Awaitable[Any]]) -> Any:
        """Ask when it is one's turn. A client of one's own is made anew for another event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._owned and self._loop is not None:
                self._client = _connect(*self._address)
            self._loop, self._turns = loop, asyncio.Semaphore(AT_ONCE)
        async with self._turns:
            return await question(self._client)

    async def _pipelined(self, read: bytes | None, entries: Sequence[Entry]) -> list[Any]:
        def question(client: Client) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=False)
            if read is not None:
                pipeline.get(read)
            for entry in entries:
                pipeline.set(entry.place, entry.stored, px=_milliseconds(entry.seconds))
            return pipeline.execute(raise_on_error=False)  # type: ignore[no-any-return]

        replies: list[Any] = await self._ask(question)
        await self._expect(len(replies) == len(entries) + (read is not None))
        return replies

    async def _expect(self, fits: bool) -> None:
        if not fits:
            await self.distrust()
            raise GarbledReplyError("the answer is not of the kind that was asked for")


def _raise_first(replies: Sequence[object]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _milliseconds(seconds: float) -> int | None:
    return None if seconds == FOR_EVER else max(1, math.ceil(seconds * 1000))


def kind_of(error: Exception) -> str:
    """Say what kind of fault an error is; only a lost connection is an outage."""
    if isinstance(error, GarbledReplyError):
        return CORRUPT
    errors = _library("redis.exceptions")
    if isinstance(error, errors.ResponseError | errors.DataError):
        return REJECTED
    if isinstance(error, getattr(errors, "MaxConnectionsError", ())):
        return BUSY
    return CONNECTION


def _connect(host: str, port: int, db: int, options: dict[str, Any]) -> Client:
    """Return a client of our own. It tries a broken connection once more at once, never later: that is the guard's."""
    asyncio_redis = _library("redis.asyncio")
    retry = _library("redis.asyncio.retry").Retry(_library("redis.backoff").NoBackoff(), 1)
    # RESP2: with RESP3 the pool hands out connections without looking for unread answers.
    settings = {"protocol": 2, "retry": retry, **options}
    if "://" not in host:
        return asyncio_redis.Redis(host=host, port=port or DEFAULT_PORT, db=db, **settings)
    if port or db:
        raise TypeError("a URL says port and db by itself: redis://host:6379/0")
    return asyncio_redis.Redis.from_url(_checked_url(host), **settings)


def _checked_client(client: Any) -> Client:
    execute = getattr(client, "execute_command", None)
    if not inspect.iscoroutinefunction(execute) or not hasattr(client, "connection_pool"):
        raise TypeError(f"redis_client must be a host name, a URL or a redis.asyncio.Redis, not {type(client)!r}")
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("redis_client turns bytes into text: make it without decode_responses=True")
    return client


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        raise ModuleNotFoundError(INSTALL, name="redis") from None


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("redis", "rediss", "unix") and parts.port != 0
    except ValueError:
        sound = False
    if not sound:  # without the URL itself, which may hold a password
        raise ValueError("a Redis URL looks like redis://host:6379/0, rediss://... or unix:///path") from None
    return url
