"""Abort the transport of a client that stopped reading (uvicorn only)."""

from __future__ import annotations

import asyncio
from contextvars import Context


class Connection:
    """The connection a request came in on, as far as the server lets it be known.

    A server closes a connection once all that was written to it has been read. One client
    that never reads would so keep the whole process from exiting, and ASGI has no word for
    hanging up. Uvicorn answers each request in a task of the connection's own: there its
    transport can be found. Under another server nothing is found and nothing dropped.
    """

    def __init__(self) -> None:
        self._transport: object = None

    def find(self) -> None:
        """Look for the transport; to be called in the task that answers the request."""
        task = asyncio.current_task()
        frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
        if frame is not None:
            self._transport = getattr(frame.f_locals.get("self"), "transport", None)

    def drop_in(self, seconds: float) -> None:
        """Hang up after so many seconds, whatever has not been sent. If it is closed by then, nothing happens."""
        abort = getattr(self._transport, "abort", None)
        if callable(abort):
            asyncio.get_running_loop().call_later(seconds, abort, context=Context())
