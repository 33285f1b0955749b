"""The front of the cache: keys, ids, switches, sharing and upkeep, whatever stores the entries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, cast

from .adapters.base import MISS
from .adapters.memory import MAX_SIZE
from .base_cache import MAX_SERIALIZED_SIZE, Entries
from .exceptions import CorruptError, UncacheableError, describe
from .keys import KeyFunction, context_of, default_keys, func_name_of, validated_key
from .periodic import Sweeper
from .single_flight import Flights, FlightWaiter, Membership
from .snapshot import Snapshot
from .validation import checked_seconds, checked_ttl

Compute = Callable[[], Awaitable[Any]]
SharedResult = Snapshot | Exception
"""The outcome of a shared computation: a snapshot of its value, or its error."""

CLEANUP_INTERVAL: Final = 900.0
"""Seconds between two sweeps unless told otherwise."""


class Pause(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """Holds while anybody is inside ``with pause:`` or ``async with pause:``.

    It counts who is inside, so blocks may be nested and may overlap, in one task or in several.
    """

    def __init__(self) -> None:
        self.inside = 0

    def __enter__(self) -> None:
        self.inside += 1

    def __exit__(self, *_: object) -> None:
        self.inside -= 1

    async def __aenter__(self) -> None:
        self.inside += 1

    async def __aexit__(self, *_: object) -> None:
        self.inside -= 1


class AsyncCache(Entries):
    """Results by key, and by the ids of those who computed them.

    ``get``, ``set`` and ``get_or_compute`` obey the switches (*enabled*,
    :meth:`temporarily_disabled`); ``lookup`` and ``store`` are for a caller who has
    decided already; deleting always works. None of them raises, or takes longer than
    *timeout*, because of the storage: its faults are misses, counted and warned about.

    Args:
        adapter: Where entries are kept: one of :mod:`async_cache.adapters`, or any object with the
            four methods of :class:`~async_cache.CacheAdapter`. None for one in memory.
        default_ttl: Seconds an entry lives whose ttl is None; None for ever.
        enabled: Whether ``get`` finds and ``set`` stores anything.
        max_serialized_size: Bytes a value may take, encoded; a larger one is not stored. None for any.
        validate_keys: Whether :meth:`key_for` refuses keys that are no str of 1 to 512
            bytes without control characters.
        cleanup_interval: Seconds between the sweeps that :meth:`start_cleanup_task` begins; 0 for none.
        max_size: Entries kept in memory, where no adapter is given; None for any number.
        timeout: Seconds an operation of the adapter may take; None for 0.2, or for what a
            Redis adapter was made with.
        clock: Tells monotonic time in seconds, where no adapter is given.
        skip_parameters: Names of parameters that are no part of default keys, whatever is given for them.

    Raises:
        TypeError: *adapter* lacks a method, or a number is none.
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
        self._pause = Pause()
        self._sweeper = Sweeper(self.sweep, checked_seconds("cleanup_interval", cleanup_interval))
        self.flights: Flights[SharedResult] = Flights(self.count_coalesced)

    @property
    def cleanup_interval(self) -> float:
        """Seconds between two sweeps; 0 for none. A change counts from the moment it is made.

        Raises:
            TypeError: It was set to what is not a number.
            ValueError: It was set to a negative number or NaN.
        """
        return self._sweeper.interval

    @cleanup_interval.setter
    def cleanup_interval(self, seconds: float) -> None:
        self._sweeper.interval = checked_seconds("cleanup_interval", seconds)

    @property
    def is_paused(self) -> bool:
        """Whether a block of :meth:`temporarily_disabled` is being run."""
        return self._pause.inside > 0

    @property
    def is_active(self) -> bool:
        """Whether ``get`` and ``set`` do anything: enabled, and not paused."""
        return self.enabled and not self._pause.inside

    @property
    def task_key_map(self) -> Mapping[str, str]:
        """Entry ids and the keys they stand for: a live, read-only view. Redis keeps its own."""
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
        """Return the key of a call, or None, counted and once warned about, if it is to go uncached.

        Args:
            func: The function, or its name.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            key_fn: Makes the key from the context of the call; what it returns is the key, to
                the letter. If it raises or returns no str, there is no key. None for
                the default key, which distinguishes functions, types and values, and is the same
                for calls that mean the same: arguments bound to parameters, defaults filled in.
            entry_id: For the context.
            metadata: For the context.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is none to be used.
        """
        try:
            if key_fn is None:
                return self._default_key(func, args, kwargs)
            key: object = key_fn(context_of(func, args, kwargs or {}, entry_id, metadata, self._default_keys))
        except Exception as error:  # noqa: BLE001 - code of the user's, and its call is to run all the same
            self._bypass(func, key_fn, error)
            return None
        if self.validate_keys:
            return self._validated(key)
        if isinstance(key, str):
            return key
        self._bypass(func, key_fn, TypeError(f"no str but {type(key)}"))
        return None

    def _validated(self, key: object) -> str:
        """Return the key if it is valid, else raise. A subclass may raise an error of its own."""
        return validated_key(key)

    def _bypass(self, func: object, key_fn: KeyFunction | None, error: Exception) -> None:
        if key_fn is None and issubclass(type(error), UncacheableError):
            blamed, trouble = cast("UncacheableError", error).kind.__qualname__, str(error)
        else:
            blamed = f"key function {func_name_of(key_fn)}" if key_fn else describe(error).partition(":")[0]
            trouble = f"{blamed}: {describe(error)}"
        self._tally.bypass(blamed)
        self._complaints.about("key " + blamed, "cache: %s is called uncached: %s", func_name_of(func), trouble)

    async def get(self, key: str, *, entry_id: str | None = None, alias: str | None = None) -> tuple[bool, Any]:
        """Return ``(True, value)`` or ``(False, None)``; the latter too while the cache is switched off.

        Args:
            key: What :meth:`key_for` returned, or any text.
            entry_id: On a hit this id stands for the entry from now on.
            alias: A second id that means the same.
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
        """Store a copy of *value*, unless the cache is switched off, and say whether that was done.

        Args:
            key: What :meth:`key_for` returned, or any text.
            value: Any value. One that has no faithful copy, or is too large, is not stored.
            ttl: Seconds to live, fractions too; None for the default, infinity for ever, zero
                and less: do not store.
            entry_id: This id stands for the entry from now on.
            alias: A second id that means the same.

        Raises:
            TypeError: *ttl* is no number.
            ValueError: *ttl* is NaN.
        """
        checked_ttl(ttl)
        if not self.is_active:
            return False
        if self._memory is not None:
            return self.store_nowait(key, self.snapshot(value), ttl, entry_id=entry_id, alias=alias)
        return await self.store(key, self.snapshot(value), ttl, entry_id=entry_id, alias=alias)

    async def get_or_compute(self, key: str, compute: Compute, ttl: float | None = None) -> Any:
        """Return the entry under *key*; without one, what ``await compute()`` returns, which is then stored.

        However many ask for one key at the same time, *compute* is called once: the others
        wait for it and get a copy of its value, or its error. If its caller is
        cancelled, one of the others calls its own. While the cache is switched off,
        everybody computes.

        Args:
            key: Any text.
            compute: Does the work.
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
                return await _shared(result, compute)
            return await self._lead(membership, key, compute, ttl)
        finally:
            membership.leave()

    async def _lead(self, membership: Membership[SharedResult], key: str, compute: Compute, ttl: float | None) -> Any:
        """Do the work for all: ask the storage, compute what it has not, and store that."""
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
        finally:  # cancelled or not: the value is there
            _ = membership.dissolve() if snapshot is None else membership.resolve(snapshot)
        return value

    async def delete(self, key: str, *, timeout: float | None = None) -> bool:
        """Drop the entry under *key*, and say whether there was one. False if the storage did not answer.

        Args:
            key: Any text.
            timeout: Seconds it may take; None for the cache's own.
        """
        return await self._store.delete(key, self._timeout if timeout is None else timeout)

    async def clear(self) -> None:
        """Drop every entry.

        Raises:
            CacheUnavailableError: The storage did not answer; some entries may be left.
            PrefixRequiredError: It is Redis without a prefix, where other people's keys would go too.
        """
        await self._store.clear()

    async def get_by_entry_id(self, entry_id: str) -> tuple[bool, Any]:
        """Return ``(True, value)`` for the entry that an id, or an alias, stands for, else ``(False, None)``.

        Who has an id was meant to find the entry, so *enabled* does not matter here; a pause does.
        """
        if self.is_paused:
            return MISS
        key = await self._store.resolve(entry_id, self._timeout)
        return MISS if key is None else await self.lookup(key)

    async def delete_by_entry_id(self, entry_id: str) -> bool:
        """Drop the entry that an id, or an alias, stands for, and say whether there was one."""
        key = await self._store.resolve(entry_id, self._timeout)
        return key is not None and await self.delete(key)

    def link(self, key: str, entry_id: str, alias: str | None = None) -> None:
        """Let an id, and an alias, stand for an entry that has ids already. Not where the storage keeps them."""
        if self._store.ids.ids_of(key):
            self._store.ids.link(entry_id, key, alias)

    def forget(self, entry_id: str) -> None:
        """Drop an id, or an alias, whose owner is gone. The entry stays; Redis drops ids by itself in time."""
        self._store.ids.forget(entry_id)

    def temporarily_disabled(self) -> Pause:
        """Return a context manager (``with`` or ``async with``) inside which nothing is found or stored.

        It counts for everybody who uses this cache meanwhile. Blocks may be nested and overlap.
        """
        return self._pause

    async def start_cleanup_task(self) -> None:
        """Begin to :meth:`sweep` every *cleanup_interval* seconds. With 0, or twice, nothing happens."""
        self._sweeper.start()

    async def stop_cleanup_task(self) -> None:
        """End that, and wait until it has ended."""
        await self._sweeper.stop()

    async def sweep(self) -> None:
        """Drop expired entries, and ids whose entries are gone."""
        await self._store.sweep()

    async def aclose(self) -> None:
        """End the sweeps and wait for what is under way. The cache may be used again afterwards."""
        await self.stop_cleanup_task()
        await self._store.aclose()

    def count_coalesced(self) -> None:
        """Count a call that shares the result of another, for flights of one's own."""
        self._tally.coalesced += 1


async def _shared(result: SharedResult, compute: Compute) -> Any:
    if isinstance(result, Exception):
        raise result
    try:
        return result.value()
    except CorruptError:  # it was encoded but cannot be decoded: there is nothing to share
        return await compute()
