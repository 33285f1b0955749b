"""The cache itself: keys, entry ids, enabling and disabling, single-flight and periodic cleanup, for any storage."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, cast

from .adapters.base import MISS
from .adapters.memory import MAX_SIZE
from .base_cache import MAX_SERIALIZED_SIZE, BaseCache
from .exceptions import CorruptError, UncacheableError, describe
from .keys import KeyFunction, context_of, default_keys, func_name_of, validate_key
from .periodic import Sweeper
from .single_flight import Flights, FlightWaiter, Membership
from .snapshot import Snapshot
from .validation import checked_seconds, checked_ttl

Compute = Callable[[], Awaitable[Any]]
SharedResult = Snapshot | Exception
"""The outcome of a shared computation: a snapshot of its value, or its error."""

CLEANUP_INTERVAL: Final = 900.0
"""Seconds between two sweeps by default."""


class Suspension(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """Active while code runs in ``with suspension:`` or ``async with suspension:`` blocks.

    It counts the blocks, so they may be nested and may overlap, in one task or in several.
    """

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1

    async def __aenter__(self) -> None:
        self.depth += 1

    async def __aexit__(self, *_: object) -> None:
        self.depth -= 1


class AsyncCache(BaseCache):
    """A cache of results, by key and by the entry ids that callers link to them.

    ``get``, ``set`` and ``get_or_compute`` do nothing while the cache is disabled (*enabled*,
    :meth:`temporarily_disabled`); ``lookup`` and ``store`` work all the same, for callers that
    have checked this already; deleting always works. A faulty or slow storage neither raises
    an error nor delays a call beyond *timeout*: a fault is a miss, counted and logged.

    Args:
        adapter: The storage: one of :mod:`async_cache.adapters`, or any object with the four
            methods of :class:`~async_cache.CacheAdapter`. None for memory.
        default_ttl: Time to live in seconds of entries stored with a ttl of None; None for no expiry.
        enabled: Whether ``get`` finds and ``set`` stores anything.
        max_serialized_size: Maximum size of an encoded value in bytes; a larger one is not stored. None for any size.
        validate_keys: Whether :meth:`key_for` refuses keys that are not a str of 1 to 512
            bytes without control characters.
        cleanup_interval: Seconds between the sweeps that :meth:`start_cleanup_task` starts; 0 for none.
        max_size: Number of entries to keep in memory, if *adapter* is None; None for any number.
        timeout: Seconds an operation of the adapter may take; None for 0.2, or for the timeout
            of a Redis adapter.
        clock: Returns monotonic time in seconds, if *adapter* is None.
        skip_parameters: Names of parameters that default keys ignore.

    Raises:
        TypeError: *adapter* lacks a method, or a number has the wrong type.
        ValueError: A number is negative or NaN.
    """

    def __init__(  # noqa: PLR0913 - the documented options, by keyword
        self,
        adapter: Any = None,
        *,
        default_ttl: float | None = None,
        enabled: bool = True,
        max_serialized_size: int | None = MAX_SERIALIZED_SIZE,
        validate_keys: bool = False,
        cleanup_interval: float = CLEANUP_INTERVAL,
        max_size: int | None = MAX_SIZE,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        skip_parameters: Iterable[str] = (),
    ) -> None:
        super().__init__(adapter, default_ttl, max_serialized_size, max_size, timeout, clock)
        self.enabled = enabled
        self.validate_keys = validate_keys
        self._default_keys = default_keys(frozenset(skip_parameters))
        self._default_key = self._default_keys.key
        self._suspension = Suspension()
        self._sweeper = Sweeper(self.sweep, checked_seconds("cleanup_interval", cleanup_interval))
        self.flights: Flights[SharedResult] = Flights(self.count_coalesced)

    @property
    def cleanup_interval(self) -> float:
        """Seconds between two sweeps; 0 for none. A change takes effect at once.

        Raises:
            TypeError: It was set to what is not a number.
            ValueError: It was set to a negative number or NaN.
        """
        return self._sweeper.interval

    @cleanup_interval.setter
    def cleanup_interval(self, seconds: float) -> None:
        self._sweeper.interval = checked_seconds("cleanup_interval", seconds)

    @property
    def is_suspended(self) -> bool:
        """Whether code runs in a block of :meth:`temporarily_disabled`."""
        return self._suspension.depth > 0

    @property
    def is_active(self) -> bool:
        """Whether ``get`` and ``set`` do anything: the cache is enabled and not temporarily disabled."""
        return self.enabled and not self._suspension.depth

    @property
    def task_key_map(self) -> Mapping[str, str]:
        """A live, read-only mapping of entry ids to keys. Empty with Redis, which keeps the ids itself."""
        return self._store.ids.keys

    @property
    def entry_key_map(self) -> Mapping[str, str]:
        """Another name of :attr:`task_key_map`."""
        return self.task_key_map

    def key_for(
        self,
        func: Callable[..., Any] | str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key_fn: KeyFunction | None = None,
        entry_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Return the key of a call; return None, count it and log a warning once, if the call cannot be cached.

        Args:
            func: The function, or its name.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            key_fn: Returns the key for the context of the call. If it raises an error or does
                not return a str, there is no key. None for the default key, which distinguishes
                functions, types and values, and is equal for equivalent calls: arguments are
                bound to parameters, defaults are filled in.
            entry_id: Part of the context.
            metadata: Part of the context.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is invalid.
        """
        try:
            if key_fn is None:
                return self._default_key(func, args, kwargs)
            key: object = key_fn(context_of(func, args, kwargs or {}, entry_id, metadata, self._default_keys))
        except Exception as error:  # noqa: BLE001 - an error of a user's key function must not prevent the call
            self._record_bypass(func, key_fn, error)
            return None
        if self.validate_keys:
            return self._validate(key)
        if isinstance(key, str):
            return key
        self._record_bypass(func, key_fn, TypeError(f"{type(key)} instead of str"))
        return None

    def _validate(self, key: object) -> str:
        """Return the key if it is valid, else raise an error. A subclass may raise an error of another class."""
        return validate_key(key)

    def _record_bypass(self, func: object, key_fn: KeyFunction | None, error: Exception) -> None:
        if key_fn is None and issubclass(type(error), UncacheableError):
            culprit, message = cast("UncacheableError", error).kind.__qualname__, str(error)
        else:
            culprit = f"key function {func_name_of(key_fn)}" if key_fn else describe(error).partition(":")[0]
            message = f"{culprit}: {describe(error)}"
        self._counters.bypass(culprit)
        self._warnings.warn("key " + culprit, "cache: %s is called uncached: %s", func_name_of(func), message)

    async def get(self, key: str, *, entry_id: str | None = None, alias: str | None = None) -> tuple[bool, Any]:
        """Return ``(True, value)``, or ``(False, None)`` if there is no entry or the cache is disabled.

        Args:
            key: A key from :meth:`key_for`, or any text.
            entry_id: On a hit, this id is linked to the entry.
            alias: A second id to link.
        """
        if not self.is_active:
            return MISS
        if self._memory is not None:
            return self.lookup_nowait(key, entry_id=entry_id, alias=alias)
        return await self.lookup(key, entry_id=entry_id, alias=alias)

    async def set(
        self,
        key: str,
        value: Any,
        ttl: float | None = None,
        *,
        entry_id: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """Store a copy of *value*, unless the cache is disabled; return whether it was stored.

        Args:
            key: A key from :meth:`key_for`, or any text.
            value: Any value. One that cannot be copied faithfully, or is too large, is not stored.
            ttl: Seconds to live, fractions allowed; None for the default, infinity for no expiry,
                zero or less: do not store.
            entry_id: Id to link to the entry.
            alias: A second id to link.

        Raises:
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
        """
        checked_ttl(ttl)
        if not self.is_active:
            return False
        if self._memory is not None:
            return self.store_nowait(key, self.snapshot(value), ttl, entry_id=entry_id, alias=alias)
        return await self.store(key, self.snapshot(value), ttl, entry_id=entry_id, alias=alias)

    async def get_or_compute(self, key: str, compute: Compute, ttl: float | None = None) -> Any:
        """Return the value under *key*; if there is none, return the result of ``await compute()`` and store it.

        Of several concurrent calls with one key, only the first calls *compute*: the others
        wait and get a copy of its value, or its error. If the first is cancelled, one of the
        others calls its own *compute*. While the cache is disabled, every call computes.

        Args:
            key: Any text.
            compute: Computes the value.
            ttl: As for :meth:`set`.

        Raises:
            TypeError: *ttl* is not a number.
            ValueError: *ttl* is NaN.
            Exception: Whatever *compute* raises.
        """
        checked_ttl(ttl)
        if not self.is_active:
            return await compute()
        if self.is_local:
            hit, value = self.lookup_nowait(key)
            if hit:
                return value
        waiter: FlightWaiter[SharedResult] = FlightWaiter()
        membership = self.flights.join(key, waiter)
        try:
            if membership.is_follower and (result := await waiter.future) is not None:
                return await _value_of(result, compute)
            return await self._lead(membership, key, compute, ttl)
        finally:
            membership.leave()

    async def _lead(self, membership: Membership[SharedResult], key: str, compute: Compute, ttl: float | None) -> Any:
        """Look up the value, or compute and store it, and share it with the followers."""
        with membership.as_leader():
            try:
                hit, value = MISS if self.is_local else await self.lookup(key)
                if not hit:
                    value = await compute()
            except Exception as error:
                membership.resolve(error)
                raise
        snapshot = None if hit and not membership.followers else self.snapshot(value)
        try:
            if not hit:
                await self.store(key, snapshot, ttl)
        finally:  # the value is known, so share it even if storing is cancelled
            _ = membership.dissolve() if snapshot is None else membership.resolve(snapshot)
        return value

    async def delete(self, key: str, *, timeout: float | None = None) -> bool:
        """Delete the entry under *key*; return whether there was one. False if the storage did not answer.

        Args:
            key: Any text.
            timeout: Seconds it may take; None for the timeout of the cache.
        """
        return await self._store.delete(key, self._timeout if timeout is None else timeout)

    async def clear(self) -> None:
        """Delete every entry.

        Raises:
            CacheUnavailableError: The storage did not answer; some entries may be left.
            PrefixRequiredError: The storage is Redis without a prefix, where all other keys would be deleted too.
        """
        await self._store.clear()

    async def get_by_entry_id(self, entry_id: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry that an id or an alias is linked to, or ``(False, None)``.

        This ignores *enabled*, because an id is only given to callers that may find the entry, but
        not :meth:`temporarily_disabled`.
        """
        if self.is_suspended:
            return MISS
        key = await self._store.resolve(entry_id, self._timeout)
        return MISS if key is None else await self.lookup(key)

    async def delete_by_entry_id(self, entry_id: str) -> bool:
        """Delete the entry that an id or an alias is linked to; return whether there was one."""
        key = await self._store.resolve(entry_id, self._timeout)
        return key is not None and await self.delete(key)

    def link(self, key: str, entry_id: str, alias: str | None = None) -> None:
        """Link an id, and an alias, to an entry that has ids already. Does nothing if the storage keeps the ids."""
        if self._store.ids.ids_of(key):
            self._store.ids.link(entry_id, key, alias)

    def forget(self, entry_id: str) -> None:
        """Remove an id or an alias. The entry stays. In Redis, ids expire instead."""
        self._store.ids.forget(entry_id)

    def temporarily_disabled(self) -> Suspension:
        """Return a context manager (``with`` or ``async with``) in which nothing is found or stored.

        It affects all users of this cache. Blocks may be nested and may overlap.
        """
        return self._suspension

    async def start_cleanup_task(self) -> None:
        """Start to :meth:`sweep` every *cleanup_interval* seconds. Does nothing with 0, or if it runs already."""
        self._sweeper.start()

    async def stop_cleanup_task(self) -> None:
        """Stop the periodic sweeps, and wait until the Task has ended."""
        await self._sweeper.stop()

    async def sweep(self) -> None:
        """Delete expired entries, and ids of entries that no longer exist."""
        await self._store.sweep()

    async def aclose(self) -> None:
        """Stop the periodic sweeps and wait for operations in progress. The cache may be used again afterwards."""
        await self.stop_cleanup_task()
        await self._store.aclose()

    def count_coalesced(self) -> None:
        """Count a call that shares the result of another, for callers with their own :class:`Flights`."""
        self._counters.coalesced += 1


async def _value_of(result: SharedResult, compute: Compute) -> Any:
    if isinstance(result, Exception):
        raise result
    try:
        return result.value()
    except CorruptError:  # a value that was encoded but cannot be decoded cannot be shared
        return await compute()
