"""A cache that is slow, hangs, raises or talks nonsense neither fails a task, nor delays it, nor changes its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskInfo, TaskStatus
from tests.conformance.event_helpers import ended, info_of, now, time_passes
from tests.conftest import MakeWorker
from tests.support.adapters import (
    DictCache,
    TroubledCache,
    abort,
    cancel_oneself,
    hang,
    lose_connection,
    make_a_mistake,
    refuse_to_stop,
)
from tests.support.tasks import clean_up_for, echo, note, notes, sleep_for
from tests.support.waiting import running, settled

BUDGET = 0.2

Trouble = Callable[[], Awaitable[None]]


async def be_slow() -> None:
    """Take most of the time there is."""
    await asyncio.sleep(0.15)


TROUBLES = [hang, refuse_to_stop, cancel_oneself, lose_connection, make_a_mistake, abort, be_slow]


async def done(worker: AsyncTaskWorker, *call: Any, **options: Any) -> TaskInfo:
    return await ended(worker, await worker.add_task(*call, **options))


@pytest.fixture
def storage() -> TroubledCache:
    return TroubledCache()


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
@pytest.mark.parametrize("same", [True, False])
async def test_every_task_has_its_result_in_time(
    make_worker: MakeWorker, storage: TroubledCache, trouble: Trouble, same: bool
) -> None:
    worker = await make_worker(max_workers=10, cache_enabled=True, cache_adapter=storage)
    storage.trouble = trouble
    begun = now()
    ids = [await worker.add_task(sleep_for, 1, 0 if same else number) for number in range(10)]
    assert await worker.wait_for_tasks(ids) == [0 if same else number for number in range(10)]
    assert now() - begun <= 1 + BUDGET + 0.001
    assert all(info_of(worker, task_id).status is TaskStatus.COMPLETED for task_id in ids)
    await worker.cache.aclose()


@pytest.mark.parametrize("trouble", [hang, lose_connection], ids=lambda trouble: trouble.__name__)
async def test_trouble_that_begins_while_a_task_runs_costs_it_no_more(
    make_worker: MakeWorker, storage: TroubledCache, trouble: Trouble
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    begun = now()
    task_id = await worker.add_task(sleep_for, 1, "value")
    await running(worker, task_id)
    storage.trouble = trouble
    assert (await ended(worker, task_id)).result == "value"
    assert now() - begun <= 1 + BUDGET + 0.001


@pytest.mark.parametrize("budget", [0.05, 2.0])
async def test_the_time_a_cache_may_take_can_be_set(
    make_worker: MakeWorker, storage: TroubledCache, budget: float
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage, cache_timeout=budget)
    storage.trouble = hang
    begun = now()
    await done(worker, echo, 1)
    assert now() - begun == pytest.approx(budget)


async def test_invalidating_may_take_as_long_as_a_task_may_take_of_the_cache(
    make_worker: MakeWorker, storage: TroubledCache
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage, cache_timeout=2)
    await done(worker, echo, "value")
    storage.trouble = lambda: asyncio.sleep(0.5)
    assert await worker.invalidate_cache(echo, "value")
    assert storage.entries == {}
    assert worker.cache.statistics().errors == 0


async def test_what_takes_long_to_store_is_stored_without_holding_up_its_task(
    make_worker: MakeWorker, storage: TroubledCache
) -> None:
    """Looking up and storing share one budget: the task goes on, and so does the store."""
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    storage.trouble = be_slow
    begun = now()
    await done(worker, echo, 1)
    assert now() - begun == pytest.approx(BUDGET)
    assert storage.entries == {}
    await time_passes(0.2)
    storage.trouble = None
    assert (await done(worker, echo, 1)).from_cache


async def test_a_stop_waits_a_moment_for_what_is_being_stored(make_worker: MakeWorker, storage: TroubledCache) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    storage.trouble = be_slow
    await done(worker, echo, 1)
    await worker.stop()
    assert list(storage.entries.values()) == [1]


async def test_a_stop_is_bounded_whatever_the_cache_does(make_worker: MakeWorker, storage: TroubledCache) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage, cache_timeout=1000)
    task_id = await worker.add_task(clean_up_for, 1, 0.1)
    await running(worker, task_id)
    storage.trouble = hang
    await time_passes(1.5)
    begun = now()
    await worker.stop(timeout=1)
    assert now() - begun <= 2
    assert info_of(worker, task_id).status is TaskStatus.COMPLETED


async def test_a_task_that_is_cancelled_while_the_cache_is_asked_never_runs(
    make_worker: MakeWorker, storage: TroubledCache
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    storage.trouble = hang
    task_id = await worker.add_task(note, 1)
    await running(worker, task_id)
    assert await worker.cancel_task(task_id)
    assert info_of(worker, task_id).status is TaskStatus.CANCELLED
    assert notes == []


async def test_a_result_stands_once_the_function_has_returned(make_worker: MakeWorker, storage: TroubledCache) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    task_id = await worker.add_task(sleep_for, 1, "value")
    await running(worker, task_id)
    storage.trouble = hang
    await time_passes(1.1)
    assert info_of(worker, task_id).status is TaskStatus.RUNNING
    assert not await worker.cancel_task(task_id)
    info = info_of(worker, task_id)
    assert (info.status, info.result) == (TaskStatus.COMPLETED, "value")


async def test_the_timeout_of_a_task_is_for_its_function_alone(make_worker: MakeWorker, storage: TroubledCache) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    storage.trouble = hang
    info = await done(worker, sleep_for, 0.09, "value", timeout=0.1)
    assert info.result == "value"


async def test_its_time_is_not_up_while_its_result_is_being_stored(
    make_worker: MakeWorker, storage: TroubledCache
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    begun = now()
    task_id = await worker.add_task(sleep_for, 0.95, "value", timeout=1)
    await running(worker, task_id)
    storage.trouble = hang
    assert (await ended(worker, task_id)).result == "value"
    assert now() - begun == pytest.approx(0.95 + BUDGET)


class Nonsense(DictCache):
    """Returns what no adapter should."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def get(self, key: str) -> Any:
        return self.answer

    async def set(self, key: str, value: Any, ttl: int | None = None) -> Any:
        raise BaseExceptionGroup("several things", [ValueError("wrong")])

    async def delete(self, key: str) -> Any:
        return self.answer

    async def clear(self) -> None:
        raise KeyError("no")


NONSENSE: Mapping[str, Any] = {
    "nothing": None,
    "a number": 1,
    "too short": (True,),
    "too long": (True, 1, 2),
    "text": "no",
    "what cannot be copied": (True, (count for count in range(3))),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_a_miss(make_worker: MakeWorker, answer: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=Nonsense(answer))
    for _ in range(2):
        info = await done(worker, echo, "right")
        assert (info.result, info.from_cache) == ("right", False)
    await worker.invalidate_cache(echo, "right")
    assert worker.cache.statistics().errors > 0


class Hostile:
    """Cannot be looked at without something breaking."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        raise self._error

    def __eq__(self, other: object) -> bool:
        raise self._error

    def __hash__(self) -> int:
        raise self._error

    def __cache_key__(self) -> Any:
        raise self._error


@pytest.mark.parametrize("error", [ValueError("no"), RecursionError("no"), MemoryError("no")], ids=repr)
@pytest.mark.usefixtures("of_the_moment")
async def test_values_that_raise_when_read_fail_no_task(make_worker: MakeWorker, error: Exception) -> None:
    worker = await make_worker(cache_enabled=True)
    value = Hostile(error)

    async def give() -> Hostile:
        return value

    assert (await done(worker, give)).result is value
    assert (await done(worker, echo, value)).result is value


async def test_an_outage_shows_in_the_statistics(make_worker: MakeWorker, storage: TroubledCache) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=storage)
    storage.trouble = hang
    for number in range(5):
        await done(worker, echo, number)
    figures = worker.cache.statistics()
    assert figures.circuit_open
    assert (figures.faults, figures.circuit_openings) == ({"timeout": 1}, 1)
    assert figures.skipped == 9
    storage.trouble = None
    await time_passes(1)
    await done(worker, echo, 5)
    await settled()
    assert not worker.cache.statistics().circuit_open
    await done(worker, echo, 6)
    assert (await done(worker, echo, 6)).from_cache
