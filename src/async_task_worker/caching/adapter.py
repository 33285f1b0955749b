"""AsyncCacheAdapter: cached results by function and arguments, or by the id of a task that had the result.

Connects tasks with :mod:`async_cache`, which knows nothing of tasks. Importing this module imports
that package, so the worker does so only when a cache is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakSet

from async_cache import AsyncCache, CacheStatistics, generate_entry_id
from async_cache.cache import Suspension
from async_cache.keys import KeyFunction, escape, func_name_of

from ..model.functions import TaskCallable
from ..model.record import TaskRecord
from ..model.registry import key_function_of
from ..model.signatures import PROGRESS_PARAMETER
from .exceptions import as_worker_errors

MAX_SERIALIZED_SIZE = 10 * 1024 * 1024
"""Bytes a result may take, by default."""


class _TaskCache(AsyncCache):
    """An AsyncCache that refuses an invalid key with an error of both families."""

    def _validate(self, key: object) -> str:
        with as_worker_errors():
            return super()._validate(key)


class AsyncCacheAdapter:
    """A cache for the results of tasks, on any storage.

    Give one to several workers to share results between them. A worker runs its sweeps, but does
    not close it: call :meth:`aclose` when no worker uses it any more.

    Args:
        default_ttl: Seconds a result stays cached if its ttl is None; None for ever, or for the
            ``cache_ttl`` of the worker that the adapter is given to.
        enabled: Whether :meth:`get` finds and :meth:`set` stores anything.
        max_serialized_size: Bytes a result may take, encoded; a larger one is not stored. None for any size.
        validate_keys: Whether a key raises ``InvalidCacheKeyError`` unless it is a str of 1 to 512
            bytes without control characters.
        cleanup_interval: Seconds between two sweeps of stale mappings; 0 for none.
        max_size: Results kept in memory, where no *adapter* is given; None for any number.
        adapter: Where results are kept: a ``MemoryCacheAdapter``, a ``RedisCacheAdapter``, or any
            object with the four methods of a ``CacheAdapter``. None for memory.

    Raises:
        TypeError: *adapter* lacks a method, or an option is of the wrong type.
        ValueError: A number is negative or NaN.
    """

    def __init__(
        self,
        default_ttl: float | None = None,
        enabled: bool = True,
        max_serialized_size: int | None = MAX_SERIALIZED_SIZE,
        validate_keys: bool = False,
        cleanup_interval: float = 900,
        max_size: int | None = 1000,
        adapter: Any = None,
    ) -> None:
        self._cache = _TaskCache(
            adapter,
            default_ttl=default_ttl,
            enabled=enabled,
            max_serialized_size=max_serialized_size,
            validate_keys=validate_keys,
            cleanup_interval=cleanup_interval,
            max_size=max_size,
            skip_parameters=[PROGRESS_PARAMETER],
        )
        self.key_fn: KeyFunction | None = None  # the cache_key_fn of the worker that created it, if one did
        self._users: WeakSet[object] = WeakSet()

    @property
    def adapter(self) -> Any:
        """Where results are kept."""
        return self._cache.adapter

    @property
    def enabled(self) -> bool:
        """Whether anything is found and stored. A task added with ``use_cache=True`` uses the cache even if not."""
        return self._cache.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._cache.enabled = enabled

    @property
    def default_ttl(self) -> float | None:
        """Seconds a result stays cached if its ttl is None.

        Raises:
            TypeError: The new value is not a number.
            ValueError: The new value is NaN.
        """
        return self._cache.default_ttl

    @default_ttl.setter
    def default_ttl(self, ttl: float | None) -> None:
        self._cache.default_ttl = ttl

    @property
    def cleanup_interval(self) -> float:
        """Seconds between two sweeps; 0 for none. A change has effect at once.

        Raises:
            TypeError: The new value is not a number.
            ValueError: The new value is negative or NaN.
        """
        return self._cache.cleanup_interval

    @cleanup_interval.setter
    def cleanup_interval(self, seconds: float) -> None:
        self._cache.cleanup_interval = seconds

    @property
    def max_serialized_size(self) -> int | None:
        """Bytes a result may take, encoded; None for any size."""
        return self._cache.max_serialized_size

    @property
    def validate_keys(self) -> bool:
        """Whether invalid keys raise ``InvalidCacheKeyError``."""
        return self._cache.validate_keys

    @property
    def task_key_map(self) -> Mapping[str, str]:
        """A read-only view of the composite entry ids and their keys; empty if Redis keeps them."""
        return self._cache.task_key_map

    @property
    def entry_key_map(self) -> Mapping[str, str]:
        """Another name of :attr:`task_key_map`."""
        return self._cache.task_key_map

    def statistics(self) -> CacheStatistics:
        """Return the counters and the current state of the cache."""
        return self._cache.statistics()

    async def get(
        self,
        func_name: TaskCallable | str,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] | None,
        cache_key_fn: KeyFunction | None = None,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
    ) -> tuple[bool, Any]:
        """Return ``(True, result)`` for a call whose result is cached, else ``(False, None)``.

        Args:
            func_name: The function, for results of its tasks; or a name, for what :meth:`set` stored
                under that name. Functions that share a name never find each other's results,
                unless *cache_key_fn* makes the same key for both.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            cache_key_fn: Makes the key; None for that of the function's tasks: the ``cache_key_fn`` of
                its task type, else that of the worker that created this cache, else the default key.
            task_id: After a hit, :meth:`get_by_task_id` finds the result by this id, too.
            metadata: Passed to *cache_key_fn*.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is invalid.
        """
        key, entry_id = self._names(func_name, args, kwargs, cache_key_fn, task_id, metadata)
        return (False, None) if key is None else await self._cache.get(key, entry_id=entry_id, alias=task_id)

    async def set(
        self,
        func_name: TaskCallable | str,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] | None,
        result: Any,
        ttl: float | None = None,
        cache_key_fn: KeyFunction | None = None,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
    ) -> bool:
        """Store a copy of *result* for a call; return whether it was stored.

        Args:
            func_name: As for :meth:`get`, like all but the next two.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            result: Any value. One that cannot be copied faithfully, or is too large, is not stored.
            ttl: Seconds it stays cached, fractions too; None for the default, infinity for ever. With
                zero or less it is not stored.
            cache_key_fn: Makes the key.
            task_id: :meth:`get_by_task_id` finds the result by this id.
            metadata: Passed to *cache_key_fn*.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is invalid.
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
        """
        key, entry_id = self._names(func_name, args, kwargs, cache_key_fn, task_id, metadata)
        return key is not None and await self._cache.set(key, result, ttl, entry_id=entry_id, alias=task_id)

    async def invalidate(
        self,
        func_name: TaskCallable | str,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] | None,
        cache_key_fn: KeyFunction | None = None,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
    ) -> bool:
        """Drop the cached result of a call; return whether there was one. For the parameters see :meth:`get`.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is invalid.
        """
        key, _ = self._names(func_name, args, kwargs, cache_key_fn, task_id, metadata)
        return key is not None and await self._cache.delete(key)

    def generate_entry_id(self, func_name: TaskCallable | str, task_id: str) -> str:
        """Return the composite id of a task's result. The plain task id works in its place."""
        return generate_entry_id(func_name_of(func_name), task_id)

    def entry_id_of(self, record: TaskRecord) -> str:
        """Return :meth:`generate_entry_id` of a task, in a third of the time. For this package only."""
        function = record.function
        if (head := function.entry_head) is None:
            head = function.entry_head = self.generate_entry_id(record.func, "")
        return head + escape(record.id)

    async def get_by_task_id(self, task_id: str) -> tuple[bool, Any]:
        """Return ``(True, result)`` if the task's result is cached, else ``(False, None)``.

        Args:
            task_id: The task's id, or the composite one of :meth:`generate_entry_id`.
        """
        return await self._cache.get_by_entry_id(task_id)

    async def invalidate_by_task_id(self, task_id: str) -> bool:
        """Drop the task's cached result; return whether there was one. Takes both kinds of id."""
        return await self._cache.delete_by_entry_id(task_id)

    async def clear(self) -> None:
        """Drop every result.

        Raises:
            CacheUnavailableError: The storage did not answer; some results may be left.
            PrefixRequiredError: The storage is Redis without a prefix, where this would delete other keys, too.
        """
        with as_worker_errors():
            await self._cache.clear()

    def temporarily_disabled(self) -> Suspension:
        """Return a context manager (``with`` or ``async with``) that disables the cache, also for ``use_cache=True``.

        It has effect on all users of this cache. Blocks may be nested and may overlap.
        """
        return self._cache.temporarily_disabled()

    async def start_cleanup_task(self) -> None:
        """Start sweeping stale mappings every *cleanup_interval* seconds. With 0, or if started, it does nothing."""
        await self._cache.start_cleanup_task()

    async def stop_cleanup_task(self) -> None:
        """Stop the sweeps and wait until they have ended."""
        await self._cache.stop_cleanup_task()

    async def acquire_cleanup(self, worker: object) -> None:
        """Start the sweeps for one of several workers. For this package only."""
        self._users.add(worker)
        await self.start_cleanup_task()

    async def release_cleanup(self, worker: object) -> None:
        """Stop the sweeps if no other worker needs them. For this package only."""
        self._users.discard(worker)
        if not self._users:
            await self.stop_cleanup_task()

    async def aclose(self) -> None:
        """Stop the sweeps, wait for running operations, and close the Redis client if the adapter created it."""
        await self._cache.aclose()

    def _names(
        self,
        func: TaskCallable | str,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] | None,
        key_fn: KeyFunction | None,
        task_id: str | None,
        metadata: Mapping[Any, Any] | None,
    ) -> tuple[str | None, str | None]:
        """Return the key of a call, if it has one, and the entry id of the task, if there is one."""
        entry_id = None if task_id is None else self.generate_entry_id(func, task_id)
        if key_fn is None and not isinstance(func, str):
            key_fn = key_function_of(func) or self.key_fn
        key = self._cache.key_for(
            func, tuple(args), kwargs or {}, key_fn=key_fn, entry_id=entry_id, metadata=metadata or {}
        )
        return key, entry_id
