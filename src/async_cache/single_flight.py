"""One call for many: identical work under way at the same time is done once.

Whoever comes first leads, the others follow. The leader lands with an outcome for all,
or leaves, and then one of the others leads. Nothing here waits or runs anything: riders
are told what to do by calls, so following occupies neither a Task nor a place to run.
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


class Rider(Protocol[Outcome_contra]):
    """Somebody who wants an outcome. Neither method may raise; both are called at most once per seat."""

    def lead(self) -> None:
        """Do the work yourself: it is your turn, or no outcome can be shared."""

    def land(self, outcome: Outcome_contra) -> None:
        """Take the outcome of the leader's work."""


_NOBODY: Final[OrderedDict[Any, None]] = OrderedDict()
_NOTHING: Final[set[Flight[Any]]] = set()


class Flight(Generic[Outcome]):
    """One piece of work under way and everybody who wants its outcome.

    Attributes:
        table: The flights under way, by key.
        key: What makes two pieces of work the same.
        leader: The seat of the one who does the work; None once the flight is over.
        followers: The seats of those who wait, first come first.
        awaits: The flights that work of this one waits for.
        awaited_by: The flights whose work waits for this one.
    """

    __slots__ = ("awaited_by", "awaits", "followers", "key", "leader", "table")

    def __init__(self, table: dict[str, Flight[Outcome]], key: str) -> None:
        self.table = table
        self.key = key
        self.leader: Seat[Outcome] | None = None
        # Most flights have no followers and wait for nothing: what is empty is shared by all.
        self.followers: OrderedDict[Seat[Outcome], None] = _NOBODY
        self.awaits = self.awaited_by = _NOTHING

    def admit(self, seat: Seat[Outcome]) -> None:
        """Let *seat* follow."""
        if self.followers is _NOBODY:
            self.followers = OrderedDict()
        self.followers[seat] = None

    def end(self) -> list[Seat[Outcome]]:
        """Take it off the table; return the seats of the followers."""
        followers, self.followers, self.leader = list(self.followers), _NOBODY, None
        del self.table[self.key]
        for waiting in self.awaited_by:
            waiting.awaits.discard(self)
        for awaited in self.awaits:
            awaited.awaited_by.discard(self)
        self.awaits = self.awaited_by = _NOTHING
        return followers

    def wait_for(self, other: Flight[Any]) -> None:
        """Note that work of this flight waits for *other*."""
        self.awaits = self.awaits or set()
        self.awaits.add(other)
        other.awaited_by = other.awaited_by or set()
        other.awaited_by.add(self)

    def waits_for(self, other: Flight[Any]) -> bool:
        """Whether this is *other*, or work of it waits for *other*, directly or not."""
        seen: set[Flight[Any]] = set()
        ahead: list[Flight[Any]] = [self]
        while ahead:
            flight = ahead.pop()
            if flight is other:
                return True
            if flight not in seen:
                seen.add(flight)
                ahead.extend(flight.awaits)
        return False


_aboard: Final[ContextVar[Flight[Any] | None]] = ContextVar("async_cache.aboard", default=None)
"""The flight whose work the running code is part of."""


class Seat(Generic[Outcome]):
    """One rider's place in a flight, or beside it.

    Attributes:
        flight: The flight; None for a rider who does the work alone.
        rider: Whose place it is.
    """

    __slots__ = ("flight", "rider")

    def __init__(self, rider: Rider[Outcome], flight: Flight[Outcome] | None) -> None:
        self.rider = rider
        self.flight = flight
        if flight is not None and flight.leader is None:
            flight.leader = self
        elif flight is not None:
            flight.admit(self)

    @property
    def leads(self) -> bool:
        """Whether the rider is to do the work, and others may wait for the outcome."""
        return self.flight is not None and self.flight.leader is self

    @property
    def follows(self) -> bool:
        """Whether the rider is to wait for :meth:`Rider.land` or :meth:`Rider.lead`."""
        return self.flight is not None and self in self.flight.followers

    @property
    def leader(self) -> Rider[Outcome] | None:
        """Who does the work of this flight; None when it is over, or there is none."""
        seat = None if self.flight is None else self.flight.leader
        return None if seat is None else seat.rider

    @property
    def followers(self) -> list[Rider[Outcome]]:
        """Who waits for this leader, first come first; empty for anybody else."""
        return [] if self.flight is None or not self.leads else [seat.rider for seat in self.flight.followers]

    def land(self, outcome: Outcome) -> bool:
        """Give *outcome* to every follower and end the flight. False, and nothing done, but for the leader."""
        if self.flight is None or not self.leads:
            return False
        for seat in self.flight.end():
            seat.rider.land(outcome)
        return True

    def disband(self) -> bool:
        """End the flight without an outcome to share: every follower does the work itself.

        False, and nothing done, but for the leader.
        """
        if self.flight is None or not self.leads:
            return False
        for seat in self.flight.end():
            seat.flight = None
            seat.rider.lead()
        return True

    def leave(self) -> None:
        """Give up the seat; nobody else is disturbed. If it led, the first follower leads from now on."""
        if self.flight is None:
            return
        if not self.leads:
            self.flight.followers.pop(self, None)
        elif self.flight.followers:
            self.flight.leader, _ = self.flight.followers.popitem(last=False)
            self.flight.leader.rider.lead()
        else:
            self.flight.end()

    def board(self) -> Token[Flight[Any] | None] | None:
        """Mark the current context as part of the leader's work; for a context that ends with it."""
        return _aboard.set(self.flight) if self.leads else None

    @contextmanager
    def aboard(self) -> Iterator[None]:
        """Mark what runs inside as part of the leader's work."""
        token = self.board()
        try:
            yield
        finally:
            if token is not None:
                _aboard.reset(token)


class Flights(Generic[Outcome]):
    """The flights under way, by key; for one event loop.

    Args:
        on_follow: Called whenever a rider follows another.
    """

    def __init__(self, on_follow: Callable[[], None] | None = None) -> None:
        self._flights: dict[str, Flight[Outcome]] = {}
        self._on_follow = on_follow

    def __len__(self) -> int:
        """How many flights are under way."""
        return len(self._flights)

    def __contains__(self, key: str) -> bool:
        """Whether there is one of that key to be joined."""
        return key in self._flights

    def join(self, key: str, rider: Rider[Outcome]) -> Seat[Outcome]:
        """Give *rider* a seat in the flight of that key; the first one leads.

        Work that is itself part of a flight never follows one that waits for it: the two
        would wait for each other. Such a rider gets a seat of its own and does the work.
        """
        within = _aboard.get()
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(self._flights, key)
        elif within is not None and flight.waits_for(within):
            return Seat(rider, None)
        elif self._on_follow is not None:
            self._on_follow()
        if within is not None and within.leader is not None:
            within.wait_for(flight)
        return Seat(rider, flight)


class Passenger(Generic[Outcome]):
    """A rider that is a coroutine.

    Attributes:
        news: Becomes the outcome, or None when it is this one's turn to lead.
    """

    def __init__(self) -> None:
        self.news: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    def lead(self) -> None:
        """Hear that it is one's own turn."""
        self._hear(None)

    def land(self, outcome: Outcome) -> None:
        """Hear the outcome."""
        self._hear(outcome)

    def _hear(self, news: Outcome | None) -> None:
        if not self.news.done():
            self.news.set_result(news)
