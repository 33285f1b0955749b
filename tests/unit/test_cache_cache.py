"""AsyncCache: enabling, keys, ids, times to live, refusals, third-party adapters and statistics."""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from async_cache import AsyncCache, InvalidCacheKeyError, MemoryCacheAdapter, compose_key_functions
from async_cache.entry_ids import EntryIds
from tests.support.adapters import DictCache, JsonCache, TroubledCache, hang
from tests.support.waiting import settled

if TYPE_CHECKING:
    from async_task_worker.model.clock import Clock

ADAPTERS = {"memory": MemoryCacheAdapter, "subclass": DictCache, "duck": JsonCache}


@pytest.fixture(params=ADAPTERS)
def cache(request: pytest.FixtureRequest) -> AsyncCache:
    return AsyncCache(ADAPTERS[request.param]())


async def test_a_stored_value_is_found(cache: AsyncCache) -> None:
    assert await cache.set("key", {"a": [1]}) is True
    assert await cache.get("key") == (True, {"a": [1]})
    assert await cache.get("other") == (False, None)


async def test_every_hit_is_a_new_object(cache: AsyncCache) -> None:
    stored = {"a": [1]}
    await cache.set("key", stored)
    stored["a"].append(2)
    _, found = await cache.get("key")
    found["a"].append(3)
    assert await cache.get("key") == (True, {"a": [1]})


async def test_deleting_and_clearing(cache: AsyncCache) -> None:
    for key in "abc":
        await cache.set(key, key, entry_id=f"task:{key}")
    assert await cache.delete("a") is True
    assert await cache.delete("a") is False
    await cache.clear()
    assert await cache.get("b") == (False, None)
    assert dict(cache.task_key_map) == {}


async def test_an_entry_is_found_by_the_ids_of_callers_that_stored_or_found_it(cache: AsyncCache) -> None:
    await cache.set("key", "value", entry_id="f:1", alias="1")
    await cache.get("key", entry_id="f:2", alias="2")
    for entry_id in ("f:1", "1", "f:2", "2"):
        assert await cache.get_by_entry_id(entry_id) == (True, "value")
    assert await cache.get_by_entry_id("f:3") == (False, None)
    assert dict(cache.task_key_map) == {"f:1": "key", "f:2": "key"}
    assert cache.entry_key_map == cache.task_key_map


async def test_deleting_by_one_id_deletes_the_entry_and_all_its_ids(cache: AsyncCache) -> None:
    await cache.set("key", "value", entry_id="f:1", alias="1")
    await cache.get("key", entry_id="f:2")
    assert await cache.delete_by_entry_id("1") is True
    assert await cache.delete_by_entry_id("f:2") is False
    assert dict(cache.task_key_map) == {}


async def test_forgetting_an_id_keeps_the_entry(cache: AsyncCache) -> None:
    await cache.set("key", "value", entry_id="f:1", alias="1")
    cache.forget("1")
    cache.forget("unknown")
    assert await cache.get_by_entry_id("f:1") == (False, None)
    assert await cache.get("key") == (True, "value")


async def test_a_miss_links_no_id(cache: AsyncCache) -> None:
    await cache.get("key", entry_id="f:1")
    assert dict(cache.task_key_map) == {}


async def test_a_disabled_cache_only_deletes(cache: AsyncCache) -> None:
    await cache.set("key", 1, entry_id="f:1")
    cache.enabled = False
    assert await cache.get("key") == (False, None)
    assert await cache.get_by_entry_id("f:1") == (True, 1), "somebody insisted on storing it, and has its id"
    with cache.temporarily_disabled():
        assert await cache.get_by_entry_id("f:1") == (False, None)
    assert await cache.set("other", 2) is False
    assert await cache.delete("key") is True
    cache.enabled = True
    assert await cache.get("other") == (False, None)


async def test_lookup_and_store_work_while_the_cache_is_disabled(cache: AsyncCache) -> None:
    cache.enabled = False
    with cache.temporarily_disabled():
        assert await cache.store("key", cache.snapshot([1]), 60) is True
        assert await cache.lookup("key") == (True, [1])


async def test_temporary_disabling_can_be_nested_and_overlapping(cache: AsyncCache) -> None:
    await cache.set("key", 1)

    async def overlapping() -> None:
        async with cache.temporarily_disabled():
            await asyncio.sleep(1)

    async with cache.temporarily_disabled():
        with cache.temporarily_disabled():
            assert await cache.get("key") == (False, None)
        assert cache.is_suspended
        other = asyncio.create_task(overlapping())
        await settled()
    assert not cache.is_active
    await other
    assert await cache.get("key") == (True, 1)


async def test_an_error_in_the_block_ends_temporary_disabling(cache: AsyncCache) -> None:
    with pytest.raises(KeyError), cache.temporarily_disabled():
        raise KeyError
    assert cache.is_active


async def test_default_ttl_fills_in_for_none_and_can_be_set(clock: Clock) -> None:
    cache = AsyncCache(default_ttl=10, clock=clock.monotonic)
    await cache.set("default", 1)
    await cache.set("own", 1, ttl=30)
    await cache.set("for ever", 1, ttl=math.inf)
    cache.default_ttl = 20
    await cache.set("new default", 1)
    lives = {"default": 10, "new default": 20, "own": 30}
    for key, seconds in lives.items():
        await asyncio.sleep(seconds - 1 - (clock.monotonic() - 1024))
        assert (await cache.get(key))[0]
        await asyncio.sleep(1)
        assert not (await cache.get(key))[0]
    assert (await cache.get("for ever"))[0]


@pytest.mark.parametrize(("ttl", "error"), [(math.nan, ValueError), ("60", TypeError), (True, TypeError)])
async def test_a_ttl_that_is_not_a_number_is_refused_everywhere(
    cache: AsyncCache, ttl: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await cache.set("key", 1, ttl)
    with pytest.raises(error):
        cache.default_ttl = ttl
    with pytest.raises(error):
        AsyncCache(default_ttl=ttl)
    with pytest.raises(error):
        await cache.get_or_compute("key", hang, ttl)


async def test_refusals_are_counted_by_reason(cache: AsyncCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.max_serialized_size = 100
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(2):
            assert await cache.set("a", (n for n in "ab")) is False
    assert await cache.set("b", "x" * 101) is False
    assert await cache.set("c", ["x" * 101]) is False
    assert await cache.set("d", 1, ttl=0) is False
    assert cache.statistics().refused == {"unencodable": 2, "too large": 2, "ttl": 1}
    assert len(caplog.records) == 1
    assert "generator" in caplog.text


async def test_statistics_count_what_happened(clock: Clock) -> None:
    cache = AsyncCache(max_size=2, clock=clock.monotonic)
    for key in "abc":
        await cache.set(key, [key], ttl=1)
    await cache.get("c")
    await cache.get("a")
    await asyncio.sleep(1)
    await cache.get("b")
    figures = cache.statistics()
    assert (figures.hits, figures.misses, figures.sets) == (1, 2, 3)
    assert (figures.evictions, figures.expirations, figures.size) == (1, 1, 1)
    assert figures.bytes is not None
    assert figures.bytes > 0
    assert figures.hit_rate == pytest.approx(1 / 3)
    assert AsyncCache().statistics().hit_rate == 0.0


async def test_two_lookups_for_one_call_count_once() -> None:
    cache = AsyncCache()
    cache.lookup_nowait("key")
    assert cache.lookup_nowait("key", again=True) == (False, None)
    assert cache.statistics().misses == 1
    assert cache.store_nowait("key", cache.snapshot(7), entry_id="f:1")
    assert cache.lookup_nowait("key", entry_id="f:2", again=True) == (True, 7)
    figures = cache.statistics()
    assert (figures.hits, figures.misses) == (1, 0)
    assert dict(cache.task_key_map) == {"f:1": "key", "f:2": "key"}


def test_nowait_methods_require_entries_in_memory() -> None:
    assert AsyncCache().is_local
    cache = AsyncCache(DictCache())
    assert not cache.is_local
    with pytest.raises(RuntimeError, match="await"):
        cache.lookup_nowait("key")


async def test_an_adapter_gets_the_ttl_as_it_was_given() -> None:
    adapter = DictCache()
    cache = AsyncCache(adapter, default_ttl=3600)
    for key, ttl in {"a": None, "b": 60, "c": 0.5, "d": math.inf, "e": 60.0}.items():
        await cache.set(key, 1, ttl)
    assert adapter.ttls == {"a": 3600, "b": 60, "c": 0.5, "d": None, "e": 60}
    assert type(adapter.ttls["e"]) is int


async def test_a_value_that_only_pickle_can_copy_goes_through_an_adapter_that_keeps_objects() -> None:
    cache = AsyncCache(DictCache())
    assert await cache.set("key", ValueError("an exception"))
    hit, found = await cache.get("key")
    assert hit
    assert repr(found) == "ValueError('an exception')"


async def test_an_error_of_an_adapter_that_cannot_encode_a_value_is_a_fault_and_a_miss() -> None:
    cache = AsyncCache(JsonCache())
    assert await cache.set("key", {1, 2}) is False
    assert await cache.get("key") == (False, None)
    assert cache.statistics().faults == {"error": 1}


@pytest.mark.parametrize("answer", [None, 7, (True,), (1, 2, 3)], ids=repr)
async def test_a_malformed_answer_of_an_adapter_is_a_miss(answer: Any) -> None:
    class Odd(DictCache):
        async def get(self, key: str) -> tuple[bool, Any]:
            return answer

    cache = AsyncCache(Odd())
    assert await cache.get("key") == (False, None)
    assert cache.statistics().errors == 1


async def test_overridden_methods_of_a_memory_adapter_are_called() -> None:
    class Counting(MemoryCacheAdapter):
        asked = 0

        async def get(self, key: str) -> tuple[bool, Any]:
            self.asked += 1
            return await super().get(key)

    adapter = Counting()
    cache = AsyncCache(adapter)
    await cache.set("key", 1)
    assert await cache.get("key") == (True, 1)
    assert adapter.asked == 1
    assert not cache.is_local


@pytest.mark.parametrize("wrong", [object(), DictCache, {}, 7], ids=type)
def test_objects_without_the_methods_of_an_adapter_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="get, set, delete and clear"):
        AsyncCache(wrong)


@pytest.mark.parametrize("option", ["max_serialized_size", "cleanup_interval", "timeout", "max_size"])
def test_numbers_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        AsyncCache(**{option: -1})
    with pytest.raises(TypeError, match=option):
        AsyncCache(**{option: "1"})


async def test_sweeping_an_adapter_removes_ids_of_missing_entries_only() -> None:
    adapter = DictCache()
    cache = AsyncCache(adapter)
    for key in "ab":
        await cache.set(key, key, entry_id=f"f:{key}")
    del adapter.entries["a"]
    await cache.sweep()
    assert dict(cache.task_key_map) == {"f:b": "b"}


async def test_a_sweep_with_a_faulty_adapter_removes_no_ids() -> None:
    adapter = TroubledCache()
    cache = AsyncCache(adapter)
    await cache.set("a", 1, entry_id="f:a")
    adapter.trouble = hang
    await cache.sweep()
    assert dict(cache.task_key_map) == {"f:a": "a"}


async def test_the_cleanup_task_sweeps_at_its_interval(clock: Clock) -> None:
    cache = AsyncCache(cleanup_interval=900, clock=clock.monotonic)
    await cache.start_cleanup_task()
    await cache.start_cleanup_task()
    await cache.set("key", 1, ttl=60, entry_id="f:1")
    await asyncio.sleep(899)
    assert len(cache.task_key_map) == 1
    await asyncio.sleep(1)
    await settled()
    assert len(cache.task_key_map) == 0
    await cache.stop_cleanup_task()
    await cache.stop_cleanup_task()


async def test_with_an_interval_of_zero_nothing_is_swept(clock: Clock) -> None:
    cache = AsyncCache(cleanup_interval=0)
    await cache.start_cleanup_task()
    assert len(asyncio.all_tasks()) == 1


async def test_a_new_interval_takes_effect_at_once(clock: Clock) -> None:
    cache = AsyncCache(clock=clock.monotonic)
    await cache.start_cleanup_task()
    await settled()
    cache.cleanup_interval = 10
    assert cache.cleanup_interval == 10
    await cache.set("key", 1, ttl=1)
    await asyncio.sleep(10)
    await settled()
    assert cache.statistics().size == 0
    cache.cleanup_interval = 0
    await cache.set("key", 1, ttl=1)
    await asyncio.sleep(5000)
    assert cache.statistics().size == 1
    await cache.aclose()


async def test_a_failed_sweep_is_logged_and_the_next_one_takes_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = AsyncCache(cleanup_interval=10)
    sweeps: list[None] = []

    async def fail() -> None:
        sweeps.append(None)
        raise OSError("disk")

    monkeypatch.setattr(cache._sweeper, "_sweep", fail)
    await cache.start_cleanup_task()
    await asyncio.sleep(25)
    await cache.stop_cleanup_task()
    assert len(sweeps) == 2
    assert "sweeping the cache failed" in caplog.text


def test_a_cleanup_task_left_on_a_closed_loop_is_replaced() -> None:
    cache = AsyncCache(cleanup_interval=900)

    async def start() -> None:
        await cache.start_cleanup_task()

    async def start_and_stop() -> None:
        await cache.start_cleanup_task()
        assert len(asyncio.all_tasks()) == 2
        await cache.stop_cleanup_task()

    asyncio.run(start())
    asyncio.run(start_and_stop())


async def test_ids_never_outnumber_entries_in_memory() -> None:
    cache = AsyncCache(max_size=1000)
    for number in range(20_000):
        cache.store_nowait(str(number), cache.snapshot(number), entry_id=f"f:{number}", alias=str(number))
        assert len(cache.task_key_map) <= 1000
    assert len(cache._memory.ids._by_alias) == 1000


def test_ids_of_one_entry_with_endless_hits_are_bounded() -> None:
    ids = EntryIds(max_ids=3)
    for number in range(10):
        ids.link(f"f:{number}", "key", str(number))
    assert dict(ids.keys) == {"f:7": "key", "f:8": "key", "f:9": "key"}
    assert ids.key_of("9") == "key"
    assert ids.key_of("1") is None


def test_an_id_is_linked_to_the_latest_entry() -> None:
    ids = EntryIds()
    ids.link("f:1", "old", "1")
    ids.link("f:1", "new", "1")
    ids.forget_key("old")
    assert ids.key_of("1") == "new"
    ids.forget_key("new")
    assert ids.key_of("f:1") is None


def test_changing_the_alias_of_an_id_removes_the_old_alias() -> None:
    ids = EntryIds()
    for number in range(10):
        ids.link("f:1", "key", str(number))
    assert ids.key_of("9") == "key"
    assert [number for number in range(9) if ids.key_of(str(number))] == []
    assert len(ids._by_alias) == 1


def area(width: int, height: int = 1) -> None:
    """A sample task function."""


def user_key(context: dict[str, Any]) -> str:
    return f"{context['func_name']}:{context['kwargs']['user_id']}:{context['metadata'].get('version', 'v1')}"


def test_a_custom_key_is_used_unchanged() -> None:
    cache = AsyncCache()
    assert cache.key_for(area, (), {"user_id": 1}, key_fn=user_key) == "area:1:v1"
    assert cache.key_for("area", (), {"user_id": 1}, key_fn=user_key, metadata={"version": "v2"}) == "area:1:v2"
    assert cache.key_for(partial(area, 1), (), {"user_id": 1}, key_fn=user_key) == "area:1:v1"


def test_default_keys_of_different_calls_differ() -> None:
    cache = AsyncCache()
    keys = {
        cache.key_for(area, (1,)),
        cache.key_for(area, (True,)),
        cache.key_for(area, (), {"width": 1.0}),
        cache.key_for(user_key, (1,)),
        cache.key_for("area", (1,)),
    }
    assert len(keys) == 5
    assert cache.key_for(area, (), {"width": 1}) in keys
    assert None not in keys


def broken(context: dict[str, Any]) -> str:
    raise LookupError("no\ntenant")


def numeric(context: dict[str, Any]) -> Any:
    return 7


@pytest.mark.parametrize("key_fn", [broken, numeric, compose_key_functions(broken)], ids=["raises", "int", "inside"])
def test_a_call_is_uncached_with_one_warning_if_its_key_function_fails(
    key_fn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = AsyncCache()
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(3):
            assert cache.key_for(area, (1,), key_fn=key_fn) is None
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    assert sum(cache.statistics().bypassed.values()) == 3


def test_a_call_is_uncached_with_one_warning_if_an_argument_has_no_canonical_form(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = AsyncCache()
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(3):
            assert cache.key_for(area, (object(),)) is None
    assert len(caplog.records) == 1
    assert cache.statistics().bypassed == {"object": 3}


async def test_bypassed_calls_are_counted_for_a_limited_number_of_types(caplog: pytest.LogCaptureFixture) -> None:
    """A program may create any number of classes."""
    cache = AsyncCache()
    for number in range(1100):
        assert cache.key_for(area, (type(f"T{number}", (), {})(),)) is None
        assert cache.snapshot(type(f"T{number}", (), {})()) is None
    bypassed = cache.statistics().bypassed
    assert len(bypassed) <= 1001
    assert sum(bypassed.values()) == 1100
    assert len(caplog.records) <= 100


class Evasive:
    """Raises an error for every attribute but its name."""

    def __getattr__(self, name: str) -> str:
        if name == "__name__":
            return "evasive"
        raise KeyError(name)

    async def __call__(self) -> None: ...


def test_a_callable_that_refuses_inspection_is_called_uncached() -> None:
    cache = AsyncCache()
    assert cache.key_for(Evasive()) is None
    assert cache.key_for(Evasive(), key_fn=lambda context: context["func_name"]) == "evasive"


@pytest.mark.parametrize("key", ["", "x" * 513, "line\nbreak", 7], ids=["empty", "long", "control", "int"])
def test_validated_keys_suit_any_storage(key: Any) -> None:
    cache = AsyncCache(validate_keys=True)
    assert cache.validate_keys
    with pytest.raises(InvalidCacheKeyError):
        cache.key_for(area, (1,), key_fn=lambda context: key)
    assert cache.key_for(area, (1,))


async def test_get_or_compute_computes_stores_and_finds(cache: AsyncCache) -> None:
    calls: list[None] = []

    async def compute() -> list[int]:
        calls.append(None)
        return [1]

    for _ in range(2):
        assert await cache.get_or_compute("key", compute) == [1]
    assert len(calls) == 1
    with cache.temporarily_disabled():
        await cache.get_or_compute("key", compute)
    assert len(calls) == 2
