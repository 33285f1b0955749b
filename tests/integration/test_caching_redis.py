"""Tasks whose results are in a real Redis, in all the states a Redis can be in."""

from __future__ import annotations

import asyncio
import pickle
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgpack
import pytest
import pytest_asyncio
import redis.asyncio

from async_cache import RedisCacheAdapter
from async_task_worker import AsyncCacheAdapter, AsyncTaskWorker, TaskStatus
from tests.support.loop_lag import LoopLag
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.real_time

TASKS = 1000
KEYS = 200
BATCH = 10
LATE = 0.3
"""Seconds a task may take beyond its own work, whatever Redis does."""
POLL = 0.01


async def square(number: int, seconds: float = 0.0) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {"of": number, "is": number * number, "as": (number, str(number))}


def squared(number: int) -> dict[str, Any]:
    return {"of": number, "is": number * number, "as": (number, str(number))}


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A client of the shared Redis."""
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made


async def done(worker: AsyncTaskWorker, *call: Any, **options: Any) -> bool:
    """Run a task and return whether its result was known."""
    task_id = await worker.add_task(*call, **options)
    await worker.wait_for_tasks([task_id])
    info = worker.get_task_info(task_id)
    assert info is not None
    return info.from_cache


# --- in good health -----------------------------------------------------------------------


async def test_workers_share_results_through_redis(client: Any, prefix: str) -> None:
    def worker() -> AsyncTaskWorker:
        adapter = AsyncCacheAdapter(adapter=RedisCacheAdapter(client, key_prefix=prefix, serializer="msgpack"))
        return AsyncTaskWorker(cache_enabled=True, cache_adapter=adapter, cache_timeout=5)

    async with worker() as first, worker() as second:
        task_id = await first.add_task(square, 7)
        assert await first.get_task_future(task_id) == squared(7)
        assert await done(second, square, 7)
        entry_id = second.cache.generate_entry_id("square", task_id)
        for name in (entry_id, task_id):
            assert await second.cache.get_by_task_id(name) == (True, squared(7))
        assert await second.invalidate_cache(square, 7)
        assert not await done(first, square, 7)
        assert await first.cache.invalidate_by_task_id(task_id)
        assert not await second.invalidate_cache(square, 7)
    assert first.cache.statistics().errors == second.cache.statistics().errors == 0


async def test_a_key_of_ones_own_is_the_key_in_redis(client: Any, prefix: str) -> None:
    adapter = RedisCacheAdapter(client, key_prefix=prefix)
    async with AsyncTaskWorker(cache_adapter=adapter, cache_timeout=5) as worker:
        for number in range(3):
            await done(worker, square, number, use_cache=True, cache_ttl=60, cache_key_fn=lambda context: "my:key")
        assert 0 < await client.ttl(f"{prefix}my:key") <= 60


@pytest.mark.parametrize("awkward", ["t*:", "[a]:", "a?", "\\", "^$", "*"])
async def test_clearing_and_invalidating_touch_no_foreign_key(client: Any, prefix: str, awkward: str) -> None:
    foreign = [f"{prefix}{name}" for name in ("tenant:1", "t:1", "a:1", "ab", "t*", "[a]", "\\*", "", "^")]
    foreign = [key for key in foreign if not key.startswith(prefix + awkward)]
    for key in foreign:
        await client.set(key, b"somebody else's")
    adapter = RedisCacheAdapter(client, key_prefix=prefix + awkward)
    async with AsyncTaskWorker(cache_enabled=True, cache_adapter=adapter, cache_timeout=5) as worker:
        for number in range(3):
            await done(worker, square, number)
        assert await worker.invalidate_cache(square, 0)
        await worker.clear_cache()
        assert not await done(worker, square, 1)
        await worker.clear_cache()
    assert await client.mget(foreign) == [b"somebody else's"] * len(foreign)
    await client.delete(*foreign)


class Trap:
    """Tells when it is unpickled."""

    sprung = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "sprung", True)


LOOKALIKES: dict[str, bytes] = {
    "a pickle": pickle.dumps(Trap()),
    "a pickle within": msgpack.packb([1, pickle.dumps(Trap())]),
    "a pickle as typed": msgpack.packb([2, pickle.dumps(Trap())]),
    "a tagged list": msgpack.packb([2, ["dc", "tests.integration.test_caching_redis:Trap", []]]),
    "a marker": msgpack.packb([2, msgpack.packb([msgpack.ExtType(1, b""), "dc", f"{__name__}:Trap", ""])]),
    "plain text": b"hello",
    "nothing": b"",
    "one brace": b"{",
}


@pytest.mark.parametrize("what", LOOKALIKES)
async def test_foreign_values_are_a_miss_and_never_code(client: Any, prefix: str, what: str) -> None:
    adapter = RedisCacheAdapter(client, key_prefix=prefix)
    async with AsyncTaskWorker(cache_adapter=adapter, cache_timeout=5) as worker:
        await client.set(f"{prefix}key", LOOKALIKES[what])
        options: dict[str, Any] = {"use_cache": True, "cache_key_fn": lambda context: "key"}
        assert not await done(worker, square, 3, **options)
        assert await done(worker, square, 3, **options)
    assert not Trap.sprung
    assert worker.cache.statistics().faults == {"corrupt": 1}


# --- in bad health ------------------------------------------------------------------------


class Crowd:
    """A thousand tasks through a Redis that goes through something in the middle of it."""

    def __init__(self, proxy: TcpProxy, server: RedisServer) -> None:
        self.proxy, self.server = proxy, server
        self.adapter = RedisCacheAdapter(proxy.url, key_prefix="crowd:")
        self.worker = AsyncTaskWorker(BATCH, cache_enabled=True, cache_adapter=self.adapter)
        self.own_work: dict[str, float] = {}
        self.numbers: dict[str, int] = {}
        self.ended = 0
        self.lag = LoopLag()
        self.plan: dict[int, Callable[[], Awaitable[None]]] = {}

    async def work(self, number: int, name: str) -> dict[str, Any]:
        begun = time.perf_counter()
        result = await square(number, 0.01)
        self.own_work[name] = time.perf_counter() - begun
        return result

    async def add(self, number: int) -> str:
        name = f"task-{len(self.numbers)}"
        self.numbers[name] = number
        return await self.worker.add_task(
            self.work, number, name, task_id=name, cache_key_fn=lambda context: f"square:{context['args'][0]}"
        )

    async def go(self) -> None:
        """Add them a few at a time, in random order, with what is planned in between."""
        asyncio.get_running_loop().set_debug(False)  # it would take most of the time there is
        choices = random.Random(5)
        async with self.worker:
            with self.lag:
                await self.go_on(choices)

    async def go_on(self, choices: random.Random) -> None:
        await self.answered_from_the_cache()  # connections are made
        for begun in range(0, TASKS, BATCH):
            if begun in self.plan:
                await self.plan[begun]()
            ids = [await self.add(choices.randrange(KEYS)) for _ in range(BATCH)]
            await self.worker.wait_for_tasks(ids)
        await self.answers_again()
        await self.answered_from_the_cache()

    async def answers_again(self) -> None:
        async with asyncio.timeout(20):
            while self.worker.cache.statistics().circuit_open:
                await self.worker.wait_for_tasks([await self.add(1)])
                await asyncio.sleep(POLL)

    async def answered_from_the_cache(self) -> None:
        async with asyncio.timeout(20):
            while not await done(self.worker, square, 1):
                await asyncio.sleep(POLL)

    def check(self) -> None:
        """Every task has the right result, and none was later than it may be."""
        for name, number in self.numbers.items():
            info = self.worker.get_task_info(name)
            assert info is not None
            assert info.status is TaskStatus.COMPLETED
            assert info.result == squared(number)
            if info.run_time is not None:
                assert info.run_time <= self.own_work.get(name, 0.0) + LATE + self.lag.allowance


async def killed_and_started_again(crowd: Crowd) -> None:
    async def kill() -> None:
        crowd.server.kill()

    async def start() -> None:
        crowd.server.start()

    crowd.plan = {300: kill, 600: start}


async def stopped_and_resumed(crowd: Crowd) -> None:
    async def pause() -> None:
        crowd.server.pause()

    async def resume() -> None:
        crowd.server.resume()

    crowd.plan = {300: pause, 600: resume}


async def restarted(crowd: Crowd) -> None:
    async def restart() -> None:
        crowd.server.restart()

    crowd.plan = {300: restart, 600: restart}


async def answering_garbage(crowd: Crowd) -> None:
    async def garble() -> None:
        crowd.proxy.alter = lambda data: b"*1\r\n$5\r\nhello\r\n"

    async def stop() -> None:
        crowd.proxy.alter = lambda data: data
        await crowd.proxy.cut()

    crowd.plan = {300: garble, 600: stop}


async def overwritten_by_another_client(crowd: Crowd) -> None:
    async def overwrite() -> None:
        async with redis.asyncio.Redis.from_url(crowd.server.url) as other:
            for number in range(KEYS):
                await other.set(f"crowd:square:{number}", random.Random(number).choice(list(LOOKALIKES.values())))

    crowd.plan = {300: overwrite, 600: overwrite}


async def mixed_up_by_another_client(crowd: Crowd) -> None:
    """Good entries, each under the key of another."""

    async def mix_up() -> None:
        async with redis.asyncio.Redis.from_url(crowd.server.url) as other:
            keys = [key async for key in other.scan_iter("crowd:square:*")]
            for key, value in zip(keys, reversed(await other.mget(keys)), strict=True):
                if value is not None:
                    await other.set(key, value)

    crowd.plan = {300: mix_up, 600: mix_up}


OUTAGES = [killed_and_started_again, stopped_and_resumed, answering_garbage]
MISHAPS = [restarted, overwritten_by_another_client, mixed_up_by_another_client]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [*OUTAGES, *MISHAPS], ids=lambda trouble: trouble.__name__)
async def test_every_task_has_the_right_result_in_time(
    proxy: TcpProxy, redis_server: RedisServer, trouble: Callable[[Crowd], Awaitable[None]]
) -> None:
    crowd = Crowd(proxy, redis_server)
    await trouble(crowd)
    try:
        await crowd.go()
    finally:
        await crowd.worker.cache.aclose()
    crowd.check()
    figures = crowd.worker.cache.statistics()
    assert not figures.circuit_open
    assert figures.hits > 0
    if trouble in OUTAGES:
        assert figures.circuit_openings >= 1
        assert figures.skipped > 0
        assert figures.errors >= 1
    elif trouble is not restarted:
        assert figures.faults["corrupt"] > 0
