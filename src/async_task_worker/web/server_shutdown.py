"""Notification of a beginning server shutdown, so that long polls and event streams end in time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

_LOOK_EVERY: Final = 0.05
"""Seconds between two looks at whether the server is about to exit, while somebody waits."""


class ServerExit:
    """Tells those who wait that the server has been told to exit.

    A server lets open requests finish before it ends the application's lifespan, so a
    request that waits on would hold up the very ``worker.stop()`` that ends what it waits
    for. Uvicorn tells nobody, but its signal handler is a method of the server, which knows:
    one timer looks, while anybody waits.
    """

    def __init__(self) -> None:
        self._calls: set[Callable[[], None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_near(self) -> bool:
        """Whether the server is about to exit."""
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return getattr(server, "should_exit", False) is True

    def watch(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call *call*, once, when the server is about to exit; return a function that calls this off."""
        self._calls.add(call)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look, context=Context())

        def stop() -> None:
            self._calls.discard(call)
            if not self._calls and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return stop

    def _look(self) -> None:
        self._timer = None
        if not self.is_near:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look, context=Context())
            return
        calls, self._calls = self._calls, set()
        for call in calls:
            call()

    async def wait(self, future: asyncio.Future[Any], timeout: float) -> None:
        """Wait until the future is done, the time is up, or the server is about to exit."""
        leaving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stop = self.watch(lambda: leaving.set_result(None))
        try:
            await asyncio.wait([future, leaving], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop()
            leaving.cancel()
