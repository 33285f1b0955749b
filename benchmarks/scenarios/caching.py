"""CPU time for each use of a cache, by key, in front of a function and in front of a worker."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import median
from typing import Any

from benchmarks.caches.protocol import TTL, Calls, Copies, Function, Keeps
from benchmarks.contenders.protocol import GivesResults
from benchmarks.scenarios.throughput import MICROSECONDS, SLOTS, Figures

RECORD = {
    "id": 17,
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "active": True,
    "score": 0.97,
    "tags": ["analyst", "poet", "engine"],
    "address": {"street": "St James's Square", "city": "London"},
}
"""What a task may return: a caller who alters it must not alter it for the next one."""
ROWS = [{**RECORD, "id": number} for number in range(100)]
TYPED = {
    "at": datetime(2026, 5, 17, 12, 30, tzinfo=UTC),
    "due": date(2026, 6, 1),
    "price": Decimal("19.99"),
    "place": (51.5, -0.13),
    "labels": {"new", "paid"},
    "lines": [("tea", 2), ("milk", 1)],
}


class NotCachedError(RuntimeError):
    """What was to be measured as a hit was none, or the other way round: the figure would be worthless."""


async def hits(cache: Keeps, entries: int, repeats: int) -> Figures:
    """Look every entry of a full cache up, in random order: numbers, then small records."""
    await cache.open(entries)
    return {
        "number": await _hit(cache, {key: float(number) for number, key in _keys(entries, "number")}, repeats),
        "record": await _hit(cache, _records(entries, "record"), repeats),
    }


async def evicting_sets(cache: Keeps, entries: int, count: int, repeats: int) -> Figures:
    """Store small records under new keys in a full cache: for each of them the oldest entry goes."""
    await cache.open(entries)
    first = _records(entries, "first")
    await _store(cache, first)
    rounds = [_records(count, f"turn {turn}") for turn in range(repeats + 1)]
    cost = await _median_cost(lambda records: _store(cache, records), rounds, count)
    _expect(cache.value_in(await cache.get(next(iter(first)))) is None, "the first entry has not gone")
    return {"cpu": cost}


async def calls(cache: Calls, entries: int, repeats: int) -> Figures:
    """Call a function through the cache with new arguments, then with the same again.

    New arguments cost a key, a lookup, the function (which does next to nothing) and storing
    what it returned; known ones cost a key and a lookup. Nothing is evicted.
    """
    loading = _Loading(cache)
    await loading.begin(max_size=entries * (repeats + 1))
    rounds = [range(turn * entries, (turn + 1) * entries) for turn in range(repeats + 1)]
    new = await _median_cost(loading.call_all, rounds, entries)
    loading.expect_runs(entries * len(rounds))
    known = await _median_cost(loading.call_all, rounds, entries)
    loading.expect_runs(entries * len(rounds))
    return {"new": new, "known": known}


async def calls_when_full(cache: Calls, entries: int, count: int, repeats: int) -> Figures:
    """Call a function through a full cache with new arguments: besides, the oldest entry goes each time."""
    loading = _Loading(cache)
    await loading.begin(max_size=entries)
    await loading.call_all(range(entries))
    rounds = [range(entries + turn * count, entries + (turn + 1) * count) for turn in range(repeats + 1)]
    new = await _median_cost(loading.call_all, rounds, count)
    loading.expect_runs(rounds[-1].stop)
    await loading.call_all([0])
    loading.expect_runs(rounds[-1].stop + 1)
    return {"new": new}


class _Loading:
    """A function behind a cache, which counts its runs."""

    def __init__(self, cache: Calls) -> None:
        self._cache = cache
        self._runs = 0

    async def begin(self, max_size: int) -> None:
        await self._cache.open(max_size)
        await self._cache.wrap(self._function())

    async def call_all(self, numbers: Iterable[int]) -> None:
        call = self._cache.call
        for number in numbers:
            await call((number, "eu-west"), {"active": True})

    def expect_runs(self, runs: int) -> None:
        _expect(self._runs == runs, f"the function ran {self._runs} times instead of {runs}")

    def _function(self) -> Function:
        async def load(number: int, region: str, *, active: bool) -> dict[str, object]:
            self._runs += 1
            return {**RECORD, "id": number, "name": region, "active": active}

        return load


async def copies(way: Copies, count: int, repeats: int) -> Figures:
    """Make a copy of a small record, of a hundred of them, and of one with values that JSON has no types for."""
    figures = {}
    for name, value, times in (("record", RECORD, count), ("rows", ROWS, count // 50), ("typed", TYPED, count)):
        copy = way.copier(value)
        _expect(copy() == value and copy() is not value, "not a copy")
        figures[name] = await _median_cost(_calling(copy, times), range(repeats + 1), times)
    return figures


async def tasks(contender: GivesResults, known: int, count: int, repeats: int) -> Figures:
    """Add a task whose result is cached, wait for its result, add the next."""
    ran = 0

    async def load(number: int) -> dict[str, object]:
        nonlocal ran
        ran += 1
        return {**RECORD, "id": number}

    async def ask(numbers: Iterable[int]) -> None:
        for number in numbers:
            await contender.result(await contender.add(load, number))

    await contender.open(SLOTS, cache_enabled=True)
    await ask(range(known))
    orders = [random.Random(turn).choices(range(known), k=count) for turn in range(repeats + 1)]
    cost = await _median_cost(ask, orders, count)
    _expect(ran == known, f"{ran} runs instead of {known}")
    _expect(await contender.result(await contender.add(load, 17)) == RECORD, "another result")
    return {"cpu": cost}


async def _hit(cache: Keeps, values: dict[str, Any], repeats: int) -> float:
    await _store(cache, values)
    keys = random.Random(1).sample(list(values), len(values))
    cost = await _median_cost(_looking_up(cache), [keys] * (repeats + 1), len(keys))
    for key, value in values.items():
        _expect(cache.value_in(await cache.get(key)) == value, f"{key} is no hit")
    return cost


def _looking_up(cache: Keeps) -> Callable[[list[str]], Awaitable[None]]:
    async def look_up(keys: list[str]) -> None:
        get = cache.get
        for key in keys:
            await get(key)

    return look_up


async def _store(cache: Keeps, values: dict[str, Any]) -> None:
    store = cache.set
    for key, value in values.items():
        await store(key, value, TTL)


def _calling(copy: Callable[[], Any], times: int) -> Callable[[object], Awaitable[None]]:
    async def call(_: object) -> None:
        for _ in range(times):
            copy()

    return call


async def _median_cost(use: Callable[[Any], Awaitable[None]], rounds: Iterable[Any], count: int) -> float:
    """Return the median microseconds of CPU time per use; the first round warms up and is not counted."""
    times = []
    for turn in rounds:
        gc.collect()
        start = time.process_time()
        await use(turn)
        times.append(time.process_time() - start)
    return median(times[1:]) / count * MICROSECONDS


def _keys(count: int, prefix: str) -> Iterable[tuple[int, str]]:
    """Return numbers with keys as long as real ones are."""
    return ((number, f"{prefix}:{number:032x}") for number in range(count))


def _records(count: int, prefix: str) -> dict[str, Any]:
    return {key: {**RECORD, "id": number} for number, key in _keys(count, prefix)}


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise NotCachedError(otherwise)
