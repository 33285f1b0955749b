"""LoopBinding: which event loop, in which process, a worker belongs to."""

from __future__ import annotations

import asyncio
import os

from .exceptions import ForkedWorkerError, WorkerNotRunningError, WrongEventLoopError


class LoopBinding:
    """The event loop of one worker.

    Attributes:
        accepting: The loop on which tasks are taken; None while the worker is stopped.
        bound: The loop it ran on last; its tasks end there.
    """

    __slots__ = ("_process", "accepting", "bound")

    def __init__(self) -> None:
        self.accepting: asyncio.AbstractEventLoop | None = None
        self.bound: asyncio.AbstractEventLoop | None = None
        self._process = 0  # of that loop

    @property
    def is_accepting(self) -> bool:
        """Whether tasks are taken."""
        return self.accepting is not None and not self.accepting.is_closed()

    def bind(self) -> asyncio.AbstractEventLoop:
        """Bind the worker to the running event loop, and return that."""
        self.bound = asyncio.get_running_loop()
        self._process = os.getpid()
        return self.bound

    def require_accepting(self) -> None:
        """Raise unless tasks are taken, here."""
        if not self.is_accepting:
            raise WorkerNotRunningError
        self.require_bound()

    def require_bound(self) -> None:
        """Raise if the worker is bound to another event loop, one that is not closed."""
        bound = self.bound
        if bound is not None and bound is not asyncio._get_running_loop() and not bound.is_closed():
            raise WrongEventLoopError if self._process == os.getpid() else ForkedWorkerError
