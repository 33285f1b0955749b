"""Notification of a beginning server shutdown, so that long polls and event streams end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from .uvicorn_internals import shutdown_has_begun

_POLL_INTERVAL: Final = 0.05
"""Seconds between two checks for a shutdown, while there are callbacks to call."""


class ServerShutdown:
    """Calls callbacks when the server begins to shut down.

    A server lets open requests finish before it ends the application's lifespan, so a request
    that goes on waiting would delay the very ``worker.stop()`` that ends what it waits for.
    Uvicorn has no notification for applications, so one timer checks while there are callbacks.
    """

    def __init__(self) -> None:
        self._callbacks: set[Callable[[], None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the server is shutting down."""
        return shutdown_has_begun()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call *callback* once, when the server begins to shut down; return a function that unsubscribes it."""
        self._callbacks.add(callback)
        if self._timer is None:
            self._schedule_check()

        def unsubscribe() -> None:
            self._callbacks.discard(callback)
            if not self._callbacks and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return unsubscribe

    async def wait(self, future: asyncio.Future[Any], timeout: float) -> None:
        """Wait until *future* is done, *timeout* seconds have passed, or the server begins to shut down."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        unsubscribe = self.subscribe(lambda: begun.set_result(None))
        try:
            await asyncio.wait([future, begun], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            unsubscribe()
            begun.cancel()

    def _schedule_check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_POLL_INTERVAL, self._check, context=Context())

    def _check(self) -> None:
        self._timer = None
        if not self.has_begun:
            self._schedule_check()
            return
        callbacks, self._callbacks = self._callbacks, set()
        for callback in callbacks:
            callback()
