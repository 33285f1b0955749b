"""A TCP proxy between a client and a server that can slow, hold back, alter or cut the data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
CHUNK = 65_536

Alter = Callable[[bytes], bytes]


def unaltered(data: bytes) -> bytes:
    """Return *data* as it is."""
    return data


class TcpProxy:
    """Listens on a free port and passes everything on to another; for ``async with``.

    Attributes:
        port: Where it listens.
        delay: Real seconds by which each answer is delayed.
        alter: What becomes of each piece of an answer.
        connections: How many connections it has taken.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._blocked = asyncio.Event()
        self.port = 0
        self.delay = 0.0
        self.alter: Alter = unaltered
        self.connections = 0

    @property
    def url(self) -> str:
        """Its address as a Redis URL."""
        return f"redis://{HOST}:{self.port}/0"

    def hold(self) -> None:
        """Pass no answers on until :meth:`release`; they are kept, in order."""
        self._open.clear()
        self._blocked.clear()

    async def held(self) -> None:
        """Wait until an answer has arrived that is being held back."""
        await self._blocked.wait()

    def release(self) -> None:
        """Pass on what was held back, and everything from now on."""
        self._open.set()

    async def refuse(self) -> None:
        """Cut every connection and take no new ones."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def listen(self) -> None:
        """Take connections, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._connected, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Cut every connection."""
        lines = set(self._lines)
        for line in lines:
            line.cancel()
        if lines:
            await asyncio.wait(lines)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        await self.refuse()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        line = asyncio.get_running_loop().create_task(self._line(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        line.add_done_callback(lambda _: writer.close())  # should it be cut before its first step

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_writer = None
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            ways = (self._questions(reader, server_writer), self._answers(server_reader, writer))
            tasks = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:  # the server is gone; the client sees its connection end
            pass
        finally:
            await _closed(writer, server_writer)

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            if not self._open.is_set():
                self._blocked.set()
                await self._open.wait()
            writer.write(self.alter(data))
            await writer.drain()


async def _closed(*writers: asyncio.StreamWriter | None) -> None:
    ends = [writer for writer in writers if writer is not None]
    for end in ends:
        end.close()
    for end in ends:
        with suppress(OSError):
            await end.wait_closed()
