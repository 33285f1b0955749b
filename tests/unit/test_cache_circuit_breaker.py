"""A slow, unavailable or faulty storage: a miss within the timeout, then an open circuit."""

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
from tests.support.waiting import loop_iterations, settled

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
async def test_no_fault_of_the_storage_reaches_the_caller(
    adapter: TroubledCache, cache: AsyncCache, trouble: Any
) -> None:
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


async def test_an_error_in_the_adapter_does_not_open_the_circuit(adapter: TroubledCache, cache: AsyncCache) -> None:
    adapter.trouble = make_a_mistake
    for _ in range(3):
        await cache.get("key")
    assert cache.statistics().faults == {"error": 3}
    assert not cache.statistics().circuit_open


async def test_the_backoff_doubles_and_no_caller_waits_for_a_trial(adapter: TroubledCache, cache: AsyncCache) -> None:
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
    assert pauses == [0.3, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]  # there is a call every 0.01 s


async def test_a_successful_trial_closes_the_circuit(adapter: TroubledCache, cache: AsyncCache) -> None:
    await cache.set("key", "value")
    adapter.trouble = hang
    await cache.get("key")
    adapter.trouble = None
    await asyncio.sleep(0.25)
    assert await cache.get("key") == (False, None)
    await settled()
    assert await cache.get("key") == (True, "value")


async def test_a_trial_that_never_started_is_not_waited_for(adapter: TroubledCache, cache: AsyncCache) -> None:
    """For example because its event loop is closed; the cache can be used on the next one."""
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
async def test_time_during_which_the_loop_is_blocked_does_not_count_up_to_the_timeout(adapter: TroubledCache) -> None:
    cache = AsyncCache(adapter, timeout=0.05)
    adapter.trouble = hang
    begin = now()
    caller = asyncio.create_task(cache.get("key"))
    await loop_iterations(3)
    time.sleep(0.5)  # noqa: ASYNC251 - blocks the loop on purpose
    blocked = now() - begin
    assert await caller == (False, None)
    assert now() - begin < 1.7 * blocked
    await cache.aclose()


async def test_the_backoff_starts_anew_with_each_outage(adapter: TroubledCache, cache: AsyncCache) -> None:
    for _ in range(2):
        adapter.trouble = lose_connection
        await cache.get("key")
        adapter.trouble = None
        await asyncio.sleep(0.25)
        await cache.get("key")
        await settled()
        assert not cache.statistics().circuit_open
    assert cache.statistics().circuit_openings == 2


async def test_a_caller_may_pass_a_shorter_timeout_or_zero(adapter: TroubledCache, cache: AsyncCache) -> None:
    adapter.trouble = hang
    begin = now()
    await cache.lookup("key", timeout=0)
    assert now() == begin
    assert adapter.calls == []
    assert not cache.statistics().circuit_open
    await cache.lookup("key", timeout=0.05)
    assert now() == pytest.approx(begin + 0.05)


async def test_the_default_timeout_can_be_set(adapter: TroubledCache) -> None:
    cache = AsyncCache(adapter, timeout=2)
    adapter.trouble = hang
    begin = now()
    await cache.get("key")
    assert now() == pytest.approx(begin + 2)


async def test_cancelling_the_caller_cancels_the_operation_and_is_not_a_fault(
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


async def test_a_failed_delete_returns_false(adapter: TroubledCache, cache: AsyncCache) -> None:
    await cache.set("key", 1)
    adapter.trouble = lose_connection
    assert await cache.delete("key") is False


async def test_closing_waits_for_operations_in_progress_for_a_limited_time(
    adapter: TroubledCache, cache: AsyncCache
) -> None:
    adapter.trouble = refuse_to_stop
    await cache.get("key")
    begin = now()
    await cache.aclose()
    assert now() - begin <= 1.2


async def test_clearing_raises_its_error_and_has_no_timeout(adapter: TroubledCache, cache: AsyncCache) -> None:
    async def take_a_while() -> None:
        await asyncio.sleep(60)

    adapter.trouble = take_a_while
    await cache.clear()
    assert adapter.calls == ["clear"]
    adapter.trouble = make_a_mistake
    with pytest.raises(CacheUnavailableError, match="KeyError"):
        await cache.clear()


async def test_warnings_are_throttled_single_lines_and_count_those_suppressed(
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
