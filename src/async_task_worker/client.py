"""TaskClient: submits tasks, waits for them and cancels them. Whether it also runs any is up to its backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .backends import Runtime, open_backend
from .caching.service import CacheService, resolve_adapter
from .exceptions import TaskNotFoundError
from .loop_binding import LoopBinding
from .model.functions import CacheKeyFunction, TaskCallable
from .model.options import WorkerOptions
from .model.record import TaskRecord
from .model.record_factory import create_record
from .model.registry import Registration, find_registration, require_registration, unregistered_entry
from .model.validation import (
    checked_arguments,
    checked_cache_options,
    checked_optional_seconds,
    checked_seconds,
)
from .reader import TaskReader
from .runtime.executor import TaskExecutor
from .runtime.nested_waits import Waits
from .runtime.task_waiter import TaskWaiter
from .state.events import EventBus
from .state.futures import TaskFuture, TaskFutures
from .state.ledger import Ledger
from .state.progress import ProgressCallbacks

if TYPE_CHECKING:
    from .caching.adapter import AsyncCacheAdapter


class TaskClient(TaskReader):
    """Submits tasks, waits for them and cancels them.

    Args:
        options: The options, validated.
    """

    def __init__(self, options: WorkerOptions) -> None:
        events = EventBus(options.clock.wall)
        ledger = Ledger(events, options.clock, options.retention_seconds, options.max_history, options.max_result_bytes)
        super().__init__(ledger, open_backend(options.backend), events)
        self._options = options
        self._binding = LoopBinding()
        self._waits = Waits(ledger)
        self._futures = TaskFutures(events)
        self._waiter = TaskWaiter(ledger, self._futures, self._waits, self._binding.require_bound)
        self._backend.attach(
            Runtime(
                ledger,
                ProgressCallbacks(ledger),
                TaskExecutor(),
                events,
                options.max_workers,
                options.max_queue_size,
                options.on_full,
                self._waits,
                options.consume,
            )
        )
        self._caching = CacheService(options, resolve_adapter(options, self._capabilities.result_storage))
        self._cache_active = self._caching.exists  # False while only a task of use_cache=True would make one
        self._lookup_for = self._caching.lookup_for
        self._task_timeout = options.task_timeout
        self._new_id = self._backend.new_id
        self._submit = self._backend.submit

    @property
    def is_running(self) -> bool:
        """Whether the worker takes tasks."""
        return self._binding.is_accepting

    @property
    def cache(self) -> AsyncCacheAdapter:
        """The result cache. Without ``cache_enabled`` it is made when it is first accessed."""
        self._cache_active = True
        return self._caching.cache

    @property
    def has_cache(self) -> bool:
        """Whether there is a result cache yet. Asking does not create one."""
        return self._caching.exists

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
        reserved: call :meth:`submit` for a function that has a parameter of such a name. The task runs
        in a copy of the caller's context variables.

        Args:
            task_func: A coroutine function. If it has a parameter ``progress_callback``, the worker
                passes it a function to call with a number from 0.0 to 1.0.
            args: Its positional arguments.
            priority: Lower numbers run first; tasks of equal priority in the order they were added.
            task_id: An id of your own; None for a new UUID.
            metadata: Kept with the task, as a copy.
            timeout: Seconds the task may run, not counting its time in the queue; None for the worker's
                ``task_timeout``.
            use_cache: True to use a cached result and store this one, even if the worker does not
                cache by default; False to do neither; None for the worker's ``cache_enabled``.
            cache_ttl: Seconds its result stays cached; None for the worker's default, infinity for no
                limit, zero or less to not cache it.
            cache_key_fn: A function that makes its cache key from a dict with ``func_name``, ``args``, ``kwargs``,
                ``entry_id`` and ``metadata``; None for a key of the function and all arguments.
            kwargs: Its keyword arguments.

        Raises:
            TypeError: The function is not a coroutine function or does not take these arguments,
                or an option is of the wrong type.
            ValueError: An option is out of range.
            DuplicateTaskError: A task with this id is known.
            InvalidCacheKeyError: Cache keys are validated, and this one cannot be used.
            WorkerNotRunningError: The worker was not started, or stops.
            WrongEventLoopError: It runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
            QueueFullError: The queue is full, and ``on_full`` is ``"error"`` or waiting would
                never end.
            NotRegisteredError: Tasks are durable, and the function is not registered.
            NotStorableError: Tasks are durable, and an argument or the metadata cannot be stored.
            StorageError: Tasks are durable, and this one could not be stored. It was not added.
        """
        accepting = self._binding.accepting
        if accepting is None or asyncio._get_running_loop() is not accepting:
            self._binding.require_accepting()
        cache = None
        if use_cache is not None or cache_ttl is not None or cache_key_fn is not None:
            cache = checked_cache_options(use_cache, cache_ttl, cache_key_fn)
        record = create_record(
            task_func,
            args,
            kwargs or None,
            priority=priority,
            timeout=self._task_timeout if timeout is None else timeout,
            metadata=metadata,
            task_id=task_id,
            new_id=self._new_id,
            lookup_for=self._lookup_for if self._cache_active or use_cache else None,
            cache=cache,
        )
        if (adding := self._submit(record)) is not None:
            await adding
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
        """Add a task like :meth:`add_task`, with the function's arguments separate from the options.

        No parameter name is reserved: *kwargs* may contain ``priority`` or ``self``.

        Args:
            func: A coroutine function, or a registered name. With a name, the task has that name and
                the options that it was registered with.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            priority: See :meth:`add_task` for this and the options that follow.
            task_id: An id of your own.
            metadata: Kept with the task.
            timeout: Seconds the task may run.
            use_cache: Whether this call goes through the result cache.
            cache_ttl: Seconds its result stays cached.
            cache_key_fn: Makes its cache key.
            queue_timeout: Seconds to wait for room in a full queue; 0 to raise at once, None for no
                limit. It does not limit how long it takes to store a durable task. With
                ``on_full="error"`` it never waits.

        Raises:
            NotRegisteredError: No function is registered under the name *func*.
            TypeError: *args* is a string or not an iterable, or *kwargs* is not a mapping with strings as keys.
            QueueFullError: There was no room within *queue_timeout*.

        It also raises all of :meth:`add_task`.
        """
        self._binding.require_accepting()
        cache = checked_cache_options(use_cache, cache_ttl, cache_key_fn)
        if queue_timeout is not None:
            queue_timeout = checked_seconds("queue_timeout", queue_timeout, zero=True)
        args, kwargs = checked_arguments(args, kwargs)
        record = create_record(
            self._registration(func) if isinstance(func, str) else func,
            args,
            kwargs,
            priority=priority,
            timeout=self._task_timeout if timeout is None else timeout,
            metadata=metadata,
            task_id=task_id,
            new_id=self._new_id,
            lookup_for=self._lookup_for if self._cache_active or use_cache else None,
            cache=cache,
        )
        if (adding := self._submit(record, queue_timeout)) is not None:
            await adding
        return record.id

    async def cancel_task(self, task_id: str) -> bool:
        """Cancel a pending or running task.

        A running task has one second to end. If it has not stopped by then, it is abandoned: it is
        recorded as cancelled, and its slot goes to the next task.

        Returns:
            True if the task ended cancelled. False if it is unknown, had finished before, or
            ended in another way: it caught its cancellation, or its time was up already.

        Raises:
            WrongEventLoopError: The worker runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
            WorkerNotRunningError: The task is durable and has not finished, and the worker is stopped.
            StorageError: The task is durable, and its end could not be written. It may run after
                the next start.
        """
        record = self._ledger.get(task_id)
        if record is not None:
            if record.finished:
                return False
            self._binding.require_bound()
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
            InvalidCacheKeyError: Cache keys are validated, and this one cannot be used.
            TypeError: *metadata* is not a mapping.
        """
        return await self._caching.invalidate(task_func, args, kwargs, cache_key_fn, metadata)

    async def clear_cache(self) -> None:
        """Drop every cached result.

        Raises:
            CacheUnavailableError: The storage did not answer; some results may be left.
            PrefixRequiredError: It is Redis without a prefix, where the keys of other programs would be deleted too.
        """
        await self._caching.clear()

    def check_loop(self) -> None:
        """Raise unless the worker may be used here: on its event loop, in its process.

        A worker that was never started, or whose event loop is closed, may be used anywhere.

        Raises:
            WrongEventLoopError: It runs, or ran last, on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        self._binding.require_bound()

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
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        return self._waiter.future_for(self._watch(task_id))

    def get_task_futures(self, task_ids: Iterable[str]) -> list[TaskFuture]:
        """Return a new future for each of the tasks, in the order given.

        Raises:
            TaskNotFoundError: One of them is unknown to this worker.
            TypeError: *task_ids* is a single id.
            WrongEventLoopError: One has not finished and runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
        """
        return [self._waiter.future_for(record) for record in self._watch_all(task_ids)]

    async def wait_for_tasks(self, task_ids: Iterable[str], timeout: float | None = None) -> list[Any]:
        """Wait until every task has finished and return their results in the order given.

        Args:
            task_ids: Tasks to wait for. With none of them it returns at once.
            timeout: Seconds to wait in all, not per task; None waits without limit. The tasks
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
            ForkedWorkerError: This process is a fork of the one the worker runs in.
            ResultDroppedError: Its result was dropped, see ``max_result_bytes``.
            Exception: The first task that has no result failed; this is its own error, or a
                ``TaskFailedError`` because of one such as ``SystemExit``.
        """
        records = self._watch_all(task_ids)
        return await self._waiter.wait_for_all(records, checked_optional_seconds("timeout", timeout, zero=True))

    async def wait_for_any_task(self, task_ids: Iterable[str], timeout: float | None = None) -> tuple[Any, str]:
        """Wait until one of the tasks has finished and return its result and its id.

        Args:
            task_ids: Tasks to wait for, at least one.
            timeout: Seconds to wait; None waits without limit. The tasks keep running when it expires.

        Raises:
            ValueError: There is no task to wait for, the one this is called in is one of them, or
                *timeout* is negative or NaN.
            TypeError: *task_ids* is a single id, or *timeout* is not a number.
            WorkerNotRunningError: The worker stopped during this wait; a durable task goes on after
                its next start. Called after a stop, this waits for that.
            WrongEventLoopError: A task has not finished and runs on another event loop.
            ForkedWorkerError: This process is a fork of the one the worker runs in.
            TaskNotFoundError: An id is unknown to this worker. Nothing is awaited.
            TaskFailedError: That task failed; its own error is the cause, its id the ``task_id``.
            TaskCancelledError: That task was cancelled; ``task_id`` says which.
            ResultDroppedError: Its result was dropped, see ``max_result_bytes``.
            TimeoutError: *timeout* expired first.
        """
        records = self._watch_all(task_ids)
        if not records:
            raise ValueError("wait_for_any_task needs at least one task id")
        return await self._waiter.wait_for_any(records, checked_optional_seconds("timeout", timeout, zero=True))

    def _registration(self, name: str) -> Registration:
        """Return what is registered under a name; a client that runs no tasks needs no function for it."""
        if self._options.consume:
            return require_registration(name)
        return find_registration(name) or unregistered_entry(name)

    def _watch(self, task_id: str) -> TaskRecord:
        record = self._backend.watch(task_id)
        if record is None:
            raise TaskNotFoundError(repr(task_id), task_id=task_id)
        return record

    def _watch_all(self, task_ids: Iterable[str]) -> list[TaskRecord]:
        if isinstance(task_ids, str):
            raise TypeError(f"task_ids must be several ids, such as a list, not the single id {task_ids!r}")
        return [self._watch(task_id) for task_id in task_ids]
