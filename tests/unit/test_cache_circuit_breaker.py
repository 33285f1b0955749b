"""A storage that is slow, gone or broken: a miss within the budget, and then it is left alone for a while."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from async_cache import AsyncCache, CacheUnavailableError
from tests.support.adapters import (
    TroubledCache,
    abort,
    cancel_oneself,
    hang,
    lose_connection,
    make_a_mistake,
    refuse_to_stop,
)
from tests.support.waiting import settled, turns

if TYPE_CHECKING:
    from async_task_worker.model.clock import Clock

TROUBLES = [hang, refuse_to_stop, cancel_oneself, lose_connection, make_a_mistake, abort]
OUTAGES = TROUBLES[:-2]


def named(trouble: Any) -> str:
    return str(trouble.__name__)


@pytest.fixture
def adapter() -> TroubledCache:
    return TroubledCache()


@pytest.fixture
def cache(adapter: TroubledCache) -> AsyncCache:
    return AsyncCache(adapter)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("trouble", TROUBLES, ids=named)
async def test_no_trouble_is_the_callers(adapter: TroubledCache, cache: AsyncCache, trouble: Any) -> None:
    adapter.trouble = trouble
    begin = now()
    assert await cache.get("key") == (False, None)
    assert await cache.set("key", 1) is False
    assert now() - begin <= 0.201
    assert cache.statistics().errors >= 1
    await cache.aclose()


@pytest.mark.parametrize("trouble", OUTAGES, ids=named)
async def test_an_outage_opens_the_circuit(adapter: TroubledCache, cache: AsyncCache, trouble: Any) -> None:
    adapter.trouble = trouble
    await cache.get("key")
    begin = now()
    for _ in range(100):
        await cache.get("key")
    figures = cache.statistics()
    assert now() == begin
    assert (figures.circuit_open, figures.circuit_openings, figures.errors, figures.skipped) == (True, 1, 1, 100)
    await cache.aclose()


async def test_a_mistake_in_the_adapter_does_not_open_it(adapter: TroubledCache, cache: AsyncCache) -> None:
    adapter.trouble = make_a_mistake
    for _ in range(3):
        await cache.get("key")
    assert cache.statistics().faults == {"error": 3}
    assert not cache.statistics().circuit_open


async def test_tries_are_ever_further_apart_and_nobody_waits_for_them(
    adapter: TroubledCache, cache: AsyncCache
) -> None:
    tries: list[float] = []

    async def fail() -> None:
        tries.append(now())
        raise ConnectionRefusedError

    adapter.trouble = fail
    await cache.get("key")
    begin = now()
    while now() < begin + 28:
        before = now()
        await cache.get("key")
        assert now() == before
        await settled()
        await asyncio.sleep(0.01)
    pauses = [round(later - earlier, 1) for earlier, later in pairwise(tries)]
    assert pauses == [0.3, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]  # asked every 0.01 s


async def test_a_try_that_is_answered_closes_the_circuit(adapter: TroubledCache, cache: AsyncCache) -> None:
    await cache.set("key", "value")
    adapter.trouble = hang
    await cache.get("key")
    adapter.trouble = None
    await asyncio.sleep(0.25)
    assert await cache.get("key") == (False, None)
    await settled()
    assert await cache.get("key") == (True, "value")


async def test_a_try_that_never_began_is_not_waited_for(adapter: TroubledCache, cache: AsyncCache) -> None:
    """As when its event loop ends in that moment: a cache can be used on the next one."""
    await cache.set("key", "value")
    adapter.trouble = lose_connection
    await cache.get("key")
    adapter.trouble = None
    await asyncio.sleep(0.25)
    await cache.get("key")
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await settled()
    assert cache.statistics().circuit_open
    await asyncio.sleep(0.5)
    await cache.get("key")
    await settled()
    assert await cache.get("key") == (True, "value")


@pytest.mark.real_time
async def test_time_in_which_the_loop_stood_still_is_made_up_for_up_to_the_budget(adapter: TroubledCache) -> None:
    cache = AsyncCache(adapter, timeout=0.05)
    adapter.trouble = hang
    begin = now()
    caller = asyncio.create_task(cache.get("key"))
    await turns(3)
    time.sleep(0.5)  # noqa: ASYNC251 - the very mistake
    blocked = now() - begin
    assert await caller == (False, None)
    assert now() - begin < 1.7 * blocked
    await cache.aclose()


async def test_after_an_outage_the_next_one_begins_with_a_short_pause_again(
    adapter: TroubledCache, cache: AsyncCache
) -> None:
    for _ in range(2):
        adapter.trouble = lose_connection
        await cache.get("key")
        adapter.trouble = None
        await asyncio.sleep(0.25)
        await cache.get("key")
        await settled()
        assert not cache.statistics().circuit_open
    assert cache.statistics().circuit_openings == 2


async def test_a_caller_may_allow_less_time_or_none(adapter: TroubledCache, cache: AsyncCache) -> None:
    adapter.trouble = hang
    begin = now()
    await cache.lookup("key", timeout=0)
    assert now() == begin
    assert adapter.calls == []
    assert not cache.statistics().circuit_open
    await cache.lookup("key", timeout=0.05)
    assert now() == pytest.approx(begin + 0.05)


async def test_the_budget_is_settable(adapter: TroubledCache) -> None:
    cache = AsyncCache(adapter, timeout=2)
    adapter.trouble = hang
    begin = now()
    await cache.get("key")
    assert now() == pytest.approx(begin + 2)


async def test_a_cancelled_caller_takes_the_operation_with_it_and_is_no_fault(
    adapter: TroubledCache, cache: AsyncCache
) -> None:
    adapter.trouble = hang
    caller = asyncio.create_task(cache.get("key"))
    await settled()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await settled()
    assert len(asyncio.all_tasks()) == 1
    assert cache.statistics().errors == 0


async def test_deleting_that_fails_says_no(adapter: TroubledCache, cache: AsyncCache) -> None:
    await cache.set("key", 1)
    adapter.trouble = lose_connection
    assert await cache.delete("key") is False


async def test_closing_waits_for_what_is_under_way_but_not_for_ever(adapter: TroubledCache, cache: AsyncCache) -> None:
    adapter.trouble = refuse_to_stop
    await cache.get("key")
    begin = now()
    await cache.aclose()
    assert now() - begin <= 1.2


async def test_clearing_says_what_went_wrong_and_may_take_its_time(adapter: TroubledCache, cache: AsyncCache) -> None:
    async def take_a_while() -> None:
        await asyncio.sleep(60)

    adapter.trouble = take_a_while
    await cache.clear()
    assert adapter.calls == ["clear"]
    adapter.trouble = make_a_mistake
    with pytest.raises(CacheUnavailableError, match="KeyError"):
        await cache.clear()


async def test_warnings_are_few_on_one_line_each_and_count_what_they_leave_out(
    adapter: TroubledCache, caplog: pytest.LogCaptureFixture, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AsyncCache(adapter)
    monkeypatch.setattr(cache._store._breaker._warnings, "_clock", clock.monotonic)
    adapter.trouble = make_a_mistake
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(100):
            await cache.get("key")
        await asyncio.sleep(60)
        await cache.get("key")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert messages[0] == messages[1]
    assert "TroubledCache: error: KeyError" in messages[0]
    assert "99 more times" in messages[2]
    assert not any("\n" in message for message in messages)
