"""Entries in Redis, shared by processes and machines."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ..exceptions import CorruptError, PrefixRequiredError
from ..snapshot import Snapshot
from .base import MISS, NO_TERMS, Store, Terms
from .circuit_breaker import BUDGET, PATIENCE, Guard
from .redis_client import CORRUPT, Entry, RedisClient, kind_of
from .serializers import ENTRY, ID, Sealer, serializer_for

KEY_PREFIX: Final = "async_cache:"
ID_PREFIX: Final = "@id:"
"""What stands between the prefix and an entry id. Should a key look like it, the seals tell them apart."""
ID_LIFETIME: Final = 7 * 86_400.0
"""Seconds an entry id is kept at most, even if its entry never expires."""


class RedisCacheAdapter(Store):
    """A cache in Redis (5 or newer), for any number of processes.

    A value is stored sealed to its key, so what another client wrote there, or what was
    damaged on the way, is a miss and is deleted. Nothing read from Redis is ever
    unpickled unless it is signed with *secret*.

    Redis may be slow, hang or be gone: an operation that fails or exceeds *timeout* is a
    miss, and from then on Redis is left alone until a try in the background is answered
    (after 0.25 s, then twice as long each time, up to 5 s). Faults are counted in
    *tally* and warned about once a minute.

    Args:
        redis_client: A ``redis.asyncio.Redis`` made without ``decode_responses``, which
            stays yours to close; or a host name, or a URL.
        port: Where Redis listens on that host; None for 6379.
        db: The number of the database; None for 0.
        key_prefix: Stands before every key, and limits what ``clear()`` touches.
        serializer: ``"msgpack"`` keeps the types of most values; ``"json"`` takes what JSON
            gives back as it is; ``"pickle"`` needs *secret*; or an object with ``encode`` and
            ``decode``, or ``dumps`` and ``loads``.
        secret: Signs what is stored; what is not signed with it is a miss.
        timeout: Seconds an operation may take.
        **client_options: For the client made for a host or URL: ``username``, ``password``, ``ssl``, ...

    Raises:
        ModuleNotFoundError: redis-py is missing; the message names what to install.
        TypeError: *redis_client* is no asyncio client, or is one and comes with options for a host; or an
            argument is of a wrong type.
        ValueError: The client decodes responses, the serializer could run code and there is no *secret*, or
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
        timeout: float = BUDGET,
        **client_options: Any,
    ) -> None:
        if not isinstance(key_prefix, str):
            raise TypeError(f"key_prefix must be a str, not {key_prefix!r}")
        super().__init__()
        self.key_prefix = key_prefix
        self._sealer = Sealer(secret)
        self._serializer = serializer_for(serializer, signed=secret is not None)
        self._redis = RedisClient(redis_client, port, db, client_options)
        self._guard = Guard("Redis", self.tally, timeout, kind_of, detached=True)

    def snapshot(self, value: object) -> Snapshot:
        """Return *value* as it would be stored; UnencodableError if the serializer would not give it back so."""
        payload = self._serializer.encode(value)
        return Snapshot(payload, self._serializer.decode, len(payload))

    async def fetch(self, key: str, terms: Terms = NO_TERMS) -> tuple[bool, Any]:
        """Look *key* up, and let the ids in *terms* stand for it, in one round trip."""
        return await self._guard.ask(partial(self._fetch, key, self._links(key, terms)), MISS, terms.timeout)

    async def put(self, key: str, snapshot: Snapshot, terms: Terms = NO_TERMS) -> bool:
        """Store a snapshot, and the ids that stand for it, in one round trip."""
        place = self._place(key)
        entry = Entry(place, self._sealer.seal(ENTRY, place, snapshot.payload), terms.seconds)
        return await self._guard.ask(partial(self._redis.set, [entry, *self._links(key, terms)]), False, terms.timeout)

    async def delete(self, key: str, timeout: float | None = None) -> bool:
        """Drop the entry under *key*, and say whether there was one. False if Redis did not answer."""
        return await self._guard.ask(partial(self._redis.unlink, self._place(key)), 0, timeout, insist=True) > 0

    async def clear(self) -> None:
        """Drop every key that begins with the prefix, page by page: other clients go on meanwhile.

        Raises:
            PrefixRequiredError: The prefix is empty.
            CacheUnavailableError: Redis did not answer; some entries may be left.
        """
        if not self.key_prefix:
            raise PrefixRequiredError
        prefix, cursor = self._place(""), 0
        while True:
            cursor = await self._guard.attempt(partial(self._redis.clear_page, cursor, prefix), insist=True)
            if cursor == 0:
                return

    async def resolve(self, entry_id: str, timeout: float | None = None) -> str | None:
        """Return the key that an id, or an alias, stands for."""
        return await self._guard.ask(partial(self._resolve, entry_id), None, timeout)

    async def aclose(self) -> None:
        """Wait for what is under way, and close a client of our own; the next call opens it again."""
        await self._guard.aclose()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._redis.aclose()

    async def _fetch(self, key: str, links: list[Entry]) -> tuple[bool, Any]:
        place = self._place(key)
        try:
            stored = await self._redis.get(place, *links)
            return (
                MISS if stored is None else (True, self._serializer.decode(self._sealer.unseal(ENTRY, place, stored)))
            )
        except CorruptError as error:
            await self._discard(place, error)
            return MISS

    async def _resolve(self, entry_id: str) -> str | None:
        place = self._id_place(entry_id)
        try:
            stored = await self._redis.get(place)
            return None if stored is None else self._sealer.unseal(ID, place, stored).decode("utf-8", "surrogatepass")
        except (CorruptError, UnicodeDecodeError) as error:
            await self._discard(place, error)
            return None

    async def _discard(self, place: bytes, error: Exception) -> None:
        """Delete what cannot be read. Was it the answer to another question, only a good entry is lost."""
        self._guard.note(CORRUPT, error)
        await self._redis.distrust()
        await self._redis.unlink(place)

    def _links(self, key: str, terms: Terms) -> list[Entry]:
        """Return what lets the ids in *terms* stand for *key*."""
        if terms.entry_id is None:
            return []
        ids = (terms.entry_id,) if terms.alias is None else (terms.entry_id, terms.alias)
        text, seconds = _bytes(key), min(terms.seconds, ID_LIFETIME)
        places = map(self._id_place, ids)
        return [Entry(place, self._sealer.seal(ID, place, text), seconds) for place in places]

    def _place(self, key: str) -> bytes:
        return _bytes(self.key_prefix + key)

    def _id_place(self, entry_id: str) -> bytes:
        return self._place(ID_PREFIX + entry_id)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
