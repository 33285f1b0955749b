"""Abort the transport of a client that stopped reading (uvicorn only)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import Final

from starlette.types import Receive

from ..uvicorn_internals import transport_of_current_request

_MAX_NOTICE: Final = 1.0
"""Seconds to wait until the server has noticed that a connection was aborted."""


class ClientConnection:
    """The connection that a request came in on, if the server reveals it.

    A server closes a connection once the client has read everything that was written to it. One
    client that never reads would therefore keep the whole process from exiting, and ASGI has no
    message that ends a connection. Under a server other than uvicorn nothing is aborted.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def find(self) -> None:
        """Look up the transport. Call it in the asyncio Task that answers the request."""
        self._transport = transport_of_current_request()

    async def abort(self, receive: Receive) -> None:
        """Abort the connection and wait until the server has noticed, which otherwise logs an incomplete response."""
        if self._transport is None:
            return
        self._transport.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_NOTICE):
                while (await receive())["type"] != "http.disconnect":
                    pass

    def abort_after(self, seconds: float) -> None:
        """Abort the connection after *seconds*, whatever has not been sent. A closed connection is not affected."""
        if self._transport is not None:
            asyncio.get_running_loop().call_later(seconds, self._transport.abort, context=Context())
