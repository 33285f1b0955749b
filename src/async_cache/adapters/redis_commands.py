"""The few commands a cache needs of Redis, each with a look at the answer.

The client library matches answers to questions by their order on a connection. Should
one have come out of step, its answers are of the wrong kind, or sealed for another
place; then every idle connection is closed, the one in question among them.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from ..exceptions import CorruptError
from ..lifetime import FOR_EVER
from .redis_client import Client, GarbledReplyError, checked_client, connect

PAGE: Final = 1000
"""How many keys to ask for at a time."""

AT_ONCE: Final = 16
"""How many questions to ask at a time. Opening a connection for each would take longer than to wait in line."""

GLOB: Final = re.compile(rb"([\\*?\[\]^-])")


class Entry(NamedTuple):
    """What is to be stored where, for how many seconds."""

    place: bytes
    stored: bytes
    seconds: float


class Commands:
    """Talks to one Redis through a client of one's own, or one that is given.

    Args:
        address: A client, a host name or a URL.
        port: Where Redis listens on that host.
        db: The number of the database.
        options: For the client made for a host or URL.
    """

    def __init__(self, address: Any, port: int, db: int, options: dict[str, Any]) -> None:
        self._address = (address, port, db, options)
        self._owned = isinstance(address, str)
        if not self._owned and (options or port or db):
            raise TypeError("a client brings its own address: port, db and client options go with a host name")
        self._client = connect(*self._address) if self._owned else checked_client(address)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, place: bytes, *others: Entry) -> object:
        """Return what is stored at *place*, or None; store *others* in the same round trip.

        Raises:
            CorruptError: There is something that is no string.
        """
        if others:
            stored, *replies = await self._pipelined(place, others)
            await self._expect(all(reply is True or isinstance(reply, Exception) for reply in replies))
        else:
            stored = await _caught(self._ask(lambda client: client.get(place)))
        if isinstance(stored, Exception):
            _reraise(stored)
        await self._expect(stored is None or isinstance(stored, bytes))
        return stored

    async def set(self, entries: Sequence[Entry]) -> None:
        """Store *entries* in one round trip; raise the first error."""
        replies = await self._pipelined(None, entries)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        await self._expect(all(reply is True for reply in replies))

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
                self._client = connect(*self._address)
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
            return pipeline.execute(raise_on_error=False)

        replies: list[Any] = await self._ask(question)
        await self._expect(len(replies) == len(entries) + (read is not None))
        return replies

    async def _expect(self, fits: bool) -> None:
        if not fits:
            await self.distrust()
            raise GarbledReplyError("the answer is not of the kind that was asked for")


async def _caught(answer: Any) -> object:
    try:
        return await answer
    except Exception as error:  # noqa: BLE001 - looked at by the caller, as those of a pipeline are
        return error


def _reraise(error: Exception) -> NoReturn:
    if str(error).startswith("WRONGTYPE"):
        raise CorruptError(str(error)) from error
    raise error


def _milliseconds(seconds: float) -> int | None:
    return None if seconds == FOR_EVER else max(1, math.ceil(seconds * 1000))
