"""CacheService: the result cache of one worker.

The cache is created, and :mod:`async_cache` imported, when it is first needed: a worker that
caches nothing does not pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from ..model.event_loop import spawn
from ..model.functions import CacheKeyFunction, TaskCallable, unregistered
from ..model.options import WorkerOptions
from ..model.outcome import Outcome
from ..model.record import TaskRecord
from ..model.registry import key_function_of
from ..model.validation import CacheOptions, checked_metadata
from .lookup import CacheContext, CacheLookup

if TYPE_CHECKING:
    from .adapter import AsyncCacheAdapter

CLEANUP_INTERVAL: Final = 900.0
"""Seconds between two sweeps of stale mappings, by default."""

SHUTDOWN_GRACE: Final = 0.25
"""Seconds that background tasks of the cache may still take when the worker stops."""


def resolve_adapter(options: WorkerOptions, result_storage: Callable[[int | None], object]) -> object:
    """Return the adapter that the option *cache_adapter* names, None for memory; an object is returned as it is.

    Raises:
        ValueError: The name is unknown, or it is ``"sqlite"`` and the tasks are not in a file.
    """
    adapter = options.cache_adapter
    if not isinstance(adapter, str):
        return adapter
    if adapter == "sqlite":
        return result_storage(options.cache_max_size)
    if adapter == "memory":
        return None
    raise ValueError(
        f"cache_adapter {adapter!r} is unknown; there are 'memory' and 'sqlite', or give an AsyncCacheAdapter "
        "or any other CacheAdapter"
    )


class CacheService:
    """Creates the cache of a worker, makes the lookups of its tasks, and runs its sweeps.

    Args:
        options: The worker's options.
        adapter: An ``AsyncCacheAdapter``, any ``CacheAdapter``, or None for one in memory.

    Raises:
        TypeError: *adapter* is not a cache adapter.
    """

    def __init__(self, options: WorkerOptions, adapter: object) -> None:
        enabled = options.cache_enabled
        self._options = options
        self._cache: AsyncCacheAdapter | None = None
        self._context: CacheContext
        self._default_on = adapter is None or enabled  # whether the cache's switch counts for a task without use_cache
        self._shared = False  # whether the user gave an AsyncCacheAdapter, which other workers may use, too
        self._loop: asyncio.AbstractEventLoop | None = None  # set exactly while the worker takes tasks
        if enabled or adapter is not None:
            self._make(adapter)

    @property
    def exists(self) -> bool:
        """Whether a cache has been created."""
        return self._cache is not None

    @property
    def cache(self) -> AsyncCacheAdapter:
        """The cache; creates one if there is none."""
        return self._make(None) if self._cache is None else self._cache

    def lookup_for(self, record: TaskRecord, options: CacheOptions | None) -> CacheLookup | None:
        """Return the cache lookup of a new task; None if it goes without the cache.

        Args:
            record: The task.
            options: What the call says about the cache; None for nothing.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one cannot be used.
        """
        use, ttl, key_fn = (None, None, None) if options is None else options
        if record.func is unregistered:
            return None  # a key needs the function
        adapter = self._make(None) if self._cache is None else self._cache
        context = self._context
        cache = context.cache
        if not (self._default_on and cache.is_active if use is None else use and not cache.is_suspended):
            return None
        key_fn = key_fn or record.function.cache_key_fn or self._options.cache_key_fn
        func = record.func
        entry_id = adapter.entry_id_of(record)
        key = cache.key_for(
            func, record.args, record.kwargs, key_fn=key_fn, entry_id=entry_id, metadata=record.metadata
        )
        if key is None:
            return None
        if ttl is None and self._shared and cache.default_ttl is None:
            ttl = self._options.cache_ttl
        return CacheLookup(context, key, ttl, entry_id, record.id, key_fn is not None)

    async def invalidate(
        self,
        func: TaskCallable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key_fn: CacheKeyFunction | None,
        metadata: Mapping[Any, Any] | None,
    ) -> bool:
        """Drop the cached result of a call; return whether there was one."""
        metadata = None if metadata is None else checked_metadata(metadata)
        if self._cache is None:
            return False
        cache = self._context.cache
        key_fn = key_fn or key_function_of(func) or self._options.cache_key_fn
        key = cache.key_for(func, args, kwargs, key_fn=key_fn, metadata=metadata)
        return key is not None and await cache.delete(key, timeout=self._options.cache_timeout)

    async def clear(self) -> None:
        """Drop every cached result."""
        if self._cache is not None:
            await self._cache.clear()

    async def start(self) -> None:
        """Start the sweeps on the running event loop."""
        self._loop = asyncio.get_running_loop()
        if self._cache is not None and self._options.sweep_interval != 0:
            await self._cache.acquire_cleanup(self)

    async def stop(self) -> None:
        """Stop the sweeps and wait up to 0.25 s for background tasks. A cache given by the user stays open."""
        self._loop = None
        if self._cache is None:
            return
        await self._cache.release_cleanup(self)
        loop = asyncio.get_running_loop()
        work = {task for task in self._context.background_tasks if task.get_loop() is loop}
        if not self._shared:
            work.add(spawn(self._cache.aclose()))
        if work:
            _, late = await asyncio.wait(work, timeout=SHUTDOWN_GRACE)
            for task in late:
                task.cancel()

    def _make(self, adapter: Any) -> AsyncCacheAdapter:
        from async_cache import Flights, MemoryCacheAdapter  # noqa: PLC0415 - only workers that cache pay for it

        from .adapter import AsyncCacheAdapter  # noqa: PLC0415 - it imports async_cache

        options = self._options
        if isinstance(adapter, AsyncCacheAdapter):
            cache, self._shared = adapter, True
        else:
            memory = MemoryCacheAdapter(options.cache_max_size, clock=options.clock.monotonic)
            cache = AsyncCacheAdapter(
                options.cache_ttl,
                enabled=options.cache_enabled or adapter is not None,
                cleanup_interval=CLEANUP_INTERVAL if options.sweep_interval is None else options.sweep_interval,
                adapter=memory if adapter is None else adapter,
            )
            cache.key_fn = options.cache_key_fn
        store = cache._cache  # noqa: SLF001 - a documented attribute
        flights: Flights[Outcome] | None = Flights(store.count_coalesced) if self._options.coalesce else None
        self._cache = cache
        self._context = CacheContext(store, self._options.cache_timeout, flights)
        if self._loop is not None and not self._loop.is_closed():
            work = self._context.background_tasks
            upkeep = spawn(self.start())
            work.add(upkeep)
            upkeep.add_done_callback(work.discard, context=Context())
        return cache
