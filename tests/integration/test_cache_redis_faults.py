"""Redis is slow, hangs, crashes, recovers or sends invalid replies: misses within the timeout, never a wrong value."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from async_cache import AsyncCache, RedisCacheAdapter
from tests.support.loop_lag import LoopLag
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import loop_iterations

pytestmark = pytest.mark.real_time

DEFAULT_TIMEOUT = 0.2
MARGIN = 0.3
"""Seconds by which an operation may exceed its timeout on a busy machine."""
POLL = 0.01


@contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with LoopLag() as lag:
        yield
        taken = loop.time() - begin
    assert taken <= seconds + lag.allowance


async def answers_again(cache: RedisCacheAdapter) -> None:
    """Repeat lookups, as tasks would, until Redis is used again."""
    async with asyncio.timeout(20):
        while cache.counters.circuit_open:
            await cache.get("is it back?")
            await asyncio.sleep(POLL)


@pytest_asyncio.fixture
async def cache(proxy: TcpProxy) -> AsyncIterator[RedisCacheAdapter]:
    """A cache behind a proxy that can disturb the connection."""
    made = RedisCacheAdapter(proxy.url)
    await made.set("key", "value")
    yield made
    proxy.release()
    await made.aclose()


Trouble = Callable[[TcpProxy, RedisServer], Awaitable[None]]


async def slow(proxy: TcpProxy, server: RedisServer) -> None:
    proxy.delay = 0.5


async def silent(proxy: TcpProxy, server: RedisServer) -> None:
    proxy.hold()


async def stopped(proxy: TcpProxy, server: RedisServer) -> None:
    server.pause()


async def killed(proxy: TcpProxy, server: RedisServer) -> None:
    server.kill()


async def cut_off(proxy: TcpProxy, server: RedisServer) -> None:
    await proxy.refuse()


@pytest.mark.parametrize("trouble", [slow, silent, stopped, killed, cut_off], ids=lambda trouble: trouble.__name__)
async def test_an_outage_delays_one_operation_by_the_timeout_and_later_ones_not_at_all(
    cache: RedisCacheAdapter, proxy: TcpProxy, redis_server: RedisServer, trouble: Trouble
) -> None:
    await trouble(proxy, redis_server)
    with taking_at_most(DEFAULT_TIMEOUT + MARGIN):
        assert await cache.get("key") == (False, None)
    assert cache.counters.circuit_open
    with taking_at_most(MARGIN):
        for _ in range(100):
            assert await cache.get("key") == (False, None)
            await cache.set("key", "other")
    assert cache.counters.circuit_openings == 1
    assert cache.counters.faults.total() == 1
    assert cache.counters.skipped == 200


async def test_the_timeout_of_the_cache_holds_for_every_operation(cache: RedisCacheAdapter, proxy: TcpProxy) -> None:
    front = AsyncCache(cache, timeout=0.01)
    proxy.hold()
    with taking_at_most(DEFAULT_TIMEOUT):
        assert await front.delete("key") is False
        assert await front.delete_by_entry_id("task:1") is False


async def test_many_concurrent_operations_wait_no_longer_than_one(
    cache: RedisCacheAdapter, redis_server: RedisServer
) -> None:
    redis_server.pause()
    with taking_at_most(DEFAULT_TIMEOUT + MARGIN):
        found = await asyncio.gather(*(cache.get("key") for _ in range(10)))
    assert found == [(False, None)] * 10
    assert cache.counters.circuit_openings == 1


async def test_a_resumed_redis_is_used_again(cache: RedisCacheAdapter, redis_server: RedisServer) -> None:
    redis_server.pause()
    await cache.get("key")
    redis_server.resume()
    await answers_again(cache)
    assert await cache.get("key") == (True, "value")


async def test_a_restarted_redis_is_used_again(cache: RedisCacheAdapter, redis_server: RedisServer) -> None:
    redis_server.kill()
    await cache.get("key")
    redis_server.start()
    await answers_again(cache)
    assert await cache.get("key") == (False, None)
    await cache.set("key", "new")
    assert await cache.get("key") == (True, "new")


async def test_an_unnoticed_restart_causes_no_fault(cache: RedisCacheAdapter, redis_server: RedisServer) -> None:
    """The connections in the pool are broken; the client retries once with a new one."""
    redis_server.restart()
    await cache.set("key", "new")
    assert await cache.get("key") == (True, "new")
    assert cache.counters.faults == {}


async def test_a_restored_connection_is_used_again(cache: RedisCacheAdapter, proxy: TcpProxy) -> None:
    await proxy.refuse()
    await cache.get("key")
    await proxy.listen()
    await answers_again(cache)
    assert await cache.get("key") == (True, "value")


async def test_an_outage_and_its_end_are_logged_once_each(
    cache: RedisCacheAdapter, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.pause()
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(10):
            await cache.get("key")
        redis_server.resume()
        await answers_again(cache)
    first, *_, last = [record.getMessage() for record in caplog.records]
    assert first == "cache: Redis: timeout: TimeoutError: 'no answer within 0.2 seconds'"
    assert last == "cache: Redis answers again"
    assert len(caplog.records) <= 3


async def test_delete_is_executed_while_the_circuit_is_open(
    cache: RedisCacheAdapter, redis_server: RedisServer
) -> None:
    """An outdated value must not outlive a short outage."""
    redis_server.pause()
    await cache.get("key")
    redis_server.resume()
    assert await cache.delete("key") is True


async def test_a_blocked_event_loop_does_not_count_as_an_outage(cache: RedisCacheAdapter) -> None:
    """The reply arrived in time, but the blocked loop could not read it."""
    caller = asyncio.create_task(cache.get("key"))
    await loop_iterations(3)
    time.sleep(2 * DEFAULT_TIMEOUT)  # noqa: ASYNC251 - blocks the loop on purpose
    assert await caller == (True, "value")
    assert cache.counters.faults == {}


async def test_a_cancelled_caller_returns_at_once(cache: RedisCacheAdapter, proxy: TcpProxy) -> None:
    proxy.hold()
    caller = asyncio.create_task(cache.get("key"))
    await proxy.held()
    caller.cancel()
    with taking_at_most(MARGIN), pytest.raises(asyncio.CancelledError):
        await caller
    assert not cache.counters.circuit_open


def clients(url: str) -> dict[str, Any]:
    """Return clients that share one connection."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1)
    single = redis.asyncio.Redis.from_url(url, single_connection_client=True)
    resp3 = redis.asyncio.Redis.from_url(url, max_connections=1, protocol=3)
    return {"a pool of one": redis.asyncio.Redis.from_pool(pool), "a single connection": single, "RESP3": resp3}


@pytest.mark.parametrize("kind", clients("redis://localhost"))
async def test_after_a_cancelled_call_a_shared_connection_returns_the_right_values(proxy: TcpProxy, kind: str) -> None:
    client = clients(proxy.url)[kind]
    cache = RedisCacheAdapter(client)
    for key in "ab":
        await cache.set(key, key)
    proxy.hold()
    caller = asyncio.create_task(cache.get("a"))
    await proxy.held()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    proxy.release()

    assert await cache.get("b") == (True, "b")
    assert await cache.get("a") == (True, "a")
    await client.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*clients("redis://localhost"), "our own"])
async def test_with_calls_cancelled_at_random_no_caller_gets_another_callers_value(proxy: TcpProxy, kind: str) -> None:
    client = clients(proxy.url).get(kind)
    cache = RedisCacheAdapter(proxy.url if client is None else client)
    rng = random.Random(kind)
    for number in range(20):
        await cache.set(str(number), number)

    async def look(number: int) -> None:
        hit, value = await cache.get(str(number))
        assert not hit or value == number

    for _ in range(60):
        callers = [asyncio.create_task(look(rng.randrange(20))) for _ in range(5)]
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        for caller in rng.sample(callers, 3):
            caller.cancel()
        for result in await asyncio.gather(*callers, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError)
    assert "corrupt" not in cache.counters.faults
    await cache.aclose()
    if client is not None:
        await client.aclose()


@pytest.mark.parametrize("too_many", ["nonsense", "a signed value"])
@pytest.mark.parametrize("kind", [*clients("redis://localhost"), "our own"])
async def test_a_surplus_reply_is_never_used_for_another_request(proxy: TcpProxy, kind: str, too_many: str) -> None:
    """If this goes unnoticed, all later replies are one behind: well-formed, but for another key."""
    client = clients(proxy.url).get(kind)
    cache = RedisCacheAdapter(proxy.url if client is None else client, timeout=1.0)
    for number in range(10):
        await cache.set(str(number), number)
    seen: list[bytes] = []
    proxy.alter = lambda data: seen.append(data) or data
    await cache.get("9")
    extra = [seen[-1] if too_many == "a signed value" else b"$5\r\nhello\r\n"]
    proxy.alter = lambda data: extra.pop() + data if extra else data

    answers = [await cache.get(str(number)) for number in range(10)]

    assert all(found in ((False, None), (True, number)) for number, found in enumerate(answers))
    assert not extra
    await cache.set("key", "value")
    assert await cache.get("key") == (True, "value")
    await cache.aclose()
    if client is not None:
        await client.aclose()


NONSENSE = {
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a number": b":1\r\n",
    "a list": b"*1\r\n$1\r\na\r\n",
    "text": b"+OK\r\n",
    "an error": b"-ERR out of order\r\n",
    "half an answer": b"$1000\r\nabc",
    "a huge length": b"$99999999999999\r\n",
    "zeros": bytes(64),
    "somebody's value": b"$5\r\nhello\r\n",
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_invalid_replies_are_misses_within_the_timeout_until_they_end(
    cache: RedisCacheAdapter, proxy: TcpProxy, what: str
) -> None:
    proxy.alter = lambda data: NONSENSE[what]
    for _ in range(3):
        with taking_at_most(DEFAULT_TIMEOUT + MARGIN):
            assert await cache.get("key") == (False, None)
            await cache.set("other", 1)
    assert cache.counters.faults.total() > 0
    proxy.alter = lambda data: data
    await proxy.cut()
    await answers_again(cache)
    await cache.set("key", "new")
    assert await cache.get("key") == (True, "new")


@pytest.mark.slow
async def test_modified_bytes_are_never_returned_as_a_value(cache: RedisCacheAdapter, proxy: TcpProxy) -> None:
    rng = random.Random(7)

    def alter(data: bytes) -> bytes:
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(damaged)

    proxy.alter = alter
    for _ in range(50):
        hit, value = await cache.get("key")
        assert not hit or value == "value"
        cache.counters.circuit_open = False


@pytest.mark.slow
async def test_a_thousand_lookups_are_right_and_in_time_while_redis_fails_and_recovers(
    proxy: TcpProxy, redis_server: RedisServer
) -> None:
    """Redis is stopped, resumed, killed and restarted during the lookups."""
    cache = RedisCacheAdapter(proxy.url)
    front = AsyncCache(cache)
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def work(number: int) -> None:
        nonlocal longest
        begin = loop.time()
        hit, value = await front.get(f"key {number % 50}")
        assert not hit or value == number % 50
        longest = max(longest, loop.time() - begin)
        await front.set(f"key {number % 50}", number % 50)

    events = {200: redis_server.pause, 400: redis_server.resume, 600: redis_server.kill, 800: redis_server.start}
    with LoopLag() as lag:
        for batch in range(0, 1000, 10):
            if batch in events:
                events[batch]()
            if batch in (500, 900):
                await answers_again(cache)
            await asyncio.gather(*(work(batch + n) for n in range(10)))
    assert longest <= DEFAULT_TIMEOUT + MARGIN + lag.allowance
    figures = front.statistics()
    assert figures.circuit_openings >= 2
    assert figures.skipped > 0
    assert figures.hits > 0
    await front.aclose()
