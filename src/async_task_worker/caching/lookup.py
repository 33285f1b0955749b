"""CacheLookup: the key and state of one task's use of the result cache.

Errors of a cache never reach the task: a fault is a miss, and all that the cache does for one
task takes at most its timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from ..model.event_loop import spawn
from ..model.outcome import Outcome
from ..model.record import TaskRecord

if TYPE_CHECKING:  # a worker without a cache does not pay for the import
    from async_cache import AsyncCache, Flights, Snapshot


IMMUTABLE_TYPES: Final = frozenset({str, int, float, bool, bytes, complex, type(None)})
"""Types whose values cannot change: a key made of them stays valid."""


class CacheContext:
    """What all cache lookups of one worker share.

    Args:
        cache: The cache.
        timeout: Seconds the cache may take for one task, in all.
        flights: Groups of tasks with the same key; None if tasks are not coalesced.

    Attributes:
        local: Whether the entries are in this process, so that a lookup does not wait.
        finished_lookups: Replace the lookups of finished tasks: ``[False]`` for tasks whose function
            was called, ``[True]`` for those with a cached or shared result.
        background_tasks: Asyncio Tasks that the worker waits for when it stops.
    """

    def __init__(self, cache: AsyncCache, timeout: float, flights: Flights[Outcome] | None) -> None:
        self.cache = cache
        self.timeout = timeout
        self.flights = flights
        self.local = cache.is_local
        self.finished_lookups = CacheLookup(self, "", None, "", ""), CacheLookup(self, "", None, "", "")
        self.finished_lookups[True].from_cache = True
        self.background_tasks: set[asyncio.Task[Any]] = set()


class CoalescingMember(Protocol):
    """A task's membership in a group of coalesced tasks."""

    def enter(self) -> None:
        """Mark the current context as part of the task."""

    def finish(self, outcome: Outcome, lookup: CacheLookup) -> None:
        """Share the outcome of the task with the other members, or leave them."""


class CacheLookup:
    """The cache key of a task and what it needs to look up and store its result.

    Attributes:
        context: The cache, and what all lookups of a worker share.
        key: The key its result is stored under.
        member: Its membership in a group of coalesced tasks; None if it is in none.
        from_cache: Whether its result came from the cache or from another task.
        unshareable: Whether its outcome does not hold for other tasks of its key: it was interrupted,
            or its arguments have changed since it was added.
        snapshot: An unchangeable copy of its result, once there is one to store.
    """

    __slots__ = (
        "_custom",
        "_entry_id",
        "_taken",
        "_task_id",
        "_ttl",
        "context",
        "from_cache",
        "key",
        "member",
        "snapshot",
        "unshareable",
    )

    def __init__(
        self, context: CacheContext, key: str, ttl: float | None, entry_id: str, task_id: str, custom: bool = False
    ) -> None:
        self.context = context
        self.key = key
        self.member: CoalescingMember | None = None
        self.from_cache = self.unshareable = False
        self.snapshot: Snapshot | None = None
        self._ttl = ttl
        self._entry_id = entry_id
        self._task_id = task_id
        self._custom = custom
        self._taken: float | None = None  # seconds the lookup took, once it is done

    def lookup_nowait(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if the result is cached in this process, else ``(False, None)``."""
        if not self.context.local:
            return False, None
        again = self._taken is not None
        found = self.context.cache.lookup_nowait(self.key, entry_id=self._entry_id, alias=self._task_id, again=again)
        self._taken = 0.0
        self.from_cache = found[0]
        return found

    async def lookup(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if the result is cached, else ``(False, None)``."""
        if self.context.local:
            return self.lookup_nowait()
        loop, context = asyncio.get_running_loop(), self.context
        begun = loop.time()
        found = await context.cache.lookup(
            self.key,
            entry_id=self._entry_id,
            alias=self._task_id,
            ttl=self._ttl,
            again=self._taken is not None,
            timeout=context.timeout,
        )
        self._taken = loop.time() - begun
        self.from_cache = found[0]
        return found

    async def store(self, result: object) -> None:
        """Store *result*; from the timeout on, in the background. A cancellation is ignored, since the task is done."""
        context = self.context
        self.snapshot = snapshot = context.cache.snapshot(result)
        if context.local:
            context.cache.store_nowait(self.key, snapshot, self._ttl, entry_id=self._entry_id, alias=self._task_id)
        elif snapshot is not None:
            storing = spawn(
                context.cache.store(
                    self.key,
                    snapshot,
                    self._ttl,
                    entry_id=self._entry_id,
                    alias=self._task_id,
                    timeout=context.timeout,
                ),
                context=copy_context(),  # a user's adapter may read context variables, as in a lookup
            )
            context.background_tasks.add(storing)
            storing.add_done_callback(context.background_tasks.discard, context=Context())
            with suppress(asyncio.CancelledError):
                await asyncio.wait([storing], timeout=max(context.timeout - (self._taken or 0.0), 0.0))

    def start(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """Mark the start of the function: tasks that it adds never follow this one.

        If an argument, or the object that the function is bound to, has changed since the task was added,
        its result does not belong under its key. With a key function of the user's, that is not checked.
        """
        if (
            not self._custom
            and not _arguments_immutable(func, args, kwargs)
            and self.context.cache.key_for(func, args, kwargs) != self.key
        ):
            self.unshareable = True
        if self.member is not None:
            self.member.enter()

    def mark_shared(self) -> None:
        """Note that the task got its result from another task, and link its ids to the cached entry."""
        self.from_cache = True
        self.context.cache.link(self.key, self._entry_id, self._task_id)

    def finish(self, outcome: Outcome) -> CacheLookup:
        """Share the outcome with other members, and return the shared lookup that replaces this one."""
        if (member := self.member) is not None:
            self.member = None
            member.finish(outcome, self)
        return self.context.finished_lookups[self.from_cache]

    def forget(self, task_id: str) -> None:
        """Drop the ids that the cached entry is known by: the ledger has dropped the task."""
        self.context.cache.forget(task_id)


def _arguments_immutable(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
    """Return whether all that a key is made of is immutable: an unbound function and values of immutable types."""
    if type(func) is not FunctionType or not IMMUTABLE_TYPES.issuperset(map(type, args)):
        return False
    values = (*(kwargs or {}).values(), *(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
    return IMMUTABLE_TYPES.issuperset(map(type, values))


def lookup_of(record: TaskRecord) -> CacheLookup:
    """Return the cache lookup of a task that has one."""
    return cast("CacheLookup", record.cache_lookup)
