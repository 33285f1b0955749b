"""Computing a value once for everybody who asks at the same time: flights, for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .flight import Flights, Seat
from .snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Returned:
    """The leader's work returned; *snapshot* makes a copy for each follower."""

    snapshot: Snapshot

    def value(self) -> Any:
        """Return a copy of the leader's value."""
        return self.snapshot.value()


@dataclass(frozen=True, slots=True)
class Raised:
    """The leader's work raised *error*."""

    error: Exception

    def value(self) -> Any:
        """Raise the leader's error."""
        raise self.error


Landing = Returned | Raised
Compute = Callable[[], Awaitable[Any]]
Keep = Callable[[Any], Awaitable[Snapshot | None]]


class Passenger:
    """A coroutine that waits for an outcome or for its turn to lead.

    Attributes:
        news: Becomes the outcome, or None when it is this one's turn.
    """

    def __init__(self) -> None:
        self.news: asyncio.Future[Landing | None] = asyncio.get_running_loop().create_future()

    def lead(self) -> None:
        """Hear that it is one's own turn."""
        if not self.news.done():
            self.news.set_result(None)

    def land(self, outcome: Landing) -> None:
        """Hear the outcome."""
        if not self.news.done():
            self.news.set_result(outcome)


async def shared(flights: Flights[Landing], key: str, compute: Compute, keep: Keep) -> Any:
    """Return what ``compute()`` returns, calling it once for all who ask for *key* at the same time.

    Args:
        flights: Whom to share with.
        key: What makes two calls the same.
        compute: Does the work.
        keep: Stores the value and returns a snapshot for the others; None if it cannot be copied.
    """
    passenger = Passenger()
    seat = flights.join(key, passenger)
    try:
        landing = await passenger.news if seat.follows else None
        return await _lead(seat, compute, keep) if landing is None else landing.value()
    finally:
        seat.leave()


async def _lead(seat: Seat[Landing], compute: Compute, keep: Keep) -> Any:
    with seat.aboard():
        try:
            value = await compute()
        except Exception as error:
            seat.land(Raised(error))
            raise
    snapshot = await keep(value)
    if snapshot is None:
        seat.disband()
    else:
        seat.land(Returned(snapshot))
    return value
