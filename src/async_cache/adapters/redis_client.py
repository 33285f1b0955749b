"""The client library, imported only when needed: making a client, checking one that is given, reading errors."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from .guard import CONNECTION

INSTALL: Final = 'the Redis cache needs redis-py: pip install "async-task-worker[redis]"'
DEFAULT_PORT: Final = 6379

REJECTED: Final = "rejected"
BUSY: Final = "busy"
CORRUPT: Final = "corrupt"


class GarbledReplyError(Exception):
    """The answer is not of the kind that was asked for: the connection may be out of step."""


class Pipeline(Protocol):
    """What is used of a pipeline of redis-py."""

    def get(self, name: bytes) -> object:
        """Queue a GET."""
        ...

    def set(self, name: bytes, value: bytes, *, px: int | None = None) -> object:
        """Queue a SET."""
        ...

    def execute(self, raise_on_error: bool = True) -> Awaitable[list[Any]]:
        """Send what is queued and return the answers in order."""
        ...


class Pool(Protocol):
    """What is used of a connection pool of redis-py."""

    def disconnect(self, inuse_connections: bool = True) -> Awaitable[None]:
        """Close connections."""
        ...


class Connection(Protocol):
    """What is used of a connection of redis-py."""

    def disconnect(self, nowait: bool = False) -> Awaitable[None]:
        """Close it."""
        ...


class Client(Protocol):
    """What is used of ``redis.asyncio.Redis``."""

    connection: Connection | None
    connection_pool: Pool

    def get(self, name: bytes) -> Awaitable[Any]:
        """Send a GET."""
        ...

    def unlink(self, *names: bytes) -> Awaitable[Any]:
        """Send an UNLINK."""
        ...

    def scan(self, cursor: int, match: bytes | None = None, count: int | None = None) -> Awaitable[Any]:
        """Send a SCAN."""
        ...

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Return a pipeline."""
        ...

    def aclose(self) -> Awaitable[None]:
        """Close every connection."""
        ...


def connect(host: str, port: int, db: int, options: dict[str, Any]) -> Client:
    """Return a client of our own for a host, or for a URL such as ``redis://host:6379/0``.

    It tries a broken connection once more at once, never later: waiting is up to the guard.

    Raises:
        ModuleNotFoundError: redis-py is not installed; the message says how to.
        TypeError: There is a port or a db beside a URL.
        ValueError: The URL makes no sense.
    """
    asyncio_redis = _library("redis.asyncio")
    retry = _library("redis.asyncio.retry").Retry(_library("redis.backoff").NoBackoff(), 1)
    # RESP2: with RESP3 the pool hands out connections without looking for unread answers.
    settings = {"protocol": 2, "retry": retry, **options}
    client: Client
    if "://" in host:
        if port or db:
            raise TypeError("a URL says port and db by itself: redis://host:6379/0")
        client = asyncio_redis.Redis.from_url(_checked_url(host), **settings)
    else:
        client = asyncio_redis.Redis(host=host, port=port or DEFAULT_PORT, db=db, **settings)
    return client


def checked_client(client: Any) -> Client:
    """Return *client* if it is one the adapter can work with.

    Raises:
        TypeError: It is none of redis.asyncio.
        ValueError: It decodes what it reads, which would damage every value.
    """
    execute = getattr(client, "execute_command", None)
    if not inspect.iscoroutinefunction(execute) or not hasattr(client, "connection_pool"):
        raise TypeError(f"redis_client must be a host name, a URL or a redis.asyncio.Redis, not {type(client)!r}")
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("redis_client turns bytes into text: make it without decode_responses=True")
    known: Client = client
    return known


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
