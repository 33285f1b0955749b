"""Identical work under way at the same time is done once, and nobody who leaves disturbs the others."""

from __future__ import annotations

import asyncio
import random
from contextvars import copy_context
from typing import Any

import pytest

from async_cache import AsyncCache, Flights, MemoryCacheAdapter, Seat
from async_cache.adapters.serializers import _Adapted
from tests.support.adapters import DictCache, TroubledCache, cancel_oneself, hang
from tests.support.waiting import settled


class Wish:
    """A rider that notes what it is told."""

    def __init__(self, flights: Flights[str], key: str = "key") -> None:
        self.told: list[str] = []
        self.seat: Seat[str] = flights.join(key, self)

    def lead(self) -> None:
        self.told.append("lead")

    def land(self, outcome: str) -> None:
        self.told.append(outcome)


def test_the_first_leads_and_the_others_follow() -> None:
    flights: Flights[str] = Flights()
    first, second, other = Wish(flights), Wish(flights), Wish(flights, "other")
    assert first.seat.leads
    assert not first.seat.follows
    assert second.seat.follows
    assert other.seat.leads
    assert second.seat.leader is first
    assert first.seat.followers == [second]


def test_an_outcome_reaches_every_follower_and_ends_the_flight() -> None:
    flights: Flights[str] = Flights()
    leader, *followers = [Wish(flights) for _ in range(3)]
    assert leader.seat.land("done")
    assert [wish.told for wish in followers] == [["done"], ["done"]]
    assert leader.told == []
    assert len(flights) == 0
    assert Wish(flights).seat.leads


def test_only_the_leader_lands() -> None:
    flights: Flights[str] = Flights()
    leader, follower = Wish(flights), Wish(flights)
    assert not follower.seat.land("early")
    assert not follower.seat.disband()
    leader.seat.leave()
    assert not leader.seat.land("late")
    assert follower.told == ["lead"]


def test_a_leader_that_leaves_hands_over_to_the_first_follower() -> None:
    flights: Flights[str] = Flights()
    first, second, third = [Wish(flights) for _ in range(3)]
    first.seat.leave()
    assert second.seat.leads
    assert second.told == ["lead"]
    assert third.seat.leader is second
    second.seat.land("done")
    assert third.told == ["done"]


def test_a_follower_that_leaves_touches_nobody() -> None:
    flights: Flights[str] = Flights()
    leader, follower, other = [Wish(flights) for _ in range(3)]
    follower.seat.leave()
    follower.seat.leave()
    leader.seat.land("done")
    assert follower.told == []
    assert other.told == ["done"]


def test_the_last_to_leave_ends_the_flight() -> None:
    flights: Flights[str] = Flights()
    leader, follower = Wish(flights), Wish(flights)
    follower.seat.leave()
    leader.seat.leave()
    leader.seat.leave()
    assert len(flights) == 0
    assert leader.seat.leader is None


def test_without_an_outcome_to_share_everybody_does_the_work() -> None:
    flights: Flights[str] = Flights()
    leader, *followers = [Wish(flights) for _ in range(3)]
    assert leader.seat.disband()
    assert [wish.told for wish in followers] == [["lead"], ["lead"]]
    assert not any(wish.seat.leads or wish.seat.follows for wish in followers)
    assert not followers[0].seat.land("nobody hears that")
    followers[0].seat.leave()
    assert len(flights) == 0


def test_somebody_may_join_the_next_flight_while_one_is_landing() -> None:
    flights: Flights[str] = Flights()
    leader = Wish(flights)
    again: list[Wish] = []

    class Joins(Wish):
        def land(self, outcome: str) -> None:
            again.append(Wish(flights))

    Joins(flights)
    leader.seat.land("done")
    assert again[0].seat.leads


def test_following_is_counted() -> None:
    counted: list[None] = []
    flights: Flights[str] = Flights(lambda: counted.append(None))
    for _ in range(3):
        Wish(flights)
    assert len(counted) == 2


def test_a_leader_that_asks_its_own_key_again_does_the_work_itself() -> None:
    flights: Flights[str] = Flights()
    leader = Wish(flights)
    with leader.seat.aboard():
        again = Wish(flights)
    assert not again.seat.follows
    assert not again.seat.leads
    assert Wish(flights).seat.follows


def test_work_never_follows_work_that_waits_for_it() -> None:
    """A waits for B, which waits for C: C must not wait for A."""
    flights: Flights[str] = Flights()
    a = Wish(flights, "a")
    with a.seat.aboard():
        b = Wish(flights, "b")
    with b.seat.aboard():
        c = Wish(flights, "c")
    with c.seat.aboard():
        assert not Wish(flights, "a").seat.follows


def test_two_leaders_that_follow_each_other_do_not_deadlock() -> None:
    flights: Flights[str] = Flights()
    a, b = Wish(flights, "a"), Wish(flights, "b")
    with a.seat.aboard():
        assert Wish(flights, "b").seat.follows
    with b.seat.aboard():
        assert not Wish(flights, "a").seat.follows


def test_what_has_landed_is_waited_for_no_longer() -> None:
    flights: Flights[str] = Flights()
    a, b = Wish(flights, "a"), Wish(flights, "b")
    with a.seat.aboard():
        Wish(flights, "b")
    b.seat.land("done")
    b = Wish(flights, "b")
    with b.seat.aboard():
        assert Wish(flights, "a").seat.follows


def test_a_context_remembers_its_flight_only_as_long_as_that_is_under_way() -> None:
    flights: Flights[str] = Flights()
    leader = Wish(flights)
    leader.seat.board()
    context = copy_context()
    leader.seat.land("done")
    Wish(flights)
    assert context.run(Wish, flights).seat.follows


async def test_a_hundred_callers_compute_once() -> None:
    cache = AsyncCache()
    calls: list[None] = []

    async def compute() -> list[int]:
        calls.append(None)
        await asyncio.sleep(1)
        return [1, 2]

    values = await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(100)))
    assert len(calls) == 1
    assert values == [[1, 2]] * 100
    assert len({id(value) for value in values}) == 100
    assert cache.statistics().coalesced == 99


async def test_everybody_gets_the_error_and_nothing_is_stored() -> None:
    cache = AsyncCache()

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("no such user")

    results = await asyncio.gather(*(cache.get_or_compute("key", fail) for _ in range(3)), return_exceptions=True)
    assert [repr(result) for result in results] == ["ValueError('no such user')"] * 3
    assert cache.statistics().size == 0


async def test_a_cancelled_leader_hands_over() -> None:
    cache = AsyncCache()
    calls: list[None] = []

    async def compute() -> str:
        calls.append(None)
        await asyncio.sleep(1)
        return "done"

    leader, *followers = [asyncio.create_task(cache.get_or_compute("key", compute)) for _ in range(3)]
    await settled()
    leader.cancel()
    assert await asyncio.gather(*followers) == ["done", "done"]
    assert len(calls) == 2


async def test_a_leader_out_of_time_hands_over() -> None:
    cache = AsyncCache()

    async def compute() -> str:
        await asyncio.sleep(1)
        return "done"

    async def impatient() -> None:
        async with asyncio.timeout(0.5):
            await cache.get_or_compute("key", compute)

    leader = asyncio.create_task(impatient())
    await settled()
    assert await cache.get_or_compute("key", compute) == "done"
    with pytest.raises(TimeoutError):
        await leader


async def test_a_follower_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    cache = AsyncCache()

    async def compute() -> str:
        await asyncio.sleep(1)
        return "done"

    tasks = [asyncio.create_task(cache.get_or_compute("key", compute)) for _ in range(3)]
    await settled()
    tasks[0].cancel()
    tasks[1].cancel()
    assert await tasks[2] == "done"
    assert len(cache.flights) == 0


async def test_a_value_that_cannot_be_copied_is_computed_by_each() -> None:
    cache = AsyncCache()

    async def compute() -> Any:
        await asyncio.sleep(1)
        return (n for n in "ab")

    values = await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(3)))
    assert len({id(value) for value in values}) == 3
    assert cache.statistics().refused["unencodable"] == 3


async def test_asking_a_slow_storage_is_part_of_what_is_shared() -> None:
    """Else whoever is told late that there is nothing would begin when the work is done already."""
    delays = iter([0.0, 0.1])

    class Slow(DictCache):
        async def get(self, key: str) -> tuple[bool, Any]:
            found = await super().get(key)
            await asyncio.sleep(next(delays, 0))
            return found

    cache = AsyncCache(Slow())
    calls: list[None] = []

    async def compute() -> list[int]:
        calls.append(None)
        return [1]

    both = await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(2)))
    assert both == [[1], [1]]
    assert await cache.get_or_compute("key", compute) == [1]
    assert len(calls) == 1


async def test_what_a_storage_has_is_had_by_all_who_ask_at_once() -> None:
    cache = AsyncCache(DictCache())
    await cache.set("key", [1])
    values = await asyncio.gather(*(cache.get_or_compute("key", cancel_oneself) for _ in range(3)))
    assert values == [[1]] * 3
    assert len({id(value) for value in values}) == 3


async def test_a_leader_cancelled_while_it_stores_has_the_value_already() -> None:
    adapter = TroubledCache()
    cache = AsyncCache(adapter)
    calls: list[None] = []

    async def compute() -> str:
        calls.append(None)
        adapter.trouble = hang
        await asyncio.sleep(0)
        return "done"

    leader, follower = [asyncio.create_task(cache.get_or_compute("key", compute)) for _ in range(2)]
    await settled()
    leader.cancel()
    assert await follower == "done"
    assert len(calls) == 1


async def test_a_value_that_is_encoded_but_not_decoded_is_computed_by_each() -> None:
    class OneWay:
        def encode(self, value: Any) -> bytes:
            return b"data"

        def decode(self, data: bytes) -> Any:
            raise KeyError(data)

    cache = AsyncCache(MemoryCacheAdapter())
    cache._memory._codec = _Adapted(OneWay().encode, OneWay().decode)  # as a serializer for Redis may be
    cache._memory._codec.is_immutable = lambda value: False

    async def compute() -> list[int]:
        await asyncio.sleep(1)
        return [1]

    assert await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(3))) == [[1]] * 3


async def test_work_that_asks_for_its_own_key_ends() -> None:
    cache = AsyncCache()

    async def outer() -> str:
        return "outer " + await cache.get_or_compute("key", inner)

    async def inner() -> str:
        return "inner"

    assert await cache.get_or_compute("key", outer) == "outer inner"


async def test_two_that_ask_for_each_other_end() -> None:
    cache = AsyncCache()

    async def compute(own: str, other: str) -> str:
        await asyncio.sleep(1)
        if other == "":
            return own
        return own + await cache.get_or_compute(other, lambda: compute(other, ""))

    both = (
        cache.get_or_compute("a", lambda: compute("a", "b")),
        cache.get_or_compute("b", lambda: compute("b", "a")),
    )
    assert await asyncio.gather(*both) == ["aba", "ba"]


@pytest.mark.schedules(30)
async def test_whatever_is_cancelled_whenever_everybody_else_gets_a_result() -> None:
    rng = random.Random(asyncio.get_running_loop().time())
    cache = AsyncCache(max_size=0)

    async def compute() -> int:
        for _ in range(rng.randrange(5)):
            await asyncio.sleep(0)
        return 7

    tasks = [asyncio.create_task(cache.get_or_compute(str(n % 3), compute)) for n in range(60)]
    for task in rng.sample(tasks, 30):
        await asyncio.sleep(0)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result == 7 or isinstance(result, asyncio.CancelledError) for result in results)
    assert len(cache.flights) == 0
