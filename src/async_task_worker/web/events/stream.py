"""Event streams: the server-sent events that one client receives, from ``hello`` to ``bye``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Final

from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...model.status import TaskInfo
from ..limits import Limits
from ..problems import Problem
from ..server_shutdown import ServerShutdown
from .disconnect import ClientConnection
from .event_log import EventLog, Reader

Fetch = Callable[[str], Awaitable[TaskInfo | None]]

_PING_INTERVAL: Final = 15
"""Seconds between two comments that keep an idle stream open."""

_ABORT_GRACE: Final = 0.3
"""Seconds that a client has to read the rest of a stream when the server shuts down."""

_MAX_CHUNK: Final = 64 << 10
"""Bytes after which a chunk is sent."""

_RETRY_FIELD: Final = b"retry: 2000\n\n"
"""Milliseconds after which a browser reconnects."""


class EventStreams:
    """Answers requests for events.

    Args:
        log: The event log to read.
        fetch: Returns a snapshot of a task, or None if it is unknown.
        shutdown: Ends all streams when the server shuts down.
        limits: How many streams may be open, and for how long.
    """

    def __init__(self, log: EventLog, fetch: Fetch, shutdown: ServerShutdown, limits: Limits) -> None:
        self._log = log
        self._fetch = fetch
        self._shutdown = shutdown
        self._limits = limits

    async def respond(self, last_id: str | None, task_id: str | None = None) -> Response:
        """Return a stream of all events, or of those of one task until it ends.

        A browser reconnects when a stream ends. If the task has finished and all of its events
        were read, the response is 204, which makes the browser stop reconnecting.

        Raises:
            Problem: The task is unknown, or too many streams are open.
        """
        if self._log.open_streams >= self._limits.streams:
            raise Problem("too_many_streams", headers={"Retry-After": "10"})
        reader = self._log.open(
            task_id, last_id
        )  # before the task is fetched, so that no event between the two is missed
        try:
            info = None if task_id is None else await self._require_info(task_id)
            if info is not None and info.finished and last_id is not None and self._is_up_to_date(reader):
                self._log.close(reader)
                return Response(status_code=204)
        except BaseException:
            self._log.close(reader)
            raise
        connection = ClientConnection()
        content = self._generate(reader, info, connection, resumed=last_id is not None)
        return _Stream(content, connection, self._limits.send_timeout, lambda: self._log.close(reader))

    async def _require_info(self, task_id: str) -> TaskInfo:
        info = await self._fetch(task_id)
        if info is None:
            raise Problem("task_not_found", f"no task {task_id!r} is known here")
        return info

    def _is_up_to_date(self, reader: Reader) -> bool:
        return not reader.has_missed and not list(self._log.read(reader))

    async def _generate(
        self, reader: Reader, info: TaskInfo | None, connection: ClientConnection, *, resumed: bool
    ) -> AsyncIterator[bytes]:
        ending = asyncio.Event()

        def end() -> None:
            ending.set()
            reader.notify()

        def end_for_shutdown() -> None:
            end()
            connection.abort_after(_ABORT_GRACE)

        cleanups = [self._shutdown.subscribe(end_for_shutdown)]
        if (lifetime := self._limits.stream_lifetime) is not None:
            cleanups.append(asyncio.get_running_loop().call_later(lifetime, end, context=Context()).cancel)
        try:
            yield _RETRY_FIELD + self._log.frame(reader, "hello", task_id=reader.task_id)
            if info is not None and (info.finished or not resumed):
                yield self._log.snapshot(reader, info)
            if info is None or not info.finished:
                async for chunk in self._live_chunks(reader, ending):
                    yield chunk
            yield self._log.frame(reader, "bye")
        finally:
            for cleanup in cleanups:
                cleanup()

    async def _live_chunks(self, reader: Reader, ending: asyncio.Event) -> AsyncIterator[bytes]:
        """Yield new events, joined into chunks; return when the stream is to end."""
        while not ending.is_set():
            frames = list(self._log.read(reader))
            for chunk in _join([frame.data for frame in frames]):
                yield chunk
            if reader.task_id is not None and any(frame.is_terminal for frame in frames):
                return
            if not reader.has_missed:
                await reader.wait()
                continue
            self._log.skip_missed(reader)
            yield self._log.frame(reader, "resync")
            if reader.task_id is not None:
                info = await self._fetch(reader.task_id)
                if info is not None:
                    yield self._log.snapshot(reader, info)
                if info is None or info.finished:
                    return


class _Stream(EventSourceResponse):
    """A stream that is aborted, without an error in the log, when its client stops reading."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        connection: ClientConnection,
        send_timeout: float,
        close: Callable[[], None],
    ) -> None:
        super().__init__(content, ping=_PING_INTERVAL, send_timeout=send_timeout, sep="\n")
        self._connection = connection
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._connection.find()
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            await self._connection.abort(receive)
        finally:
            self._close()

    @staticmethod
    async def _listen_for_exit_signal() -> None:
        """Never return: :class:`ServerShutdown` ends the stream, with ``bye`` and nothing left on the event loop."""
        await asyncio.get_running_loop().create_future()


def _join(parts: list[bytes]) -> list[bytes]:
    chunks: list[bytes] = []
    pending: list[bytes] = []
    size = 0
    for part in parts:
        pending.append(part)
        size += len(part)
        if size >= _MAX_CHUNK:
            chunks.append(b"".join(pending))
            pending, size = [], 0
    return [*chunks, b"".join(pending)] if pending else chunks
