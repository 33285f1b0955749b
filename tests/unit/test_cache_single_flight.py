"""Single-flight: concurrent identical work is done once, and a member that leaves does not affect the others."""

from __future__ import annotations

import asyncio
import random
from contextvars import copy_context
from typing import Any

import pytest

from async_cache import AsyncCache, Flights, Membership, MemoryCacheAdapter
from async_cache.adapters.serializers import AdaptedSerializer
from tests.support.adapters import DictCache, TroubledCache, cancel_oneself, hang
from tests.support.waiting import settled


class RecordingMember:
    """A flight member that records the calls it gets."""

    def __init__(self, flights: Flights[str], key: str = "key") -> None:
        self.calls: list[str] = []
        self.membership: Membership[str] = flights.join(key, self)

    def become_leader(self) -> None:
        self.calls.append("become_leader")

    def receive(self, outcome: str) -> None:
        self.calls.append(outcome)


def test_the_first_leads_and_the_others_follow() -> None:
    flights: Flights[str] = Flights()
    first, second, other = RecordingMember(flights), RecordingMember(flights), RecordingMember(flights, "other")
    assert first.membership.is_leader
    assert not first.membership.is_follower
    assert second.membership.is_follower
    assert other.membership.is_leader
    assert second.membership.leader is first
    assert first.membership.followers == [second]


def test_an_outcome_reaches_every_follower_and_ends_the_flight() -> None:
    flights: Flights[str] = Flights()
    leader, *followers = [RecordingMember(flights) for _ in range(3)]
    assert leader.membership.resolve("done")
    assert [member.calls for member in followers] == [["done"], ["done"]]
    assert leader.calls == []
    assert len(flights) == 0
    assert RecordingMember(flights).membership.is_leader


def test_only_the_leader_resolves_a_flight() -> None:
    flights: Flights[str] = Flights()
    leader, follower = RecordingMember(flights), RecordingMember(flights)
    assert not follower.membership.resolve("early")
    assert not follower.membership.dissolve()
    leader.membership.leave()
    assert not leader.membership.resolve("late")
    assert follower.calls == ["become_leader"]


def test_when_the_leader_leaves_the_first_follower_becomes_the_leader() -> None:
    flights: Flights[str] = Flights()
    first, second, third = [RecordingMember(flights) for _ in range(3)]
    first.membership.leave()
    assert second.membership.is_leader
    assert second.calls == ["become_leader"]
    assert third.membership.leader is second
    second.membership.resolve("done")
    assert third.calls == ["done"]


def test_a_follower_that_leaves_does_not_affect_the_others() -> None:
    flights: Flights[str] = Flights()
    leader, follower, other = [RecordingMember(flights) for _ in range(3)]
    follower.membership.leave()
    follower.membership.leave()
    leader.membership.resolve("done")
    assert follower.calls == []
    assert other.calls == ["done"]


def test_the_flight_ends_when_its_last_member_leaves() -> None:
    flights: Flights[str] = Flights()
    leader, follower = RecordingMember(flights), RecordingMember(flights)
    follower.membership.leave()
    leader.membership.leave()
    leader.membership.leave()
    assert len(flights) == 0
    assert leader.membership.leader is None


def test_dissolving_a_flight_makes_every_follower_do_the_work() -> None:
    flights: Flights[str] = Flights()
    leader, *followers = [RecordingMember(flights) for _ in range(3)]
    assert leader.membership.dissolve()
    assert [member.calls for member in followers] == [["become_leader"], ["become_leader"]]
    assert not any(member.membership.is_leader or member.membership.is_follower for member in followers)
    assert not followers[0].membership.resolve("ignored")
    followers[0].membership.leave()
    assert len(flights) == 0


def test_a_member_may_join_a_new_flight_while_the_old_one_is_being_resolved() -> None:
    flights: Flights[str] = Flights()
    leader = RecordingMember(flights)
    joined: list[RecordingMember] = []

    class Joins(RecordingMember):
        def receive(self, outcome: str) -> None:
            joined.append(RecordingMember(flights))

    Joins(flights)
    leader.membership.resolve("done")
    assert joined[0].membership.is_leader


def test_on_follow_is_called_once_for_each_follower() -> None:
    counted: list[None] = []
    flights: Flights[str] = Flights(lambda: counted.append(None))
    for _ in range(3):
        RecordingMember(flights)
    assert len(counted) == 2


def test_a_leader_that_asks_its_own_key_again_does_the_work_itself() -> None:
    flights: Flights[str] = Flights()
    leader = RecordingMember(flights)
    with leader.membership.as_leader():
        second = RecordingMember(flights)
    assert not second.membership.is_follower
    assert not second.membership.is_leader
    assert RecordingMember(flights).membership.is_follower


def test_work_never_follows_work_that_waits_for_it() -> None:
    """A waits for B, which waits for C: C must not wait for A."""
    flights: Flights[str] = Flights()
    a = RecordingMember(flights, "a")
    with a.membership.as_leader():
        b = RecordingMember(flights, "b")
    with b.membership.as_leader():
        c = RecordingMember(flights, "c")
    with c.membership.as_leader():
        assert not RecordingMember(flights, "a").membership.is_follower


def test_two_leaders_that_follow_each_other_do_not_deadlock() -> None:
    flights: Flights[str] = Flights()
    a, b = RecordingMember(flights, "a"), RecordingMember(flights, "b")
    with a.membership.as_leader():
        assert RecordingMember(flights, "b").membership.is_follower
    with b.membership.as_leader():
        assert not RecordingMember(flights, "a").membership.is_follower


def test_a_resolved_flight_is_no_dependency() -> None:
    flights: Flights[str] = Flights()
    a, b = RecordingMember(flights, "a"), RecordingMember(flights, "b")
    with a.membership.as_leader():
        RecordingMember(flights, "b")
    b.membership.resolve("done")
    b = RecordingMember(flights, "b")
    with b.membership.as_leader():
        assert RecordingMember(flights, "a").membership.is_follower


def test_a_context_belongs_to_its_flight_only_until_the_flight_ends() -> None:
    flights: Flights[str] = Flights()
    leader = RecordingMember(flights)
    leader.membership.enter()
    context = copy_context()
    leader.membership.resolve("done")
    RecordingMember(flights)
    assert context.run(RecordingMember, flights).membership.is_follower


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


async def test_every_caller_gets_the_error_and_nothing_is_stored() -> None:
    cache = AsyncCache()

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("no such user")

    results = await asyncio.gather(*(cache.get_or_compute("key", fail) for _ in range(3)), return_exceptions=True)
    assert [repr(result) for result in results] == ["ValueError('no such user')"] * 3
    assert cache.statistics().size == 0


async def test_when_the_leader_is_cancelled_a_follower_computes() -> None:
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


async def test_when_the_leader_times_out_a_follower_computes() -> None:
    cache = AsyncCache()

    async def compute() -> str:
        await asyncio.sleep(1)
        return "done"

    async def with_timeout() -> None:
        async with asyncio.timeout(0.5):
            await cache.get_or_compute("key", compute)

    leader = asyncio.create_task(with_timeout())
    await settled()
    assert await cache.get_or_compute("key", compute) == "done"
    with pytest.raises(TimeoutError):
        await leader


async def test_a_follower_cancelled_just_as_it_becomes_the_leader_hands_over_in_turn() -> None:
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


async def test_the_lookup_in_a_slow_storage_is_shared_too() -> None:
    """Otherwise a caller whose lookup misses late would compute again after the first has finished."""
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


async def test_a_stored_value_reaches_all_concurrent_callers_as_copies() -> None:
    cache = AsyncCache(DictCache())
    await cache.set("key", [1])
    values = await asyncio.gather(*(cache.get_or_compute("key", cancel_oneself) for _ in range(3)))
    assert values == [[1]] * 3
    assert len({id(value) for value in values}) == 3


async def test_a_leader_cancelled_while_it_stores_still_shares_its_value() -> None:
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


async def test_a_value_that_can_be_encoded_but_not_decoded_is_computed_by_each() -> None:
    class OneWay:
        def encode(self, value: Any) -> bytes:
            return b"data"

        def decode(self, data: bytes) -> Any:
            raise KeyError(data)

    cache = AsyncCache(MemoryCacheAdapter())
    cache._memory._codec = AdaptedSerializer(OneWay().encode, OneWay().decode)
    cache._memory._codec.is_immutable = lambda value: False

    async def compute() -> list[int]:
        await asyncio.sleep(1)
        return [1]

    assert await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(3))) == [[1]] * 3


async def test_a_computation_that_asks_for_its_own_key_does_not_deadlock() -> None:
    cache = AsyncCache()

    async def outer() -> str:
        return "outer " + await cache.get_or_compute("key", inner)

    async def inner() -> str:
        return "inner"

    assert await cache.get_or_compute("key", outer) == "outer inner"


async def test_two_computations_that_ask_for_each_other_do_not_deadlock() -> None:
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
async def test_with_callers_cancelled_at_random_all_others_get_a_result() -> None:
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
