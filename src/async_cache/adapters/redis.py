"""Cache adapter for Redis, shared by processes and machines."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ..exceptions import CorruptError, PrefixRequiredError
from ..snapshot import Snapshot
from .base import CORRUPT, DEFAULT_OPTIONS, MISS, Store, StoreOptions
from .circuit_breaker import CLOSE_GRACE, DEFAULT_TIMEOUT, CircuitBreaker
from .redis_client import RedisClient, RedisEntry, redis_fault_kind
from .serializers import ENTRY, ID, Signer, serializer_for

KEY_PREFIX: Final = "async_cache:"
ID_PREFIX: Final = "@id:"
"""Prefix of an entry id, after the key prefix. A key may look the same, but its signature differs."""
ID_LIFETIME: Final = 7 * 86_400.0
"""Maximum seconds that an entry id is kept, even if its entry never expires."""


class RedisCacheAdapter(Store):
    """A cache in Redis (5 or newer), for any number of processes.

    A value is signed for its key. A value that another client wrote, or that was damaged, is a
    miss and is deleted. Nothing read from Redis is unpickled unless it is signed with *secret*.

    Redis may be slow or unavailable: an operation that fails or exceeds *timeout* is a miss and
    opens a circuit breaker, which then skips all operations until a trial in the background
    succeeds (after 0.25 s, then twice as long each time, up to 5 s). Faults are counted in
    :attr:`counters`; a warning is logged at most once a minute.

    Args:
        redis_client: A ``redis.asyncio.Redis`` created without ``decode_responses``, which the
            caller closes; or a host name, or a URL.
        port: Port of that host; None for 6379.
        db: Number of the database; None for 0.
        key_prefix: Prefix of every key; ``clear()`` deletes keys with this prefix only.
        serializer: ``"msgpack"`` keeps the types of most values; ``"json"`` accepts values that
            JSON returns unchanged; ``"pickle"`` requires *secret*; or an object with ``encode``
            and ``decode``, or ``dumps`` and ``loads``.
        secret: Signs stored values; a value without this signature is a miss.
        timeout: Seconds an operation may take.
        **client_options: Options for the client created for a host or URL: ``username``,
            ``password``, ``ssl``, ...

    Raises:
        ModuleNotFoundError: redis-py is not installed; the message says what to install.
        TypeError: *redis_client* is not an asyncio client, or is one and comes with options for a host; or an
            argument has the wrong type.
        ValueError: The client decodes responses, the serializer could execute code and there is no *secret*, or
            *timeout* is negative or not finite.
    """

    def __init__(
        self,
        redis_client: Any = "localhost",
        port: int | None = None,
        db: int | None = None,
        *,
        key_prefix: str = KEY_PREFIX,
        serializer: Any = "msgpack",
        secret: bytes | str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        **client_options: Any,
    ) -> None:
        if not isinstance(key_prefix, str):
            raise TypeError(f"key_prefix must be a str, not {key_prefix!r}")
        super().__init__()
        self.key_prefix = key_prefix
        self._signer = Signer(secret)
        self._serializer = serializer_for(serializer, signed=secret is not None)
        self._redis = RedisClient(redis_client, port, db, client_options)
        self._breaker = CircuitBreaker("Redis", self.counters, timeout, redis_fault_kind, detached=True)

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* serialized; raise UnencodableError if it would not come back equal."""
        payload = self._serializer.encode(value)
        return Snapshot(payload, self._serializer.decode, len(payload))

    async def fetch(self, key: str, options: StoreOptions = DEFAULT_OPTIONS) -> tuple[bool, Any]:
        """Look up *key* and link the ids in *options* to it, in one round trip."""
        return await self._breaker.call_or(partial(self._fetch, key, self._links(key, options)), MISS, options.timeout)

    async def put(self, key: str, snapshot: Snapshot, options: StoreOptions = DEFAULT_OPTIONS) -> bool:
        """Store a snapshot and the ids linked to it, in one round trip."""
        redis_key = self._redis_key(key)
        entry = RedisEntry(redis_key, self._signer.sign(ENTRY, redis_key, snapshot.payload), options.seconds)
        store = partial(self._redis.set, [entry, *self._links(key, options)])
        return await self._breaker.call_or(store, False, options.timeout)

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Delete the entry under *key*; return whether there was one. False if Redis did not answer."""
        return (
            await self._breaker.call_or(partial(self._redis.unlink, self._redis_key(key)), 0, timeout, force=True) > 0
        )

    async def clear(self) -> None:
        """Delete every key with the prefix, in batches, so that other clients of Redis are not blocked.

        Raises:
            PrefixRequiredError: The prefix is empty.
            CacheUnavailableError: Redis did not answer; some entries may be left.
        """
        if not self.key_prefix:
            raise PrefixRequiredError
        prefix, cursor = self._redis_key(""), 0
        while True:
            cursor = await self._breaker.call(partial(self._redis.clear_page, cursor, prefix), force=True)
            if cursor == 0:
                return

    async def resolve(self, entry_id: str, timeout: float | None = None) -> str | None:
        """Return the key that an entry id or an alias is linked to, or None."""
        return await self._breaker.call_or(partial(self._resolve, entry_id), None, timeout)

    async def aclose(self) -> None:
        """Wait for operations in progress and close the client, unless the caller owns it. The next call reopens it."""
        await self._breaker.aclose()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE):
                await self._redis.aclose()

    async def _fetch(self, key: str, links: list[RedisEntry]) -> tuple[bool, Any]:
        redis_key = self._redis_key(key)
        try:
            stored = await self._redis.get(redis_key, *links)
            if stored is None:
                return MISS
            return True, self._serializer.decode(self._signer.verify(ENTRY, redis_key, stored))
        except CorruptError as error:
            await self._discard(redis_key, error)
            return MISS

    async def _resolve(self, entry_id: str) -> str | None:
        redis_key = self._id_redis_key(entry_id)
        try:
            stored = await self._redis.get(redis_key)
            if stored is None:
                return None
            return self._signer.verify(ID, redis_key, stored).decode("utf-8", "surrogatepass")
        except (CorruptError, UnicodeDecodeError) as error:
            await self._discard(redis_key, error)
            return None

    async def _discard(self, redis_key: bytes, error: Exception) -> None:
        """Delete an unreadable value. If it was the reply to another request, a valid entry may be lost."""
        self._breaker.record_fault(CORRUPT, error)
        await self._redis.close_idle_connections()
        await self._redis.unlink(redis_key)

    def _links(self, key: str, options: StoreOptions) -> list[RedisEntry]:
        """Return the entries that link the ids in *options* to *key*."""
        if options.entry_id is None:
            return []
        ids = (options.entry_id,) if options.alias is None else (options.entry_id, options.alias)
        text, seconds = _bytes(key), min(options.seconds, ID_LIFETIME)
        redis_keys = map(self._id_redis_key, ids)
        return [RedisEntry(redis_key, self._signer.sign(ID, redis_key, text), seconds) for redis_key in redis_keys]

    def _redis_key(self, key: str) -> bytes:
        return _bytes(self.key_prefix + key)

    def _id_redis_key(self, entry_id: str) -> bytes:
        return self._redis_key(ID_PREFIX + entry_id)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
