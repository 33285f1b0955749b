"""AsyncTaskWorker: the public facade. Validates arguments and delegates to a backend."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from .backends import Backend, Runtime, capabilities_of, open_backend
from .caching.service import Caching, storage_of
from .exceptions import (
    ForkedWorkerError,
    StorageError,
    TaskCancelledError,
    TaskNotFoundError,
    WorkerNotRunningError,
    WrongEventLoopError,
)
from .model.clock import SYSTEM_CLOCK, Clock
from .model.event_loop import spawn
from .model.failure import exc_info_of
from .model.functions import CacheKeyFunction, TaskCallable
from .model.query import TaskPage, TaskQuery, moment_of
from .model.record import TaskRecord
from .model.record_factory import requested
from .model.registry import require_registration
from .model.status import COMPLETED, FAILED, PENDING, RUNNING, TaskInfo, TaskStatus
from .model.validation import (
    checked_arguments,
    checked_cache_options,
    checked_count,
    checked_optional_count,
    checked_optional_seconds,
    checked_seconds,
    checked_statuses,
    checked_switch,
)
from .runtime.executor import TaskExecutor, current_record, in_task
from .runtime.waits import Waits
from .state.drain import Idleness
from .state.events import EventBus
from .state.futures import TaskFuture, TaskFutures, failed_because, failure, result_of
from .state.ledger import Ledger

if TYPE_CHECKING:
    from .caching.adapter import AsyncCacheAdapter

logger = logging.getLogger(__name__)

_WORKERS_STOP_TIMEOUT: Final = float("5.0")
"""Default of ``stop()``, told apart by identity: the documented 5.0, unless the worker was made with another one."""

_LAST_MOMENTS: Final = 1.0
"""Seconds that a cancelled ``stop()`` may take for what it cut off to end."""


class AsyncTaskWorker:
    """Runs coroutine functions in the background, a few at a time, and keeps a record of each.

    Args:
        max_workers: How many tasks may run at once.
        task_timeout: Seconds each task may run unless it says otherwise; None for any time.
        worker_poll_interval: Accepted and checked, but nothing here polls: a free slot takes
            the next task at once.
        cache_enabled: Whether results are cached, and cached ones used, for tasks that do not
            say themselves with ``use_cache``.
        cache_ttl: Seconds a cached result lives; None for ever. A *cache_adapter* with a
            ``default_ttl`` of its own goes by that.
        cache_max_size: How many results to keep in memory, or with *cache_adapter* ``"sqlite"``;
            the least recently used one goes first. None for any number.
        cache_adapter: Where results are kept in place of memory: ``"sqlite"`` for the file of a
            durable *backend*, where they survive a restart; an ``AsyncCacheAdapter``, which
            several workers may share; or any ``CacheAdapter``.
        cache_timeout: Seconds a cache may take of one task, in all. What takes longer is a miss.
        cache_cleanup_interval: Seconds between sweeps of stale cache mappings; 0 for none, None
            for 900. An ``AsyncCacheAdapter`` goes by its own, unless this is 0.
        cleanup_interval: The same; *cache_cleanup_interval* wins.
        cache_key_fn: Makes the cache keys of all tasks, those added over HTTP included, for which
            neither the call nor ``@task`` has one. None for the default key.
        coalesce: Whether tasks that are cached under one key are run once if they are under way
            at the same time: the others wait for the first one's result.
        max_queue_size: How many tasks may wait for a slot; None for any number.
        on_full: What ``add_task`` does at that number: ``"wait"`` for room, or raise an ``"error"``.
        retention: How long a finished task stays known, in seconds or as a timedelta; None for ever.
        max_history: How many finished tasks stay known; None for all.
        stop_timeout: Seconds running tasks may still take when ``async with``, ``lifespan`` or a
            ``stop()`` without a timeout of its own ends the worker; None for any time.
        max_result_bytes: Bytes that the results of known tasks may take in memory, about; above that
            the oldest results are dropped, not their records. None for any number. Results in a
            durable backend's file stay there.
        backend: Where tasks wait and run: ``"memory://"``, ``"sqlite:///tasks.db"`` for tasks that
            survive a crash, or an object with a Backend's methods.
        clock: The source of time for what is recorded, for tests. Timeouts follow the event loop's.

    Attributes:
        events: Every change of every task: ``events.listen(callback)``, ``events.stream()``.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or of no meaning with this backend.
    """

    def __init__(  # noqa: PLR0913, PLR0915 - the documented options, all but two by keyword
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
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        max_workers = checked_count("max_workers", max_workers)
        self._task_timeout = None if task_timeout is None else checked_seconds("task_timeout", task_timeout)
        checked_seconds("worker_poll_interval", worker_poll_interval)
        cache_interval = checked_optional_seconds("cache_cleanup_interval", cache_cleanup_interval, zero=True)
        interval = checked_optional_seconds("cleanup_interval", cleanup_interval, zero=True)
        self._stop_timeout = _waiting_time(stop_timeout, "stop_timeout")
        max_queue_size = checked_optional_count("max_queue_size", max_queue_size)
        if on_full not in ("wait", "error"):
            raise ValueError(f"on_full must be 'wait' or 'error', not {on_full!r}")
        self.events = EventBus(clock.wall)
        self._ledger = Ledger(
            self.events,
            clock,
            checked_optional_seconds("retention", retention, zero=True),
            checked_optional_count("max_history", max_history, least=0),
            checked_optional_count("max_result_bytes", max_result_bytes, least=0),
        )
        self._futures = TaskFutures(self.events)
        self._backend = open_backend(backend)
        self._backend_name = _shown_url(backend) if isinstance(backend, str) else type(backend).__name__
        self._waits = Waits(self._ledger)
        runtime = Runtime(self._ledger, TaskExecutor(), self.events, max_workers, max_queue_size, on_full, self._waits)
        self._backend.attach(runtime)
        self._capabilities = capabilities_of(self._backend)
        cache_max_size = checked_optional_count("cache_max_size", cache_max_size, least=0)
        self._caching = Caching(
            enabled=checked_switch("cache_enabled", cache_enabled),
            ttl=checked_cache_options(None, cache_ttl, None).ttl,
            max_size=cache_max_size,
            adapter=storage_of(cache_adapter, cache_max_size, self._capabilities.result_storage),
            cleanup_interval=interval if cache_interval is None else cache_interval,
            timeout=checked_seconds("cache_timeout", cache_timeout),
            coalesce=checked_switch("coalesce", coalesce),
            key_fn=checked_cache_options(None, None, cache_key_fn).key_fn,
            clock=clock.monotonic,
        )
        self._asks_cache = self._caching.exists  # False while only a task of use_cache=True would
        self._max_workers = max_workers
        self._max_queue_size = max_queue_size
        self._requested = partial(requested, new_id=self._backend.new_id)
        self._submit = self._backend.submit
        self._idleness = Idleness(self._ledger)
        self._loop: asyncio.AbstractEventLoop | None = None  # set exactly while tasks are taken
        self._home: asyncio.AbstractEventLoop | None = None  # where it ran last; its tasks end there
        self._process = 0  # of that loop
        self._stops: set[asyncio.Task[None]] = set()  # under way
        self._start: asyncio.Future[bool] | None = None  # the one under way, and whether it got there
        self._spared: set[TaskRecord] = set()  # tasks that called stop() themselves

    def __repr__(self) -> str:
        """Return whether the worker runs, how many slots are in use, and how many tasks are in each status."""
        counts = self._ledger.tally()
        state = "running" if self.is_running else "stopped"
        counted = ", ".join(f"{count} {status}" for status, count in counts.items() if count and status is not RUNNING)
        slots = f"{counts[RUNNING]} of {self._max_workers} slots in use"
        return f"<{type(self).__name__} {self._backend_name} {state}, {slots}{counted and ', '}{counted}>"

    @property
    def is_running(self) -> bool:
        """Whether the worker takes tasks."""
        return self._loop is not None and not self._loop.is_closed()

    @property
    def max_workers(self) -> int:
        """How many tasks may run at once."""
        return self._max_workers

    @property
    def cache(self) -> AsyncCacheAdapter:
        """The result cache. Without ``cache_enabled`` it is made when it is first looked at."""
        self._asks_cache = True
        return self._caching.cache

    @property
    def has_cache(self) -> bool:
        """Whether there is a result cache yet. Asking does not create one."""
        return self._caching.exists

    @property
    def max_queue_size(self) -> int | None:
        """How many tasks may wait for a slot; None for any number."""
        return self._max_queue_size

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
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        while under_way := self._stops_under_way() or self._starts_under_way():
            self._require_home()
            start = self._start
            await asyncio.wait(under_way)
            if start is not None and start in under_way and start.result():
                return  # that start was this one's too, even if somebody has called stop() since
        if self.is_running:
            self._require_own_loop()
            return
        await self._begin()

    async def _begin(self) -> None:
        former_home, left = self._home, set(self._ledger.select({RUNNING}))
        loop = self._home = asyncio.get_running_loop()
        self._process = os.getpid()
        self._start = start = loop.create_future()
        try:
            await self._caching.start()
            await self._backend.start()
        except BaseException:
            start.set_result(False)
            await asyncio.wait([self._begin_stop(self._undo_start(former_home, left))])
            raise
        self._loop = loop
        start.set_result(True)
        logger.info("Worker started: %s, %d slots", self._backend_name, self._max_workers)

    async def _undo_start(self, former_home: asyncio.AbstractEventLoop | None, left: set[TaskRecord]) -> None:
        """Release everything a start took that failed or was cancelled; tasks that ran before it go on."""
        self._spared |= left
        try:
            await self._take_down(0.0)
        finally:
            self._home = former_home

    async def stop(self, timeout: float | None = _WORKERS_STOP_TIMEOUT) -> None:
        """Take nothing new, let running tasks finish, then cut off the rest. Records stay readable.

        What had not started ends cancelled; where tasks are durable it stays for the next start,
        and so does what is cut off, unless it must not run twice: that ends failed. It returns
        within *timeout* + 1 seconds whatever the tasks do, short of blocking the event loop.
        Called inside a task, it does not wait for that task, which goes on until it ends or
        somebody else stops the worker once more. Cancelling this call does not call off the
        stop, but ends its grace: what runs is cut off at once, and the cancellation goes on when
        that has ended, within a second. A second cancellation goes on at once. A second call with
        less time shortens the stop. During a start it waits for that first. ``start()`` works
        again afterwards.

        Args:
            timeout: Seconds running tasks may still take; None for any time. Left out, it is the
                worker's ``stop_timeout``, which is 5 seconds unless it was made with another one.

        Raises:
            TypeError: *timeout* is not a number.
            ValueError: *timeout* is negative or NaN.
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        timeout = self._stop_timeout if timeout is _WORKERS_STOP_TIMEOUT else _waiting_time(timeout)
        under_way = self._stops_under_way() or self._starts_under_way()
        if not (under_way or self.is_running or self._left_running()):
            return
        self._require_home()
        self._loop = None
        if (own := current_record()) is not None:
            self._spared.add(own)
        stop = self._begin_stop(self._wind_up(timeout))
        try:
            await asyncio.wait([stop])
        except asyncio.CancelledError:
            await asyncio.wait([stop, self._begin_stop(self._wind_up(0.0))], timeout=_LAST_MOMENTS)
            raise
        stop.result()

    def _begin_stop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        stop = spawn(work, "async_task_worker.stop")
        self._stops.add(stop)
        stop.add_done_callback(self._stopped, context=Context())
        return stop

    async def _wind_up(self, timeout: float | None) -> None:
        if starts := self._starts_under_way():
            await asyncio.wait(starts)
            self._loop = None
        await self._take_down(timeout)
        logger.info("Worker stopped: %r", self)

    async def _take_down(self, timeout: float | None) -> None:
        try:
            await self._backend.stop(timeout, self._spared)
        finally:
            await self._caching.stop()

    def _stopped(self, stop: asyncio.Task[None]) -> None:
        self._stops.discard(stop)
        if not stop.cancelled() and (error := stop.exception()) is not None:
            logger.error("Stopping the worker failed", exc_info=exc_info_of(error))
        if not self._stops:
            self._spared = set()
            if self._loop is None and self._ledger.unfinished():
                self._futures.release(self._stays)
                self._idleness.release()
            self.events.close_streams()

    def _stays(self, task_id: str) -> bool:
        """Whether the task waits for the next start."""
        record = self._ledger.get(task_id)
        return record is not None and record.status is PENDING

    def _stops_under_way(self) -> set[asyncio.Task[None]]:
        self._stops = {stop for stop in self._stops if not stop.get_loop().is_closed()}
        return self._stops

    def _starts_under_way(self) -> set[asyncio.Future[bool]]:
        start = self._start
        return set() if start is None or start.done() or start.get_loop().is_closed() else {start}

    def _left_running(self) -> bool:
        """Whether a task goes on that called stop() itself; the next stop() is for it."""
        left = self._ledger.counts()[RUNNING] > 0 or self._backend.is_draining
        return left and self._home is not None and not self._home.is_closed()

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
            app: The application, which is not looked at.

        Raises:
            StorageError: The worker could not be started, like all of :meth:`start`.
        """
        async with self:
            yield

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until nothing is pending or running, tasks added meanwhile included.

        Called inside tasks, it does not wait for those. On a stopped worker it returns at once.
        A durable task whose function is not registered is pending until that is.

        Args:
            timeout: Seconds to wait; None for any time.

        Raises:
            TimeoutError: *timeout* expired first; the tasks go on.
            TypeError: *timeout* is not a number.
            ValueError: *timeout* is negative or NaN.
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        self._require_home()
        if self._loop is None and not self._stops and not self._ledger.counts()[RUNNING]:
            return
        timeout, own = _waiting_time(timeout), current_record()
        with self._waits.wait_for_all(own):
            done = await self._idleness.wait(own, timeout)
        if not done:
            left = self._ledger.unfinished()
            raise TimeoutError(f"{left} tasks had not finished after {timeout:g} seconds; they go on")

    async def add_task(
        self,
        task_func: TaskCallable,
        /,
        *args: Any,
        priority: int = 0,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
        timeout: float | None = None,
        use_cache: bool | None = None,
        cache_ttl: float | None = None,
        cache_key_fn: CacheKeyFunction | None = None,
        **kwargs: Any,
    ) -> str:
        """Run ``task_func(*args, **kwargs)`` in the background and return the task's id.

        With ``max_queue_size`` it waits for room in a full queue. The names of the options are
        ours: call :meth:`submit` for a function with a parameter of such a name. The task runs
        in a copy of the caller's context variables.

        Args:
            task_func: A coroutine function. If it has a parameter ``progress_callback`` it
                gets a function there, to be called with a number from 0.0 to 1.0.
            args: Its positional arguments.
            priority: Lower numbers run first; tasks of equal priority in the order they came.
            task_id: An id of your own; left out, one is made.
            metadata: Kept with the task, as a copy.
            timeout: Seconds the task may run, not counting its wait; None means the worker's
                ``task_timeout``.
            use_cache: Whether a cached result is used, and this one's stored: True wherever caching
                is not on, False wherever it is; None follows the worker.
            cache_ttl: Seconds its result stays cached, fractions too; None means the default,
                infinity for ever, zero and less: do not store it.
            cache_key_fn: Makes its cache key from a dict with ``func_name``, ``args``, ``kwargs``,
                ``entry_id`` and ``metadata``; None for a key of the function and all arguments.
            kwargs: Its keyword arguments.

        Raises:
            TypeError: The function is no coroutine function or does not take these arguments,
                or an option is of the wrong type.
            ValueError: An option is out of range.
            DuplicateTaskError: A task of this id is known.
            InvalidCacheKeyError: Cache keys are validated, and this one is none to be used.
            WorkerNotRunningError: The worker was not started, or stops.
            WrongEventLoopError: It runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
            QueueFullError: The queue is full, and ``on_full`` is ``"error"`` or waiting would
                never end.
            NotRegisteredError: Tasks are durable, and the function is not registered.
            NotStorableError: Tasks are durable, and an argument or the metadata cannot be written down.
            StorageError: Tasks are durable, and this one could not be written. It is not known then.
        """
        if self._loop is None or asyncio._get_running_loop() is not self._loop:
            self._require_own_loop()
        if use_cache is not None or cache_ttl is not None or cache_key_fn is not None:
            checked_cache_options(use_cache, cache_ttl, cache_key_fn)
        if timeout is None:
            timeout = self._task_timeout
        record = self._requested(task_func, args, kwargs or None, priority, timeout, metadata, task_id)
        if self._asks_cache or use_cache:
            record.ticket = self._caching.ticket(record, use_cache, cache_ttl, cache_key_fn)
        if (wait := self._submit(record)) is not None:
            await wait
        return record.id

    async def submit(  # noqa: PLR0913 - the documented options, all by keyword
        self,
        func: TaskCallable | str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        priority: int = 0,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
        timeout: float | None = None,
        use_cache: bool | None = None,
        cache_ttl: float | None = None,
        cache_key_fn: CacheKeyFunction | None = None,
        queue_timeout: float | None = None,
    ) -> str:
        """Like :meth:`add_task`, with the function's arguments apart from the options.

        No name of a parameter is reserved here: *kwargs* may hold ``priority`` or ``self``.

        Args:
            func: A coroutine function, or the name one is registered under: the task goes by that
                name and its options.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            priority: See :meth:`add_task`, like all that follow.
            task_id: An id of your own.
            metadata: Kept with the task.
            timeout: Seconds the task may run.
            use_cache: Whether this call goes through the result cache.
            cache_ttl: Seconds its result stays cached.
            cache_key_fn: Makes its cache key.
            queue_timeout: Seconds to wait for room in a full queue, 0 to be refused at once; None
                waits as long as it takes. It does not limit how long a durable task takes to be
                written down. With ``on_full="error"`` nothing waits.

        Raises:
            NotRegisteredError: No function is registered under the name *func*.
            TypeError: *args* is a string or no iterable, or *kwargs* no mapping of strings.
            QueueFullError: There was no room within *queue_timeout*.

        It also raises all of :meth:`add_task`.
        """
        self._require_own_loop()
        checked_cache_options(use_cache, cache_ttl, cache_key_fn)
        if queue_timeout is not None:
            queue_timeout = checked_seconds("queue_timeout", queue_timeout, zero=True)
        if timeout is None:
            timeout = self._task_timeout
        call = require_registration(func) if isinstance(func, str) else func
        record = self._requested(call, *checked_arguments(args, kwargs), priority, timeout, metadata, task_id)
        if self._asks_cache or use_cache:
            record.ticket = self._caching.ticket(record, use_cache, cache_ttl, cache_key_fn)
        submitting = self._submit(record) if queue_timeout is None else self._submit(record, queue_timeout)
        if submitting is not None:
            await submitting
        return record.id

    async def cancel_task(self, task_id: str) -> bool:
        """Cancel a pending or running task.

        A running one is given a second to end. If it does not stop by then it is left
        behind: recorded as cancelled, its slot passed on.

        Returns:
            True if the task ended cancelled. False if it is unknown, had finished before, or
            ended in another way: it caught its cancellation, or its time was up already.

        Raises:
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
            WorkerNotRunningError: The task is durable and has not finished, and the worker is stopped.
            StorageError: The task is durable, and its end could not be written. It may run after
                the next start.
        """
        record = self._ledger.get(task_id)
        if record is None or record.finished:
            return False
        self._require_home()
        return await self._backend.cancel(task_id)

    async def invalidate_cache(
        self,
        task_func: TaskCallable,
        /,
        *args: Any,
        cache_key_fn: CacheKeyFunction | None = None,
        metadata: Mapping[Any, Any] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Drop the cached result of ``task_func(*args, **kwargs)`` and return whether there was one.

        A task that is running at this moment stores its result later all the same. A storage that
        does not answer within ``cache_timeout`` may still have the result, and this returns False.

        Args:
            task_func: The function, as it was given to :meth:`add_task`, like all that follow.
            args: Its positional arguments.
            cache_key_fn: What made the key, if it was given to :meth:`add_task`. None for that of
                the task type, else that of the worker, else the default key.
            metadata: What the key function needs of the task's metadata.
            kwargs: Its keyword arguments.

        Raises:
            InvalidCacheKeyError: Cache keys are validated, and this one is none to be used.
            TypeError: *metadata* is not a mapping.
        """
        return await self._caching.invalidate(task_func, args, kwargs, cache_key_fn, metadata)

    async def clear_cache(self) -> None:
        """Drop every cached result.

        Raises:
            CacheUnavailableError: The storage did not answer; some results may be left.
            PrefixRequiredError: It is Redis without a prefix, where other people's keys would go too.
        """
        await self._caching.clear()

    def get_task_info(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task at this moment, or None if it is unknown."""
        record = self._ledger.get(task_id)
        return None if record is None else record.info()

    def get_all_tasks(
        self,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        limit: int | None = None,
        older_than: timedelta | float | None = None,
    ) -> list[TaskInfo]:
        """Return the known tasks that match, newest first.

        Args:
            status: Only tasks of this status, or of one of several; also as text.
            limit: At most this many; None for all.
            older_than: Only tasks added at least this long ago, as a timedelta or in seconds.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: There is no such status, or an argument is negative.
        """
        statuses = None if status is None else checked_statuses(status)
        limit = checked_optional_count("limit", limit, least=0)
        age = checked_optional_seconds("older_than", older_than, zero=True)
        return [record.info() for record in self._ledger.select(statuses, limit, age)]

    async def fetch_task_info(self, task_id: str) -> TaskInfo | None:
        """Return what the backend knows of a task, or None.

        In memory that is what :meth:`get_task_info` tells. A backend that keeps tasks
        elsewhere also finds those this worker no longer remembers, or never had.

        Raises:
            StorageError: The file of the tasks could not be read.
        """
        return await self._backend.fetch(task_id)

    async def search_tasks(
        self,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        task_type: str | None = None,
        before: datetime | None = None,
        after: datetime | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> TaskPage:
        """Return a page of the tasks the backend knows, newest first.

        A page can be short, even empty, and still have a ``next_cursor``: a search stops where it
        would take too long. That is not the end. Only a page without a ``next_cursor`` is the last.

        Args:
            status: Only tasks of this status, or of one of several; also as text.
            task_type: Only tasks of this name.
            before: Only tasks added earlier than this moment (an aware datetime).
            after: Only tasks added at this moment or later.
            text: Only tasks in whose id, name, error or metadata values it occurs, in
                upper or lower case.
            limit: At most this many, at least 1.
            cursor: The ``next_cursor`` of the page before, which was asked for with the same filters
                (*limit* may differ). It stays good while tasks come and go, and across a stop and a start.

        Raises:
            TypeError: An argument is of the wrong type.
            StorageError: The file of the tasks could not be read.
            ValueError: There is no such status, a moment has no time zone, *limit* is less than 1, or
                the cursor was edited, is another worker's or was returned for other filters.
        """
        for name, value in (("task_type", task_type), ("text", text), ("cursor", cursor)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {value!r}")
        query = TaskQuery(
            statuses=None if status is None else checked_statuses(status),
            task_type=task_type,
            before=moment_of("before", before),
            after=moment_of("after", after),
            text=text.casefold() if text else None,
            limit=checked_count("limit", limit),
            cursor=cursor,
        )
        return await self._backend.search(query)

    async def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy of all tasks, as they are at this moment, into a new file, while they go on.

        Args:
            path: The file to be made. It is one that a worker can be started on. In the copy, what
                runs at this moment counts as interrupted by a crash, and such a worker runs
                whatever has not ended in it.

        Raises:
            StorageError: It exists or cannot be written, or the backend keeps tasks in memory only.
            WorkerNotRunningError: The worker was not started, or stops.
            WrongEventLoopError: It runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
            TypeError: *path* is not a path.
        """
        self._require_own_loop()
        await self._capabilities.backup(Path(path))

    @property
    def unregistered_tasks(self) -> dict[str, int]:
        """How many stored tasks wait for a function that is not registered in this process, by its name.

        They are pending, in the phase ``"unregistered"``, and run as soon as it is registered.
        """
        return self._capabilities.unregistered_tasks()

    def storage_error(self) -> StorageError | None:
        """Return why tasks cannot be stored, or None; on a running durable worker, look whether its file is there.

        While there is such an error, ``add_task`` raises it too. In memory there is none.
        """
        return self._capabilities.storage_error()

    def check_loop(self) -> None:
        """Raise unless the worker may be used here: on its event loop, in its process.

        A worker that was never started, or whose event loop is closed, may be used anywhere.

        Raises:
            WrongEventLoopError: It runs, or ran last, on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        self._require_home()

    def counts(self) -> dict[TaskStatus, int]:
        """Return how many of the known tasks are in each status."""
        return self._ledger.counts()

    def get_task_future(self, task_id: str) -> TaskFuture:
        """Return a new future for the task's result, done already if the task is.

        It raises the task's own error if the task fails, and ``asyncio.CancelledError`` if
        it is cancelled. What no future can carry, such as ``SystemExit``, arrives as the cause
        of a ``TaskFailedError``; a result that was dropped raises ``ResultDroppedError``. If a
        worker with durable tasks stops first, it raises ``WorkerNotRunningError``. One that is made
        while that worker is stopped waits until the worker has started again and the task has ended.
        Cancelling the future does nothing to the task or to others.

        Raises:
            TaskNotFoundError: The task is unknown to this worker.
            WrongEventLoopError: The task has not finished and runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        return self._future_for(self._known(task_id))

    def get_task_futures(self, task_ids: Iterable[str]) -> list[TaskFuture]:
        """Return a new future for each of the tasks, in the order given.

        Raises:
            TaskNotFoundError: One of them is unknown to this worker.
            TypeError: *task_ids* is a single id.
            WrongEventLoopError: One has not finished and runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
        """
        return [self._future_for(record) for record in self._all_known(task_ids)]

    async def wait_for_tasks(self, task_ids: Iterable[str], timeout: float | None = None) -> list[Any]:
        """Wait until every task has finished and return their results in the order given.

        Args:
            task_ids: Tasks to wait for. With none of them it returns at once.
            timeout: Seconds to wait in all, not per task; None waits for ever. The tasks
                themselves keep running when it expires.

        Raises:
            TaskNotFoundError: An id is unknown to this worker. Nothing is awaited.
            TaskCancelledError: The first task that has no result was cancelled.
            TimeoutError: *timeout* expired first.
            ValueError: The task this is called in is one of them, or *timeout* is negative or NaN.
            TypeError: *task_ids* is a single id, or *timeout* is not a number.
            WorkerNotRunningError: The worker stopped during this wait; a durable task goes on after
                its next start. Called after a stop, this waits for that.
            WrongEventLoopError: A task has not finished and runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
            ResultDroppedError: Its result was dropped, see ``max_result_bytes``.
            Exception: The first task that has no result failed; this is its own error, or a
                ``TaskFailedError`` because of one such as ``SystemExit``.
        """
        waits = await self._wait(self._all_known(task_ids), _waiting_time(timeout), asyncio.ALL_COMPLETED)
        if unfinished := sum(not record.finished for record, _ in waits):
            raise TimeoutError(
                f"{unfinished} of {len(waits)} tasks had not finished after {timeout:g} seconds; they go on"
            )
        return [_result(*wait) for wait in waits]

    async def wait_for_any_task(self, task_ids: Iterable[str], timeout: float | None = None) -> tuple[Any, str]:
        """Wait until one of the tasks has finished and return its result and its id.

        Args:
            task_ids: Tasks to wait for, at least one.
            timeout: Seconds to wait; None waits for ever. The tasks keep running when it expires.

        Raises:
            ValueError: There is no task to wait for, the one this is called in is one of them, or
                *timeout* is negative or NaN.
            TypeError: *task_ids* is a single id, or *timeout* is not a number.
            WorkerNotRunningError: The worker stopped during this wait; a durable task goes on after
                its next start. Called after a stop, this waits for that.
            WrongEventLoopError: A task has not finished and runs on another event loop.
            ForkedWorkerError: It runs in the process that this one is a fork of.
            TaskNotFoundError: An id is unknown to this worker. Nothing is awaited.
            TaskFailedError: That task failed; its own error is the cause, its id the ``task_id``.
            TaskCancelledError: That task was cancelled; ``task_id`` tells which.
            ResultDroppedError: Its result was dropped, see ``max_result_bytes``.
            TimeoutError: *timeout* expired first.
        """
        records = self._all_known(task_ids)
        if not records:
            raise ValueError("wait_for_any_task needs at least one task id")
        waits = await self._wait(records, _waiting_time(timeout), asyncio.FIRST_COMPLETED)
        finished = [wait for wait in waits if wait[0].finished]
        if not finished:
            raise TimeoutError(f"None of {len(records)} tasks had finished after {timeout:g} seconds; they go on")
        first, future = min(finished, key=lambda wait: wait[0].ended)
        if first.status is FAILED:
            raise failed_because(first)
        return _result(first, future), first.id

    async def _wait(
        self, records: list[TaskRecord], timeout: float | None, until: str
    ) -> list[tuple[TaskRecord, TaskFuture]]:
        """Wait for the ends of these tasks, and return what is known of each then: a restart makes new records.

        With each comes its future, cancelled if the task had not ended. It has the result even
        if that was dropped as soon as the task ended.
        """
        if current_record() in records:
            raise ValueError("a task cannot wait for itself to finish")
        futures = [self._future_for(record) for record in records]
        try:
            if not all(future.done() for future in futures):
                await asyncio.wait(futures, timeout=timeout, return_when=until)
            now = [record if record.finished else self._ledger.get(record.id) or record for record in records]
            for future, record in zip(futures, now, strict=True):
                if future.done() and not record.finished:
                    future.result()  # the worker stopped, and the task waits for its next start
            return list(zip(now, futures, strict=True))
        finally:
            for future in futures:
                future.cancel()

    def _future_for(self, record: TaskRecord) -> TaskFuture:
        if record.status is not COMPLETED and not record.finished:
            self._require_home()
            if in_task() is not None:
                return self._futures.future_for(record, self._waits.future_for(record))
        return self._futures.future_for(record)

    def _known(self, task_id: str) -> TaskRecord:
        record = self._ledger.get(task_id)
        if record is None:
            raise TaskNotFoundError(repr(task_id), task_id=task_id)
        return record

    def _all_known(self, task_ids: Iterable[str]) -> list[TaskRecord]:
        if isinstance(task_ids, str):
            raise TypeError(f"task_ids must be several ids, such as a list, not the single id {task_ids!r}")
        return [self._known(task_id) for task_id in task_ids]

    def _require_own_loop(self) -> None:
        if not self.is_running:
            raise WorkerNotRunningError
        self._require_home()

    def _require_home(self) -> None:
        home = self._home
        if home is not None and home is not asyncio._get_running_loop() and not home.is_closed():
            raise WrongEventLoopError if self._process == os.getpid() else ForkedWorkerError


def _waiting_time(timeout: float | None, name: str = "timeout") -> float | None:
    return None if timeout is None else checked_seconds(name, timeout, zero=True)


def _shown_url(url: str) -> str:
    """Return a backend's URL as logs and ``repr`` may show it: without a user's name and password."""
    return re.sub(r"//[^/]*@", "//***@", url)


def _result(record: TaskRecord, future: TaskFuture) -> Any:
    if record.status is COMPLETED:
        return result_of(record) if future.cancelled() or future.exception() else future.result()
    if record.status is FAILED:
        raise failure(record)
    raise TaskCancelledError(repr(record.id), task_id=record.id)
