"""AsyncTaskWorker: the public facade. A client that also runs tasks: start, stop, drain."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from .backends import Backend
from .caching.service import CacheService
from .client import TaskClient
from .exceptions import WorkerNotRunningError
from .lifecycle import Lifecycle
from .model.clock import SYSTEM_CLOCK, Clock
from .model.functions import CacheKeyFunction
from .model.options import WorkerOptions
from .model.record import TaskRecord
from .model.safe_logger import SafeLogger
from .model.status import PENDING, RUNNING
from .model.validation import checked_optional_seconds
from .runtime.executor import current_record
from .state.drain_waiters import DrainWaiters

logger = SafeLogger("async_task_worker.worker")

_WORKERS_STOP_TIMEOUT: Final = float("5.0")
"""Default of ``stop()``, told apart by identity: the documented 5.0, unless the worker was made with another one."""


class AsyncTaskWorker(TaskClient):
    """Runs coroutine functions in the background, a few at a time, and keeps a record of each.

    Args:
        max_workers: How many tasks may run at once.
        task_timeout: Seconds a task may run if it has no ``timeout`` of its own; None for no limit.
        worker_poll_interval: Checked, but without effect: nothing polls, and a free slot takes the next
            task at once.
        cache_enabled: Whether results are cached, and cached results used, for tasks without
            ``use_cache``.
        cache_ttl: Seconds a cached result is kept; None for no limit. If *cache_adapter* has a
            ``default_ttl``, that one counts.
        cache_max_size: How many results to keep in memory, or with *cache_adapter* ``"sqlite"``;
            the least recently used one goes first. None for any number.
        cache_adapter: Where results are kept, if not in memory: ``"sqlite"`` for the file of a
            durable *backend*, where they survive a restart; an ``AsyncCacheAdapter``, which
            several workers may share; or any ``CacheAdapter``.
        cache_timeout: Seconds that all calls to the cache for one task may take together. A slower
            call counts as a miss.
        cache_cleanup_interval: Seconds between sweeps, which remove the ids of tasks whose cached
            result is gone; 0 for none, None for 900. An ``AsyncCacheAdapter`` uses its own
            ``cleanup_interval``, unless this is 0.
        cleanup_interval: The same; *cache_cleanup_interval* wins if both are given.
        cache_key_fn: A function that makes the cache keys of all tasks, including those added over
            HTTP, for which neither the call nor ``@task`` has one. None for the default key.
        coalesce: Whether tasks that are cached under one key are run once if they are pending or running
            at the same time: the others wait for the first one's result.
        max_queue_size: How many tasks may wait for a slot; None for no limit.
        on_full: What ``add_task`` does when the queue is full: ``"wait"`` for room, or ``"error"`` to raise
            ``QueueFullError``.
        retention: How long a finished task stays known, in seconds or as a timedelta; None without limit.
        max_history: How many finished tasks stay known; None for all.
        stop_timeout: Seconds running tasks may still take when ``async with``, ``lifespan`` or a
            ``stop()`` without a timeout stops the worker; None for no limit.
        max_result_bytes: Approximate bytes that the results of known tasks may take in memory. Above
            that the oldest results are dropped, not their records. None for no limit. Results in
            the file of a durable backend stay there.
        backend: Where tasks wait and run: ``"memory://"``, ``"sqlite:///tasks.db"`` for tasks that
            survive a crash, or an object with a Backend's methods.
        consume: False to add, list and cancel tasks without running any. It needs a durable *backend*.
            ``submit("resize", ...)`` then accepts names of functions that this process does not have.
            The tasks wait in the file for a later worker that runs them. A full queue raises
            ``QueueFullError`` at once, since no task would start and make room.
        clock: The source of time for what is recorded, for tests. Timeouts follow the event loop's.

    Attributes:
        events: Every change of every task: ``events.listen(callback)``, ``events.stream()``.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or not supported by this backend.
    """

    def __init__(  # noqa: PLR0913 - the documented options, all but two by keyword
        self,
        max_workers: int = 10,
        task_timeout: float | None = None,
        *,
        worker_poll_interval: float = 1.0,
        cache_enabled: bool = False,
        cache_ttl: float | None = 3600,
        cache_max_size: int | None = 1000,
        cache_adapter: object = None,
        cache_timeout: float = 0.2,
        cache_cleanup_interval: float | None = None,
        cleanup_interval: float | None = None,
        cache_key_fn: CacheKeyFunction | None = None,
        coalesce: bool = True,
        max_queue_size: int | None = None,
        on_full: Literal["wait", "error"] = "wait",
        retention: float | timedelta | None = timedelta(days=7),
        max_history: int | None = 100_000,
        max_result_bytes: int | None = None,
        stop_timeout: float | None = 5.0,
        backend: str | Backend = "memory://",
        consume: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(
            WorkerOptions(
                max_workers=max_workers,
                task_timeout=task_timeout,
                worker_poll_interval=worker_poll_interval,
                cache_enabled=cache_enabled,
                cache_ttl=cache_ttl,
                cache_max_size=cache_max_size,
                cache_adapter=cache_adapter,
                cache_timeout=cache_timeout,
                cache_cleanup_interval=cache_cleanup_interval,
                cleanup_interval=cleanup_interval,
                cache_key_fn=cache_key_fn,
                coalesce=coalesce,
                max_queue_size=max_queue_size,
                on_full=on_full,
                retention=retention,
                max_history=max_history,
                max_result_bytes=max_result_bytes,
                stop_timeout=stop_timeout,
                backend=backend,
                consume=consume,
                clock=clock,
            )
        )
        self._backend_name = _shown_url(backend) if isinstance(backend, str) else type(backend).__name__
        self._drain_waiters = DrainWaiters(self._ledger)
        service = _Service(self._backend, self._caching)
        self._lifecycle = Lifecycle(service, self._binding, self._ledger, self._on_shut_down, self._on_stopped)

    def __repr__(self) -> str:
        """Return whether the worker runs, how many slots are in use, and how many tasks are in each status."""
        counts = self._ledger.peek_counts()
        state = "running" if self.is_running else "stopped"
        counted = ", ".join(f"{count} {status}" for status, count in counts.items() if count and status is not RUNNING)
        slots = f"{counts[RUNNING]} of {self.max_workers} slots in use"
        return f"<{type(self).__name__} {self._backend_name} {state}, {slots}{counted and ', '}{counted}>"

    @property
    def max_workers(self) -> int:
        """How many tasks may run at once."""
        return self._options.max_workers

    @property
    def max_queue_size(self) -> int | None:
        """How many tasks may wait for a slot; None for any number."""
        return self._options.max_queue_size

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks were told to stop, did not within their grace, and still go on."""
        return self._backend.abandoned_tasks

    @property
    def zombies(self) -> int:
        """The former name of :attr:`abandoned_tasks`."""
        return self.abandoned_tasks

    async def start(self) -> None:
        """Begin to take and run tasks. On a running worker it does nothing; during a stop it waits for that.

        If it fails or is cancelled, it has released everything it took, and may be called again.

        Raises:
            StorageInUseError: Another worker has the file of the tasks open.
            StorageDamagedError: It is not a file of tasks that can be read.
            StorageError: It cannot be used for another reason.
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        if await self._lifecycle.start():
            does = f"{self.max_workers} slots" if self._options.consume else "adds tasks and runs none"
            logger.info("Worker started: %s, %s", self._backend_name, does)

    async def stop(self, timeout: float | None = _WORKERS_STOP_TIMEOUT) -> None:
        """Take no new task, let running ones finish, then interrupt the rest. Records stay readable.

        Tasks that have not started end cancelled. On a durable worker they stay pending for the next
        start, and so do interrupted ones, unless they must not run twice: those end failed.

        It returns within *timeout* + 1 seconds whatever the tasks do, unless they block the event
        loop. Called inside a task, it does not wait for that task, which goes on until it ends or
        the worker is stopped again. ``start()`` works again afterwards.

        Cancelling this call does not cancel the stop: running tasks are interrupted at once, and
        the cancellation continues when they have ended, within a second. A second cancellation
        continues at once. A second call with less time shortens the stop. During a start, it waits
        for that first.

        Args:
            timeout: Seconds running tasks may still take; None for no limit. Left out, it is the
                worker's ``stop_timeout``, which is 5 seconds unless it was made with another one.

        Raises:
            TypeError: *timeout* is not a number.
            ValueError: *timeout* is negative or NaN.
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        if timeout is _WORKERS_STOP_TIMEOUT:
            timeout = self._options.stop_timeout
        else:
            timeout = checked_optional_seconds("timeout", timeout, zero=True)
        await self._lifecycle.stop(timeout)

    async def __aenter__(self) -> Self:
        """Start the worker and return it.

        Raises:
            StorageError: It could not be started, like all of :meth:`start`.
        """
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Stop the worker."""
        await self.stop()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:  # noqa: ARG002 - frameworks pass it
        """Run the worker for as long as a web application does: ``FastAPI(lifespan=worker.lifespan)``.

        Args:
            app: The application, which is not used.

        Raises:
            StorageError: The worker could not be started, like all of :meth:`start`.
        """
        async with self:
            yield

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until nothing is pending or running, tasks added during the wait included.

        Called inside tasks, it does not wait for those. On a stopped worker it returns at once.
        A durable task whose function is not registered is pending until that is.

        Args:
            timeout: Seconds to wait; None for no limit.

        Raises:
            TimeoutError: *timeout* expired first; the tasks go on.
            TypeError: *timeout* is not a number.
            ValueError: *timeout* is negative or NaN.
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        self._binding.require_bound()
        if self._binding.accepting is None and not self._lifecycle.is_stopping and not self._ledger.counts()[RUNNING]:
            return
        if not self._options.consume:
            raise WorkerNotRunningError("With consume=False this worker runs no task, so drain() would never end")
        timeout, own = checked_optional_seconds("timeout", timeout, zero=True), current_record()
        with self._waits.wait_for_all(own):
            done = await self._drain_waiters.wait(own, timeout)
        if not done:
            left = self._ledger.unfinished()
            raise TimeoutError(f"{left} tasks had not finished after {timeout:g} seconds; they go on")

    async def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy of all tasks, as they are at this moment, into a new file while they continue.

        Args:
            path: The file to be made. It is one that a worker can be started on. In the copy, what
                runs at this moment counts as interrupted by a crash, and such a worker runs
                whatever has not ended in it.

        Raises:
            StorageError: It exists or cannot be written, or the backend keeps tasks in memory only.
            WorkerNotRunningError: The worker was not started, or stops.
            WrongEventLoopError: It runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
            TypeError: *path* is not a path.
        """
        self._binding.require_accepting()
        await self._capabilities.backup(Path(path))

    def _on_shut_down(self) -> None:
        logger.info("Worker stopped: %r", self)

    def _on_stopped(self) -> None:
        """Fail those who wait for tasks that wait for the next start."""
        if self._binding.accepting is None and self._ledger.unfinished():
            self._futures.fail_pending(self._is_pending)
            self._drain_waiters.fail_pending()
        self.events.close_streams()

    def _is_pending(self, task_id: str) -> bool:
        record = self._ledger.get(task_id)
        return record is not None and record.status is PENDING


class _Service:
    """A backend and the result cache, started and stopped together."""

    def __init__(self, backend: Backend, caching: CacheService) -> None:
        self._backend = backend
        self._caching = caching

    async def start(self) -> None:
        await self._caching.start()
        await self._backend.start()

    async def stop(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        try:
            await self._backend.stop(timeout, exclude)
        finally:
            await self._caching.stop()

    @property
    def is_draining(self) -> bool:
        return self._backend.is_draining


def _shown_url(url: str) -> str:
    """Return a backend's URL as logs and ``repr`` may show it: without a user's name and password."""
    return re.sub(r"//[^/]*@", "//***@", url)
