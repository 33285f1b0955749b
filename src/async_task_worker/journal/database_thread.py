"""The thread that uses the database, and the event loop that waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

from ..exceptions import ForkedWorkerError, StorageError
from .gil_switch_interval import ShortSwitchInterval

_forks = 0
"""How many forks lie between this process and the one that imported this module."""


class DatabaseThread:
    """Runs blocking calls one after another in a single thread.

    Attributes:
        loop: The event loop that was running at the start; only set once it was started.
        delegate: An executor that runs the calls instead, in the same thread: a call that takes
            long and runs others in between. None for the thread itself.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.delegate: Any = None
        self._executor: ThreadPoolExecutor | None = None
        self._forks = _forks

    @property
    def is_started(self) -> bool:
        """Whether the thread was started, by this process or by one it was forked from, and not stopped."""
        return self._executor is not None

    @property
    def is_forked(self) -> bool:
        """Whether another process, of which this one is a fork, started the thread."""
        return self._executor is not None and self._forks != _forks

    @property
    def is_usable(self) -> bool:
        """Whether this process started the thread, on a loop that is not closed."""
        return self._executor is not None and self._forks == _forks and not self.loop.is_closed()

    def start(self) -> None:
        """Start the thread, for calls from the running event loop."""
        self.loop, self._forks = asyncio.get_running_loop(), _forks
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="async_task_worker.journal")

    def stop(self, last_call: Callable[[], object]) -> None:
        """Stop the thread after *last_call*, which runs in it. In a fork, only forget it."""
        executor, self._executor = self._executor, None
        self.delegate = None
        if executor is not None and self._forks == _forks:
            executor.submit(last_call)
            executor.shutdown()

    def check(self) -> None:
        """Raise an error if the thread cannot be used.

        Raises:
            StorageError: It is not started.
            ForkedWorkerError: It belongs to the parent process.
        """
        if self._executor is None:
            raise StorageError("The database is not open")
        if self._forks != _forks:
            raise ForkedWorkerError

    def run(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call a blocking function in the thread, with short switch intervals while it runs."""
        interval = ShortSwitchInterval()
        try:
            executor = self._executor if self.delegate is None else self.delegate
            call = Context().run(self.loop.run_in_executor, executor, _call, interval, function, args)
        except BaseException:
            interval.end()
            raise
        call.add_done_callback(lambda _: interval.end(), context=Context())  # a call can be cancelled before it runs
        return call


def _call(interval: ShortSwitchInterval, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return function(*args)
    finally:
        interval.end()


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a fork concerns the whole process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)
