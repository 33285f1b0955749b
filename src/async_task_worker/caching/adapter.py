"""The cache as tasks see it: entries by function and arguments, or by the id of a task that had the result.

This is the bridge to :mod:`async_cache`, which knows nothing of tasks. Importing it
imports that, so the worker does so only once a cache is wanted.
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
"""Bytes a result may take unless told otherwise."""


class _TaskCache(AsyncCache):
    """An AsyncCache that refuses an invalid key with an error of both families."""

    def _validate(self, key: object) -> str:
        with as_worker_errors():
            return super()._validate(key)


class AsyncCacheAdapter:
    """A cache for the results of tasks, in front of any storage.

    Hand one to several workers and they share their results. Whoever makes it ends it:
    a worker only runs its sweeps.

    Args:
        default_ttl: Seconds a result lives whose ttl is None; None for ever, or for the
            ``cache_ttl`` of the worker it is given to.
        enabled: Whether :meth:`get` finds and :meth:`set` stores anything.
        max_serialized_size: Bytes a result may take, encoded; a larger one is not stored. None for any.
        validate_keys: Whether a key that is no str of 1 to 512 bytes without control
            characters raises ``InvalidCacheKeyError``.
        cleanup_interval: Seconds between two sweeps of stale mappings; 0 for none.
        max_size: Results kept in memory, where no *adapter* is given; None for any number.
        adapter: Where results are kept: a ``MemoryCacheAdapter``, a ``RedisCacheAdapter``, or any
            object with the four methods of a ``CacheAdapter``. None for memory.

    Raises:
        TypeError: *adapter* lacks a method, or a number is none.
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
        self.key_fn: KeyFunction | None = None  # of the one worker it belongs to
        self._users: WeakSet[object] = WeakSet()

    @property
    def adapter(self) -> Any:
        """Where results are kept."""
        return self._cache.adapter

    @property
    def enabled(self) -> bool:
        """Whether anything is found and stored; a task added with ``use_cache=True`` is all the same."""
        return self._cache.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._cache.enabled = enabled

    @property
    def default_ttl(self) -> float | None:
        """Seconds a result lives whose ttl is None.

        Raises:
            TypeError: It was set to what is not a number.
            ValueError: It was set to NaN.
        """
        return self._cache.default_ttl

    @default_ttl.setter
    def default_ttl(self, ttl: float | None) -> None:
        self._cache.default_ttl = ttl

    @property
    def cleanup_interval(self) -> float:
        """Seconds between two sweeps; 0 for none. A change counts from the moment it is made.

        Raises:
            TypeError: It was set to what is not a number.
            ValueError: It was set to a negative number or NaN.
        """
        return self._cache.cleanup_interval

    @cleanup_interval.setter
    def cleanup_interval(self, seconds: float) -> None:
        self._cache.cleanup_interval = seconds

    @property
    def max_serialized_size(self) -> int | None:
        """Bytes a result may take, encoded; None for any number."""
        return self._cache.max_serialized_size

    @property
    def validate_keys(self) -> bool:
        """Whether keys nobody should make are refused."""
        return self._cache.validate_keys

    @property
    def task_key_map(self) -> Mapping[str, str]:
        """Composite entry ids and the keys they stand for: a live, read-only view. Redis keeps its own."""
        return self._cache.task_key_map

    @property
    def entry_key_map(self) -> Mapping[str, str]:
        """Another name of :attr:`task_key_map`."""
        return self._cache.task_key_map

    def statistics(self) -> CacheStatistics:
        """Return what the cache did so far, and how it stands."""
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
            func_name: The function, for what tasks of it left; or a name, for what :meth:`set`
                was given under that name. Two functions may share a name, so the one never
                finds the other's unless *cache_key_fn* says so.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            cache_key_fn: Makes the key; None for what tasks of the function go by: the
                ``cache_key_fn`` of its task type, else that of the worker if that has made this
                cache, else the default key.
            task_id: From a hit on, this id stands for the result.
            metadata: For *cache_key_fn*.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is none to be used.
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
        """Store a copy of *result* for a call, and say whether that was done.

        Args:
            func_name: As for :meth:`get`, like all but the next two.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            result: Any value. One that has no faithful copy, or is too large, is not stored.
            ttl: Seconds to live, fractions too; None for the default, infinity for ever, zero
                and less: do not store.
            cache_key_fn: Makes the key.
            task_id: This id stands for the result from now on.
            metadata: For *cache_key_fn*.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is none to be used.
            TypeError: *ttl* is no number.
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
        """Drop the cached result of a call, and say whether there was one. For the parameters see :meth:`get`.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is none to be used.
        """
        key, _ = self._names(func_name, args, kwargs, cache_key_fn, task_id, metadata)
        return key is not None and await self._cache.delete(key)

    def generate_entry_id(self, func_name: TaskCallable | str, task_id: str) -> str:
        """Return the composite id of a task's result. The bare task id means the same."""
        return generate_entry_id(func_name_of(func_name), task_id)

    def entry_id_of(self, record: TaskRecord) -> str:
        """Return what :meth:`generate_entry_id` does for a task, in a third of the time. For this package only."""
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
        """Drop the task's cached result, and say whether there was one. Takes both kinds of id."""
        return await self._cache.delete_by_entry_id(task_id)

    async def clear(self) -> None:
        """Drop every result.

        Raises:
            CacheUnavailableError: The storage did not answer; some results may be left.
            PrefixRequiredError: It is Redis without a prefix, where other people's keys would go too.
        """
        with as_worker_errors():
            await self._cache.clear()

    def temporarily_disabled(self) -> Suspension:
        """Return a context manager (``with`` or ``async with``): tasks added inside are not cached, whatever they say.

        It counts for everybody who uses this cache meanwhile. Blocks may be nested and overlap.
        """
        return self._cache.temporarily_disabled()

    async def start_cleanup_task(self) -> None:
        """Begin to sweep out stale mappings every *cleanup_interval* seconds. Twice, or with 0, does nothing."""
        await self._cache.start_cleanup_task()

    async def stop_cleanup_task(self) -> None:
        """End that, and wait until it has ended."""
        await self._cache.stop_cleanup_task()

    async def acquire_cleanup(self, worker: object) -> None:
        """Sweep as long as one of several workers runs. For this package only."""
        self._users.add(worker)
        await self.start_cleanup_task()

    async def release_cleanup(self, worker: object) -> None:
        """Take one of them off the list. For this package only."""
        self._users.discard(worker)
        if not self._users:
            await self.stop_cleanup_task()

    async def aclose(self) -> None:
        """End the sweeps, wait for what is under way, close a Redis client of the adapter's own making."""
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
