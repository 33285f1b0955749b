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


SCALARS: Final = frozenset({str, int, float, bool, bytes, complex, type(None)})
"""Types whose values nobody can change."""


class Access:
    """What the tickets of one worker share.

    Args:
        cache: The cache.
        timeout: Seconds it may take of one task, in all.
        flights: Where tasks of the same key find each other; None if each is to run by itself.

    Attributes:
        local: Whether its entries are in this process, so that asking takes no time.
        spent: What is left of the tickets of all finished tasks whose function was called, and of the others.
        work: Asyncio Tasks that go on by themselves, to be waited for when the worker stops.
    """

    def __init__(self, cache: AsyncCache, timeout: float, flights: Flights[Outcome] | None) -> None:
        self.cache = cache
        self.timeout = timeout
        self.flights = flights
        self.local = cache.is_local
        self.spent = Ticket(self, "", None, "", ""), Ticket(self, "", None, "", "")
        self.spent[True].from_cache = True
        self.work: set[asyncio.Task[Any]] = set()


class CoalescingMember(Protocol):
    """A task's membership in a group of coalesced tasks."""

    def enter(self) -> None:
        """Mark the current context as part of the task."""

    def ended(self, outcome: Outcome, ticket: Ticket) -> None:
        """Pass on what became of the task."""


class Ticket:
    """Made when a task is added that is to be cached.

    Attributes:
        access: The way to the cache.
        key: What its result is stored under.
        member: Its membership among tasks of the same key; None if it has none.
        from_cache: Whether its result was known before, or shared with another task.
        private: Whether what becomes of it says nothing about its key: it was told to stop, or runs
            with other arguments than it was added with.
        snapshot: Its result held still, once there is one to be stored.
    """

    __slots__ = (
        "_custom",
        "_entry_id",
        "_taken",
        "_task_id",
        "_ttl",
        "access",
        "from_cache",
        "key",
        "member",
        "private",
        "snapshot",
    )

    def __init__(
        self, access: Access, key: str, ttl: float | None, entry_id: str, task_id: str, custom: bool = False
    ) -> None:
        self.access = access
        self.key = key
        self.member: CoalescingMember | None = None
        self.from_cache = self.private = False
        self.snapshot: Snapshot | None = None
        self._ttl = ttl
        self._entry_id = entry_id
        self._task_id = task_id
        self._custom = custom
        self._taken: float | None = None  # seconds it took to ask for it, once that is done

    def lookup_nowait(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if it is known in this process, else ``(False, None)``."""
        if not self.access.local:
            return False, None
        again = self._taken is not None
        found = self.access.cache.lookup_nowait(self.key, entry_id=self._entry_id, alias=self._task_id, again=again)
        self._taken = 0.0
        self.from_cache = found[0]
        return found

    async def look(self) -> tuple[bool, Any]:
        """Return ``(True, result)`` if it is known, wherever that is, else ``(False, None)``."""
        if self.access.local:
            return self.lookup_nowait()
        loop, access = asyncio.get_running_loop(), self.access
        begun = loop.time()
        found = await access.cache.lookup(
            self.key,
            entry_id=self._entry_id,
            alias=self._task_id,
            ttl=self._ttl,
            again=self._taken is not None,
            timeout=access.timeout,
        )
        self._taken = loop.time() - begun
        self.from_cache = found[0]
        return found

    async def keep(self, result: object) -> None:
        """Have *result* stored. What takes too long goes on without the task; being cancelled is too late now."""
        access = self.access
        self.snapshot = snapshot = access.cache.snapshot(result)
        if access.local:
            access.cache.store_nowait(self.key, snapshot, self._ttl, entry_id=self._entry_id, alias=self._task_id)
        elif snapshot is not None:
            storing = spawn(
                access.cache.store(
                    self.key,
                    snapshot,
                    self._ttl,
                    entry_id=self._entry_id,
                    alias=self._task_id,
                    timeout=access.timeout,
                ),
                context=copy_context(),  # an adapter of the user's may read it, as it may when it is asked
            )
            access.work.add(storing)
            storing.add_done_callback(access.work.discard, context=Context())
            with suppress(asyncio.CancelledError):
                await asyncio.wait([storing], timeout=max(access.timeout - (self._taken or 0.0), 0.0))

    def board(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """Begin to run: what the task adds from here on never waits for it.

        If an argument, or what the function is bound to, was changed since the task was added, its result does not
        belong under its key. Whether it does under a key of the user's own is up to them.
        """
        if (
            not self._custom
            and not _fixed(func, args, kwargs)
            and self.access.cache.key_for(func, args, kwargs) != self.key
        ):
            self.private = True
        if self.member is not None:
            self.member.enter()

    def shared(self) -> None:
        """Note that the task got its result from another of the same key, and let its ids stand for it too."""
        self.from_cache = True
        self.access.cache.link(self.key, self._entry_id, self._task_id)

    def ended(self, outcome: Outcome) -> Ticket:
        """Pass on what became of the task, and return what stands for its ticket from now on: a spent one."""
        if (member := self.member) is not None:
            self.member = None
            member.ended(outcome, self)
        return self.access.spent[self.from_cache]

    def forget(self, task_id: str) -> None:
        """Drop the ids that the result of a task goes by: the task is forgotten."""
        self.access.cache.forget(task_id)


def _fixed(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
    """Whether nobody can change what the key was made of: a function bound to nothing, values of such types."""
    if type(func) is not FunctionType or not SCALARS.issuperset(map(type, args)):
        return False
    values = (*(kwargs or {}).values(), *(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
    return SCALARS.issuperset(map(type, values))
