"""The Redis commands of the cache; the type of every reply is checked.

The client library, which is imported on first use, matches replies to requests by their order
on a connection. If a connection gets out of step, its replies have the wrong type or are
signed for another key; then all idle connections are closed, including that one.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ..exceptions import CorruptError
from ..validation import NO_EXPIRY
from .base import CORRUPT
from .circuit_breaker import CONNECTION

INSTALL: Final = 'the Redis cache needs redis-py: pip install "async-task-worker[redis]"'
DEFAULT_PORT: Final = 6379

REJECTED: Final = "rejected"
BUSY: Final = "busy"

SCAN_PAGE_SIZE: Final = 1000
"""Keys that one SCAN asks for."""

MAX_CONNECTIONS: Final = 16
"""Connections in use at once. Opening one for each request would take longer than waiting for a free one."""

GLOB_CHARACTERS: Final = re.compile(rb"([\\*?\[\]^-])")

Client = Any  # a redis.asyncio.Redis; the library is optional


class UnexpectedReplyError(Exception):
    """The reply does not have the expected type: the connection may be out of step."""


class RedisEntry(NamedTuple):
    """A value to store under a key, and its lifetime in seconds."""

    key: bytes
    stored: bytes
    seconds: float


class RedisClient:
    """Sends commands to one Redis, through a given client or one created for an address.

    Takes the arguments of the adapter. Requests wait for a free connection: in the pool of a client
    created here, and in front of a given client or pool, which may refuse a request instead.
    """

    def __init__(self, address: Any, port: int | None, db: int | None, options: dict[str, Any]) -> None:
        self._address = (address, port or 0, db or 0, options)
        self._owned = isinstance(address, str)
        if not self._owned and (options or port or db):
            raise TypeError("a client has its own address: port, db and client options go with a host name")
        self._client = _connect(*self._address) if self._owned else _checked_client(address)
        self._pool_is_given = not self._owned or "connection_pool" in options
        self._turns: AbstractAsyncContextManager[None] = nullcontext()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, key: bytes, *additional: RedisEntry) -> object:
        """Return the value of a key, or None; store *additional* entries in the same round trip.

        Raises:
            CorruptError: The value is not a string.
        """
        try:
            if additional:
                stored, *replies = await self._pipelined(key, additional)
                await self._require(all(reply is True or isinstance(reply, Exception) for reply in replies))
                _raise_first([stored])
            else:
                stored = await self._execute(lambda client: client.get(key))
        except _library("redis.exceptions").ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise CorruptError(str(error)) from error
            raise
        await self._require(stored is None or isinstance(stored, bytes))
        return stored

    async def set(self, entries: Sequence[RedisEntry]) -> bool:
        """Store *entries* in one round trip and return True; raise the first error."""
        replies = await self._pipelined(None, entries)
        _raise_first(replies)
        await self._require(all(reply is True for reply in replies))
        return True

    async def unlink(self, *keys: bytes) -> int:
        """Delete keys; return how many of them existed."""
        count = await self._execute(lambda client: client.unlink(*keys)) if keys else 0
        await self._require(type(count) is int)
        return int(count)

    async def clear_page(self, cursor: int, prefix: bytes) -> int:
        """Delete some of the keys with *prefix*; return the cursor for the next call, 0 at the end."""
        pattern = GLOB_CHARACTERS.sub(rb"\\\1", prefix) + b"*"
        next_cursor, keys = await self._execute(lambda client: client.scan(cursor, match=pattern, count=SCAN_PAGE_SIZE))
        matching = [found for found in keys if isinstance(found, bytes) and found.startswith(prefix)]
        await self._require(len(matching) == len(keys))
        await self.unlink(*matching)
        return int(next_cursor)

    async def close_idle_connections(self) -> None:
        """Close all connections that are not in use, after one of them returned an unexpected reply."""
        client = self._client
        if client.connection is not None:  # the client was created with single_connection_client=True
            await client.connection.disconnect(nowait=True)
        await client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close the client unless the caller owns it. The next command opens it again."""
        if self._owned and self._loop is asyncio.get_running_loop():
            await self._client.aclose()

    async def _execute(self, request: Callable[[Client], Awaitable[Any]]) -> Any:
        """Send a request; on another event loop through a new client, unless the caller owns it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._owned and self._loop is not None:
                self._client = _connect(*self._address)
            self._loop = loop
            if self._pool_is_given:
                self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        async with self._turns:
            return await request(self._client)

    async def _pipelined(self, read: bytes | None, entries: Sequence[RedisEntry]) -> list[Any]:
        def request(client: Client) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=False)
            if read is not None:
                pipeline.get(read)
            for entry in entries:
                pipeline.set(entry.key, entry.stored, px=_milliseconds(entry.seconds))
            return pipeline.execute(raise_on_error=False)  # type: ignore[no-any-return]

        replies: list[Any] = await self._execute(request)
        await self._require(len(replies) == len(entries) + (read is not None))
        return replies

    async def _require(self, is_expected: bool) -> None:
        if not is_expected:
            await self.close_idle_connections()
            raise UnexpectedReplyError("the reply does not have the expected type")


def _raise_first(replies: Sequence[object]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _milliseconds(seconds: float) -> int | None:
    return None if seconds == NO_EXPIRY else max(1, math.ceil(seconds * 1000))


def redis_fault_kind(error: Exception) -> str:
    """Return the kind of fault of an error; only a lost connection opens the circuit."""
    if isinstance(error, UnexpectedReplyError):
        return CORRUPT
    errors = _library("redis.exceptions")
    if isinstance(error, errors.ResponseError | errors.DataError):
        return REJECTED
    if isinstance(error, getattr(errors, "MaxConnectionsError", ())):
        return BUSY
    return CONNECTION


def _connect(host: str, port: int, db: int, options: dict[str, Any]) -> Client:
    """Return a new client. It retries a broken connection once; all later retries are up to the circuit breaker."""
    asyncio_redis = _library("redis.asyncio")
    retry = _library("redis.asyncio.retry").Retry(_library("redis.backoff").NoBackoff(), 1)
    # RESP2, because with RESP3 the pool does not check connections for unread replies.
    settings = {"protocol": 2, "retry": retry, **options}
    if "://" not in host:
        client = asyncio_redis.Redis(host=host, port=port or DEFAULT_PORT, db=db, **settings)
    elif port or db:
        raise TypeError("a URL contains port and db: redis://host:6379/0")
    else:
        client = asyncio_redis.Redis.from_url(_checked_url(host), **settings)
    return client if "connection_pool" in options else _with_blocking_pool(client)


def _with_blocking_pool(client: Client) -> Client:
    """Return the same client on a pool whose callers wait for a free connection, as long as their timeout allows."""
    asyncio_redis = _library("redis.asyncio")
    made = client.connection_pool
    is_default = made.max_connections == asyncio_redis.ConnectionPool().max_connections
    client.connection_pool = asyncio_redis.BlockingConnectionPool(
        max_connections=MAX_CONNECTIONS if is_default else made.max_connections,
        timeout=None,
        connection_class=made.connection_class,
        **made.connection_kwargs,
    )
    return client


def _checked_client(client: Any) -> Client:
    execute = getattr(client, "execute_command", None)
    if not inspect.iscoroutinefunction(execute) or not hasattr(client, "connection_pool"):
        raise TypeError(f"redis_client must be a host name, a URL or a redis.asyncio.Redis, not {type(client)!r}")
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("redis_client decodes responses: create it without decode_responses=True")
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
        is_valid = parts.scheme in ("redis", "rediss", "unix") and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:  # the message omits the URL, which may contain a password
        raise ValueError("a Redis URL looks like redis://host:6379/0, rediss://... or unix:///path") from None
    return url
