"""How one task goes through the result cache: what its result goes by, when to ask, when to store.

A cache can be wrong, slow or gone, and none of that reaches the task: a fault is a miss,
and what the cache takes in all is at most its timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..model.event_loop import spawn
from ..model.outcome import Outcome

if TYPE_CHECKING:  # a worker without a cache does not pay for the import
    from async_cache import AsyncCache, Flights, Snapshot


IMMUTABLE_TYPES: Final = frozenset({str, int, float, bool, bytes, complex, type(None)})
"""Types whose values nobody can change."""


class CacheContext:
    """What the tickets of one worker share.

    Args:
        cache: The cache.
        timeout: Seconds it may take of one task, in all.
        flights: Where tasks of the same key find each other; None if each is to run by itself.

    Attributes:
        local: Whether its entries are in this process, so that asking takes no time.
        finished_lookups: What all finished tasks share: those whose function was called, and the others.
        background_tasks: Asyncio Tasks that go on by themselves, to be waited for when the worker stops.
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
        """Pass on what became of the task."""


class CacheLookup:
    """Made when a task is added that is to be cached.

    Attributes:
        context: The way to the cache.
        key: What its result is stored under.
        member: Its membership among tasks of the same key; None if it has none.
        from_cache: Whether its result was known before, or shared with another task.
        unshareable: Whether what becomes of it says nothing about its key: it was told to stop, or runs
            with other arguments than it was added with.
        snapshot: Its result held still, once there is one to be stored.
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
        self._taken: float | None = None  # seconds it took to ask for it, once that is done

    def lookup_nowait(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if it is known in this process, else ``(False, None)``."""
        if not self.context.local:
            return False, None
        again = self._taken is not None
        found = self.context.cache.lookup_nowait(self.key, entry_id=self._entry_id, alias=self._task_id, again=again)
        self._taken = 0.0
        self.from_cache = found[0]
        return found

    async def lookup(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if it is known, wherever that is, else ``(False, None)``."""
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
        """Have *result* stored. What takes too long goes on without the task; being cancelled is too late now."""
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
                context=copy_context(),  # an adapter of the user's may read it, as it may when it is asked
            )
            context.background_tasks.add(storing)
            storing.add_done_callback(context.background_tasks.discard, context=Context())
            with suppress(asyncio.CancelledError):
                await asyncio.wait([storing], timeout=max(context.timeout - (self._taken or 0.0), 0.0))

    def start(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """Begin to run: what the task adds from here on never waits for it.

        If an argument, or what the function is bound to, was changed since the task was added, its result does not
        belong under its key. Whether it does under a key of the user's own is up to them.
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
        """Note that the task got its result from another of the same key, and let its ids stand for it too."""
        self.from_cache = True
        self.context.cache.link(self.key, self._entry_id, self._task_id)

    def finish(self, outcome: Outcome) -> CacheLookup:
        """Pass on what became of the task, and return what stands for its lookup from now on: a spent one."""
        if (member := self.member) is not None:
            self.member = None
            member.finish(outcome, self)
        return self.context.finished_lookups[self.from_cache]

    def forget(self, task_id: str) -> None:
        """Drop the ids that the result of a task goes by: the task is forgotten."""
        self.context.cache.forget(task_id)


def _arguments_immutable(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
    """Whether nobody can change what the key was made of: a function bound to nothing, values of such types."""
    if type(func) is not FunctionType or not IMMUTABLE_TYPES.issuperset(map(type, args)):
        return False
    values = (*(kwargs or {}).values(), *(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
    return IMMUTABLE_TYPES.issuperset(map(type, values))
