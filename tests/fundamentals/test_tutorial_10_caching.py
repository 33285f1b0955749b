"""Lesson 10: do not do again what was done before."""

from __future__ import annotations

import asyncio
from typing import Any

from async_cache import compose_key_functions, extract_key_component
from async_task_worker import AsyncTaskWorker, CacheAdapter

baked: list[str] = []


async def bake(cake: str) -> list[str]:
    baked.append(cake)
    await asyncio.sleep(3600)
    return [cake, "with cream"]


async def test_the_second_time_the_result_is_known() -> None:
    baked.clear()
    async with AsyncTaskWorker(cache_enabled=True) as worker:
        await worker.get_task_future(await worker.add_task(bake, "apple pie"))
        again = await worker.add_task(bake, "apple pie")
        info = worker.get_task_info(again)
        assert info is not None
        assert info.status == "completed", "before add_task returned"
        assert info.from_cache
        assert info.result == ["apple pie", "with cream"]
    assert baked == ["apple pie"]


async def test_a_hit_is_a_copy() -> None:
    async with AsyncTaskWorker(cache_enabled=True) as worker:
        for _ in range(3):
            cake = await worker.get_task_future(await worker.add_task(bake, "apple pie"))
            assert cake == ["apple pie", "with cream"]
            cake.clear()


async def test_cache_only_what_you_ask_for() -> None:
    baked.clear()
    async with AsyncTaskWorker() as worker:
        for use_cache in (True, True, False, None):
            await worker.get_task_future(await worker.add_task(bake, "tart", use_cache=use_cache))
    assert baked == ["tart"] * 3


async def test_bake_something_new_after_a_change() -> None:
    baked.clear()
    async with AsyncTaskWorker(cache_enabled=True) as worker:
        for _ in range(2):
            await worker.get_task_future(await worker.add_task(bake, "tart"))
            assert await worker.invalidate_cache(bake, "tart")
    assert baked == ["tart"] * 2


async def test_a_hundred_who_ask_at_once_get_one_answer() -> None:
    baked.clear()
    async with AsyncTaskWorker(max_workers=5, cache_enabled=True) as worker:
        ids = [await worker.add_task(bake, "wedding cake") for _ in range(100)]
        cakes = await worker.wait_for_tasks(ids)
    assert cakes == [["wedding cake", "with cream"]] * 100
    assert baked == ["wedding cake"]


async def test_keep_apart_what_is_not_the_same_for_everybody() -> None:
    baked.clear()
    by_customer = compose_key_functions(extract_key_component("metadata.customer"), extract_key_component("args.0"))
    async with AsyncTaskWorker(cache_enabled=True) as worker:
        for customer in ("ada", "bob", "ada"):
            options: dict[str, Any] = {"metadata": {"customer": customer}, "cache_key_fn": by_customer}
            await worker.get_task_future(await worker.add_task(bake, "birthday cake", **options))
        assert set(worker.cache.task_key_map.values()) == {"ada:birthday cake", "bob:birthday cake"}
    assert baked == ["birthday cake"] * 2


class Pantry(CacheAdapter):
    """Keeps results in a dict; it could be a file or a database."""

    def __init__(self) -> None:
        self.shelf: dict[str, Any] = {}

    async def get(self, key: str) -> tuple[bool, Any]:
        return key in self.shelf, self.shelf.get(key)

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.shelf[key] = value

    async def delete(self, key: str) -> bool:
        return self.shelf.pop(key, None) is not None

    async def clear(self) -> None:
        self.shelf.clear()


async def test_keep_results_where_you_like() -> None:
    baked.clear()
    pantry = Pantry()
    for _ in range(2):
        async with AsyncTaskWorker(cache_enabled=True, cache_adapter=pantry) as worker:
            await worker.get_task_future(await worker.add_task(bake, "biscuit"))
    assert baked == ["biscuit"]
    assert list(pantry.shelf.values()) == [["biscuit", "with cream"]]


class LockedPantry(Pantry):
    """Nobody finds the key."""

    async def get(self, key: str) -> tuple[bool, Any]:
        raise ConnectionError("the door is locked")

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        await asyncio.sleep(3600)


async def test_a_cache_that_fails_is_no_reason_for_a_task_to_fail() -> None:
    async with AsyncTaskWorker(cache_enabled=True, cache_adapter=LockedPantry()) as worker:
        assert await worker.get_task_future(await worker.add_task(bake, "bread")) == ["bread", "with cream"]
        assert worker.cache.statistics().errors > 0
