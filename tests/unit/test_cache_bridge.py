"""The public cache adapter: every documented method, with positional and keyword arguments."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_cache import InvalidCacheKeyError, MemoryCacheAdapter
from async_task_worker import AsyncCacheAdapter
from tests.support.adapters import DictCache, JsonCache
from tests.support.parameter_ids import shown
from tests.support.tasks import add, echo


@pytest.fixture(params=[lambda: None, MemoryCacheAdapter, DictCache, JsonCache], ids=["none", "own", "dict", "json"])
def cache(request: pytest.FixtureRequest) -> AsyncCacheAdapter:
    return AsyncCacheAdapter(adapter=request.param())


def by_version(context: dict[str, Any]) -> str:
    return f"{context['func_name']}:{context['metadata'].get('version', 'v1')}"


async def test_a_result_is_found_until_it_is_invalidated(cache: AsyncCacheAdapter) -> None:
    call = ("report", (1, "a"), {"width": 2})
    assert await cache.get(*call) == (False, None)
    assert await cache.set(*call, {"rows": [1, 2]})
    assert await cache.get(*call) == (True, {"rows": [1, 2]})
    assert await cache.get("report", [1, "a"], {"width": 2}) == (True, {"rows": [1, 2]})
    assert await cache.get("report", (1, "a"), None) == (False, None)
    assert await cache.invalidate(*call)
    assert not await cache.invalidate(*call)
    assert await cache.get(*call) == (False, None)


async def test_a_function_and_its_name_have_different_keys(cache: AsyncCacheAdapter) -> None:
    await cache.set(echo, (1,), {}, "of the function")
    await cache.set("echo", (1,), {}, "of the name")
    assert await cache.get(echo, (1,), {}) == (True, "of the function")
    assert await cache.get("echo", (1,), {}) == (True, "of the name")
    assert await cache.get(add, (1,), {}) == (False, None)


async def test_all_parameters_can_be_passed_by_position(cache: AsyncCacheAdapter) -> None:
    assert await cache.set("f", (1,), {}, "result", 60, by_version, "task-1", {"version": "v2"})
    assert await cache.get("f", (2,), {}, by_version, "task-2", {"version": "v2"}) == (True, "result")
    assert await cache.get("f", (1,), {}, by_version, "task-3", {"version": "v3"}) == (False, None)
    assert await cache.invalidate("f", (), {}, by_version, None, {"version": "v2"})


async def test_a_result_is_found_by_task_id_and_by_entry_id(cache: AsyncCacheAdapter) -> None:
    await cache.set("f", (1,), {}, "result", task_id="task-1")
    entry_id = cache.generate_entry_id("f", "task-1")
    assert entry_id == "f:task-1"
    assert list(cache.task_key_map) == [entry_id] == list(cache.entry_key_map)
    for name in (entry_id, "task-1"):
        assert await cache.get_by_task_id(name) == (True, "result")
    assert await cache.invalidate_by_task_id("task-1")
    assert await cache.get_by_task_id(entry_id) == (False, None)
    assert not await cache.invalidate_by_task_id(entry_id)


def test_different_tasks_never_have_the_same_entry_id() -> None:
    cache = AsyncCacheAdapter()
    names = [cache.generate_entry_id(*pair) for pair in (("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a", "b"))]
    assert len(set(names)) == 4
    assert cache.generate_entry_id(echo, "1") == "echo:1"


async def test_a_disabled_cache_neither_finds_nor_stores(cache: AsyncCacheAdapter) -> None:
    await cache.set("f", (1,), {}, 1)
    cache.enabled = False
    assert not await cache.set("f", (2,), {}, 2)
    assert await cache.get("f", (1,), {}) == (False, None)
    assert await cache.invalidate("f", (1,), {})
    cache.enabled = True
    assert await cache.get("f", (2,), {}) == (False, None)


async def test_clearing_leaves_nothing(cache: AsyncCacheAdapter) -> None:
    for number in range(3):
        await cache.set("f", (number,), {}, number, task_id=str(number))
    await cache.clear()
    assert not cache.task_key_map
    assert await cache.get("f", (1,), {}) == (False, None)


async def test_a_result_expires() -> None:
    clock = asyncio.get_running_loop().time
    cache = AsyncCacheAdapter(10, adapter=MemoryCacheAdapter(clock=clock))
    await cache.set("f", (1,), {}, "as usual")
    await cache.set("f", (2,), {}, "longer", ttl=20)
    cache.default_ttl = None
    await cache.set("f", (3,), {}, "for ever")
    await asyncio.sleep(15)
    assert [(await cache.get("f", (number,), {}))[0] for number in (1, 2, 3)] == [False, True, True]


def test_the_options_can_be_read() -> None:
    cache = AsyncCacheAdapter(60, False, 100, True, 30, 5)
    made_with = (cache.default_ttl, cache.enabled, cache.max_serialized_size, cache.validate_keys)
    assert made_with == (60, False, 100, True)
    assert cache.cleanup_interval == 30
    assert cache.adapter.max_size == 5
    cache.cleanup_interval = 0
    assert cache.cleanup_interval == 0


async def test_keys_are_validated_on_request() -> None:
    cache = AsyncCacheAdapter(validate_keys=True)
    for call in (cache.get("f", (), {}, lambda context: ""), cache.invalidate("f", (), {}, lambda context: "a\nb")):
        with pytest.raises(InvalidCacheKeyError):
            await call


async def test_a_call_without_a_key_is_not_cached(cache: AsyncCacheAdapter) -> None:
    assert not await cache.set("f", (object(),), {}, 1)
    assert await cache.get("f", (object(),), {}) == (False, None)
    assert not await cache.invalidate("f", (object(),), {})
    assert cache.statistics().bypassed == {"object": 3}


async def test_the_cleanup_task_can_be_started_and_stopped() -> None:
    clock = asyncio.get_running_loop().time
    cache = AsyncCacheAdapter(60, adapter=MemoryCacheAdapter(clock=clock))
    await cache.start_cleanup_task()
    await cache.start_cleanup_task()
    await cache.set("f", (1,), {}, 1, task_id="1")
    await asyncio.sleep(901)
    assert not cache.task_key_map
    await cache.stop_cleanup_task()
    await cache.stop_cleanup_task()


@pytest.mark.parametrize("options", [{"adapter": object()}, {"default_ttl": "60"}, {"max_size": 1.5}], ids=shown)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        AsyncCacheAdapter(**options)
