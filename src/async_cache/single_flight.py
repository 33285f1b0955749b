"""Single-flight: of several concurrent calls with the same key, one does the work for all.

The first member to join a key leads, later ones follow. The leader resolves the flight
with an outcome for every follower, or leaves, and the first follower leads instead.
Nothing here waits or runs anything: members are notified by calls, so a follower occupies
neither an asyncio Task nor a worker slot.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final, Generic, Protocol, TypeVar

Outcome = TypeVar("Outcome")
Outcome_contra = TypeVar("Outcome_contra", contravariant=True)


class FlightMember(Protocol[Outcome_contra]):
    """A caller that needs the outcome of a flight.

    Neither method may raise; for each membership, each is called at most once.
    """

    def become_leader(self) -> None:
        """Do the work: the leader left, or its outcome cannot be shared."""

    def receive(self, outcome: Outcome_contra) -> None:
        """Take the outcome of the leader's work."""


_NO_FOLLOWERS: Final[OrderedDict[Any, None]] = OrderedDict()
_NO_FLIGHTS: Final[set[Flight[Any]]] = set()


class Flight(Generic[Outcome]):
    """One piece of work in progress and the members that need its outcome.

    Attributes:
        table: All flights in progress, by key.
        key: Identifies the work.
        leader: Membership of the member that does the work; None once the flight has ended.
        followers: Memberships of those that wait, in the order in which they joined.
        dependencies: Flights that this flight's work waits for.
        dependents: Flights whose work waits for this one.
    """

    __slots__ = ("dependencies", "dependents", "followers", "key", "leader", "table")

    def __init__(self, table: dict[str, Flight[Outcome]], key: str) -> None:
        self.table = table
        self.key = key
        self.leader: Membership[Outcome] | None = None
        # Most flights have no followers and no dependencies, so all of these share the empty containers.
        self.followers: OrderedDict[Membership[Outcome], None] = _NO_FOLLOWERS
        self.dependencies = self.dependents = _NO_FLIGHTS

    def add_follower(self, membership: Membership[Outcome]) -> None:
        """Append a follower."""
        if self.followers is _NO_FOLLOWERS:
            self.followers = OrderedDict()
        self.followers[membership] = None

    def end(self) -> list[Membership[Outcome]]:
        """Remove the flight from the table and return its followers."""
        followers, self.followers, self.leader = list(self.followers), _NO_FOLLOWERS, None
        del self.table[self.key]
        for dependent in self.dependents:
            dependent.dependencies.discard(self)
        for dependency in self.dependencies:
            dependency.dependents.discard(self)
        self.dependencies = self.dependents = _NO_FLIGHTS
        return followers

    def add_dependency(self, other: Flight[Any]) -> None:
        """Record that this flight's work waits for *other*."""
        self.dependencies = self.dependencies or set()
        self.dependencies.add(other)
        other.dependents = other.dependents or set()
        other.dependents.add(self)

    def depends_on(self, other: Flight[Any]) -> bool:
        """Return whether this is *other*, or its work waits for *other*, directly or indirectly."""
        seen: set[Flight[Any]] = set()
        pending: list[Flight[Any]] = [self]
        while pending:
            flight = pending.pop()
            if flight is other:
                return True
            if flight not in seen:
                seen.add(flight)
                pending.extend(flight.dependencies)
        return False


_current_flight: Final[ContextVar[Flight[Any] | None]] = ContextVar("async_cache.current_flight", default=None)
"""The flight whose work the running code is part of."""


class Membership(Generic[Outcome]):
    """One member's part in a flight: leader, follower, or neither.

    Attributes:
        flight: The flight; None for a member that does the work by itself, without sharing it.
        member: The member.
    """

    __slots__ = ("flight", "member")

    def __init__(self, member: FlightMember[Outcome], flight: Flight[Outcome] | None) -> None:
        self.member = member
        self.flight = flight
        if flight is not None and flight.leader is None:
            flight.leader = self
        elif flight is not None:
            flight.add_follower(self)

    @property
    def is_leader(self) -> bool:
        """Whether the member does the work and others may wait for its outcome."""
        return self.flight is not None and self.flight.leader is self

    @property
    def is_follower(self) -> bool:
        """Whether the member waits for ``receive`` or ``become_leader`` to be called."""
        return self.flight is not None and self in self.flight.followers

    @property
    def leader(self) -> FlightMember[Outcome] | None:
        """The member that does the work of this flight; None if there is no flight, or it has ended."""
        membership = None if self.flight is None else self.flight.leader
        return None if membership is None else membership.member

    @property
    def followers(self) -> list[FlightMember[Outcome]]:
        """The members that wait for this leader, in the order in which they joined; empty unless this is a leader."""
        if self.flight is None or not self.is_leader:
            return []
        return [membership.member for membership in self.flight.followers]

    def resolve(self, outcome: Outcome) -> bool:
        """Pass *outcome* to every follower and end the flight.

        Returns False, and does nothing, unless this is the leader.
        """
        if self.flight is None or not self.is_leader:
            return False
        for membership in self.flight.end():
            membership.member.receive(outcome)
        return True

    def dissolve(self) -> bool:
        """End the flight without a shared outcome, so that every follower does the work by itself.

        Returns False, and does nothing, unless this is the leader.
        """
        if self.flight is None or not self.is_leader:
            return False
        for membership in self.flight.end():
            membership.flight = None
            membership.member.become_leader()
        return True

    def leave(self) -> None:
        """Leave the flight. If this was the leader, the first follower becomes the leader."""
        if self.flight is None:
            return
        if not self.is_leader:
            self.flight.followers.pop(self, None)
        elif self.flight.followers:
            self.flight.leader, _ = self.flight.followers.popitem(last=False)
            self.flight.leader.member.become_leader()
        else:
            self.flight.end()

    def enter(self) -> Token[Flight[Any] | None] | None:
        """Mark the current context as part of the leader's work, for a context that ends with that work."""
        return _current_flight.set(self.flight) if self.is_leader else None

    @contextmanager
    def as_leader(self) -> Iterator[None]:
        """Mark the code in the block as part of the leader's work."""
        token = self.enter()
        try:
            yield
        finally:
            if token is not None:
                _current_flight.reset(token)


class Flights(Generic[Outcome]):
    """The flights in progress, by key; for one event loop.

    Args:
        on_follow: Called each time a member becomes a follower.
    """

    def __init__(self, on_follow: Callable[[], None] | None = None) -> None:
        self._flights: dict[str, Flight[Outcome]] = {}
        self._on_follow = on_follow

    def __len__(self) -> int:
        """Return the number of flights in progress."""
        return len(self._flights)

    def __contains__(self, key: str) -> bool:
        """Return whether a flight with this key is in progress."""
        return key in self._flights

    def join(self, key: str, member: FlightMember[Outcome]) -> Membership[Outcome]:
        """Add *member* to the flight with this key and return its membership; the first to join leads.

        Code that is itself the work of a flight never follows a flight that waits for it,
        because the two would wait for each other. Such a member gets a membership without
        a flight and does the work by itself.
        """
        current = _current_flight.get()
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(self._flights, key)
        elif current is not None and flight.depends_on(current):
            return Membership(member, None)
        elif self._on_follow is not None:
            self._on_follow()
        if current is not None and current.leader is not None:
            current.add_dependency(flight)
        return Membership(member, flight)


class FlightWaiter(Generic[Outcome]):
    """A flight member that waits in a coroutine.

    Attributes:
        future: Resolves to the outcome, or to None if this member has become the leader.
    """

    def __init__(self) -> None:
        self.future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    def become_leader(self) -> None:
        """Resolve the future to None."""
        self._resolve(None)

    def receive(self, outcome: Outcome) -> None:
        """Resolve the future to *outcome*."""
        self._resolve(outcome)

    def _resolve(self, outcome: Outcome | None) -> None:
        if not self.future.done():
            self.future.set_result(outcome)
