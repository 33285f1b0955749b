"""The memory adapter: LRU eviction, a time to live per entry, and copies on every hit."""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_cache import MemoryCacheAdapter, UnencodableError

if TYPE_CHECKING:
    from async_task_worker.model.clock import Clock


@dataclass
class Point:
    x: int
    y: list[int]


class Plain:
    """Not a dataclass, so only pickle can copy it."""

    def __init__(self) -> None:
        self.items = [1]


class Flattened:
    """Unpickled as an object of another type."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("flat",)


def put_named(cache: MemoryCacheAdapter, key: str, entry_id: str) -> None:
    assert cache.put_nowait(key, cache.snapshot(key), entry_id=entry_id)


async def test_a_stored_value_is_found() -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", {"a": [1, (2, 3)]})
    assert await cache.get("key") == (True, {"a": [1, (2, 3)]})
    assert await cache.get("other") == (False, None)


async def test_a_stored_none_is_a_hit() -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", None)
    assert await cache.get("key") == (True, None)


async def test_a_new_value_replaces_the_old_one() -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", 1)
    await cache.set("key", 2)
    assert await cache.get("key") == (True, 2)
    assert cache.size == 1


async def test_every_hit_is_a_new_object() -> None:
    cache = MemoryCacheAdapter()
    stored = [[1]]
    await cache.set("key", stored)
    stored[0].append(2)
    _, first = await cache.get("key")
    first[0].append(3)
    assert await cache.get("key") == (True, [[1]])


async def test_immutable_values_are_returned_without_copying() -> None:
    cache = MemoryCacheAdapter()
    text = "long text " * 1000
    await cache.set("key", text)
    assert (await cache.get("key"))[1] is text


@pytest.mark.parametrize("value", [Plain(), Point(1, [2])], ids=["by pickle", "by the codec"])
async def test_an_instance_is_returned_as_a_new_instance_of_its_class(value: Any) -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", value)
    hit, found = await cache.get("key")
    assert hit
    assert type(found) is type(value)
    assert found is not value
    assert vars(found) == vars(value)


REFUSED: dict[str, Any] = {
    "a lock": threading.Lock(),
    "a generator": (n for n in "ab"),
    "a lambda": lambda: 1,
    "what would come back as something else": Flattened(),
    "what holds such a thing": [Plain(), {"a": Flattened()}],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
async def test_values_that_cannot_be_copied_faithfully_are_refused(value: Any) -> None:
    cache = MemoryCacheAdapter()
    with pytest.raises(UnencodableError):
        await cache.set("key", value)
    assert cache.size == 0


async def test_an_entry_expires_after_its_ttl(clock: Clock) -> None:
    cache = MemoryCacheAdapter(clock=clock.monotonic)
    await cache.set("short", 1, ttl=0.5)
    await cache.set("long", 2, ttl=60)
    await asyncio.sleep(0.4)
    assert await cache.get("short") == (True, 1)
    await asyncio.sleep(0.1)
    assert await cache.get("short") == (False, None)
    assert await cache.get("long") == (True, 2)
    assert cache.counters.expirations == 1


async def test_a_hit_does_not_extend_the_ttl(clock: Clock) -> None:
    cache = MemoryCacheAdapter(clock=clock.monotonic)
    await cache.set("key", 1, ttl=2)
    for _ in range(2):
        assert (await cache.get("key"))[0]
        await asyncio.sleep(1)
    assert not (await cache.get("key"))[0]


@pytest.mark.parametrize("ttl", [None, math.inf, 1e300, 10**400], ids=str)
async def test_an_entry_without_expiry_stays(clock: Clock, ttl: Any) -> None:
    cache = MemoryCacheAdapter(clock=clock.monotonic)
    await cache.set("key", 1, ttl=ttl)
    await asyncio.sleep(100 * 365 * 86_400)
    assert await cache.get("key") == (True, 1)


@pytest.mark.parametrize("ttl", [0, 0.0, -1, -math.inf], ids=str)
async def test_a_ttl_of_zero_or_less_stores_nothing(ttl: float) -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", 1, ttl=ttl)
    assert cache.size == 0


async def test_a_ttl_that_is_not_a_number_is_refused() -> None:
    cache = MemoryCacheAdapter()
    with pytest.raises(ValueError, match="NaN"):
        await cache.set("key", 1, ttl=math.nan)
    for ttl in ("60", True, [1]):
        with pytest.raises(TypeError, match="ttl"):
            await cache.set("key", 1, ttl=ttl)  # type: ignore[arg-type]
    await cache.set("key", 1, ttl=Fraction(1, 2))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await cache.set("key", 1, ttl=Decimal(1))  # type: ignore[arg-type]


async def test_the_least_recently_used_entry_is_evicted() -> None:
    cache = MemoryCacheAdapter(max_size=2)
    await cache.set("a", 1)
    await cache.set("b", 2)
    await cache.get("a")
    await cache.set("c", 3)
    assert await cache.get("b") == (False, None)
    assert await cache.get("a") == (True, 1)
    assert cache.counters.evictions == 1


async def test_a_size_of_zero_stores_nothing() -> None:
    cache = MemoryCacheAdapter(max_size=0)
    assert cache.set_nowait("key", 1) is False
    assert cache.size == 0


async def test_without_a_size_limit_nothing_is_evicted() -> None:
    cache = MemoryCacheAdapter(max_size=None)
    for number in range(5000):
        cache.set_nowait(str(number), number)
    assert cache.size == 5000
    assert cache.counters.evictions == 0


async def test_max_bytes_limits_the_total_size_of_values() -> None:
    cache = MemoryCacheAdapter(max_bytes=10_000)
    for number in range(10):
        cache.set_nowait(str(number), b"x" * 2000)
        assert cache.bytes <= 10_000
    assert cache.get_nowait("9")[0]
    assert not cache.get_nowait("0")[0]


async def test_a_value_larger_than_max_bytes_only_deletes_the_entry_it_replaces() -> None:
    cache = MemoryCacheAdapter(max_bytes=1000)
    cache.set_nowait("a", 1)
    cache.set_nowait("b", 2)
    assert cache.set_nowait("a", b"x" * 2000) is False
    assert cache.get_nowait("a") == (False, None)
    assert cache.get_nowait("b") == (True, 2)


async def test_delete_returns_whether_there_was_an_unexpired_entry(clock: Clock) -> None:
    cache = MemoryCacheAdapter(clock=clock.monotonic)
    await cache.set("key", 1)
    await cache.set("late", 1, ttl=1)
    await asyncio.sleep(1)
    assert await cache.delete("key") is True
    assert await cache.delete("key") is False
    assert await cache.delete("late") is False
    assert cache.size == 0


async def test_clear_deletes_every_entry() -> None:
    cache = MemoryCacheAdapter()
    for number in range(10):
        put_named(cache, str(number), f"task:{number}")
    await cache.clear()
    assert (cache.size, cache.bytes, len(cache.ids.keys)) == (0, 0, 0)


async def test_sweeping_deletes_expired_entries_only(clock: Clock) -> None:
    cache = MemoryCacheAdapter(clock=clock.monotonic)
    await cache.set("late", 1, ttl=1)
    await cache.set("key", 2, ttl=3)
    await asyncio.sleep(2)
    await cache.sweep()
    assert cache.size == 1
    assert cache.counters.expirations == 1


async def test_ids_are_removed_with_their_entry(clock: Clock) -> None:
    cache = MemoryCacheAdapter(max_size=2, clock=clock.monotonic)
    put_named(cache, "a", "task:1")
    put_named(cache, "b", "task:2")
    put_named(cache, "c", "task:3")
    assert dict(cache.ids.keys) == {"task:2": "b", "task:3": "c"}
    cache.delete_nowait("b")
    assert dict(cache.ids.keys) == {"task:3": "c"}


async def test_on_removed_gets_the_key_and_the_reason(clock: Clock) -> None:
    gone: list[tuple[str, str]] = []
    cache = MemoryCacheAdapter(2, clock=clock.monotonic, on_removed=lambda key, why: gone.append((key, why)))
    for key in "abc":
        await cache.set(key, key, ttl=1)
    await cache.delete("b")
    await asyncio.sleep(1)
    await cache.get("c")
    await cache.set("d", 1)
    await cache.clear()
    assert gone == [("a", "evicted"), ("b", "deleted"), ("c", "expired"), ("d", "deleted")]


async def test_a_value_that_can_no_longer_be_decoded_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCacheAdapter()
    await cache.set("key", Plain())

    def fail(_: object, state: object) -> None:
        raise RuntimeError("this class has changed")

    monkeypatch.setattr(Plain, "__setstate__", fail, raising=False)
    assert await cache.get("key") == (False, None)
    assert cache.size == 0
    assert cache.counters.faults == {"corrupt": 1}


@pytest.mark.parametrize("option", ["max_size", "max_bytes"])
def test_limits_must_be_non_negative_integers(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        MemoryCacheAdapter(**{option: -1})
    for wrong in (1.5, "10", True):
        with pytest.raises(TypeError, match=option):
            MemoryCacheAdapter(**{option: wrong})  # type: ignore[arg-type]


KEYS = st.sampled_from("abcdef")
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 3), st.sampled_from([None, 0.5, 1.5, 3.0])),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0])),
)


class Model:
    """The expected behaviour in its simplest form: a list from least to most recently used."""

    def __init__(self, size: int) -> None:
        self.size, self.now = size, 0.0
        self.entries: list[tuple[str, int, float]] = []

    def taken(self, key: str) -> tuple[str, int, float] | None:
        found = next((entry for entry in self.entries if entry[0] == key), None)
        self.entries = [entry for entry in self.entries if entry[0] != key]
        return found if found is None or found[2] > self.now else None

    def set(self, key: str, value: int, ttl: float | None) -> None:
        self.taken(key)
        self.entries.append((key, value, math.inf if ttl is None else self.now + ttl))
        self.entries = self.entries[-self.size :]

    def get(self, key: str) -> tuple[bool, int | None]:
        entry = self.taken(key)
        if entry is None:
            return False, None
        self.entries.append(entry)
        return True, entry[1]


@settings(max_examples=300, deadline=None)
@given(size=st.integers(1, 4), steps=st.lists(STEPS, max_size=40))
def test_any_sequence_of_operations_behaves_like_the_model(size: int, steps: list[Any]) -> None:
    model = Model(size)
    cache = MemoryCacheAdapter(size, clock=lambda: model.now)
    for step in steps:
        match step:
            case "set", key, value, ttl:
                model.set(key, value, ttl)
                cache.set_nowait(key, value, ttl)
            case "get", key:
                assert cache.get_nowait(key) == model.get(key)
            case "delete", key:
                assert cache.delete_nowait(key) == (model.taken(key) is not None)
            case "wait", seconds:
                model.now += seconds
        assert cache.size == len(model.entries)
