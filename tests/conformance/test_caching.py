"""Results that are known already: when a task is answered from the cache, and when it must not be."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from async_cache import (
    InvalidCacheKeyError,
    MemoryCacheAdapter,
    compose_key_functions,
    default_key,
    extract_key_component,
)
from async_cache import key_component as named_component
from async_task_worker import (
    AsyncCacheAdapter,
    AsyncTaskWorker,
    DuplicateTaskError,
    TaskInfo,
    TaskStatus,
    register_task,
    task,
)
from tests.conformance.event_helpers import ended, event_types, info_of, record_events, status_of, time_passes
from tests.conftest import MakeWorker
from tests.support.adapters import DictCache, JsonCache
from tests.support.backends import Backend
from tests.support.parameter_ids import shown
from tests.support.tasks import collect, echo, fail_with, note, notes, open_gate, sleep_for, stubborn, wait_at
from tests.support.waiting import running, settled

ADAPTERS: dict[str, Callable[[], Any]] = {
    "memory": lambda: None,
    "MemoryCacheAdapter": MemoryCacheAdapter,
    "AsyncCacheAdapter": AsyncCacheAdapter,
    "a subclass of CacheAdapter": DictCache,
    "an object with four methods": JsonCache,
    "sqlite": lambda: "sqlite",
}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, backend: Backend) -> Any:
    """Each kind of storage that can be given to a worker."""
    if request.param == "sqlite" and not backend.durable:
        pytest.skip("there is no file to keep results in")
    return ADAPTERS[request.param]()


async def done(worker: AsyncTaskWorker, *call: Any, **options: Any) -> TaskInfo:
    return await ended(worker, await worker.add_task(*call, **options))


# --- hits ---------------------------------------------------------------------------------


async def test_what_was_done_once_is_not_done_again(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    first = await done(worker, note, "once")
    second = await done(worker, note, "once")
    assert (first.result, second.result, notes) == ("once", "once", ["once"])
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.status is TaskStatus.COMPLETED
    assert second.progress == 1.0


async def test_changing_a_result_does_not_change_the_cached_one(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    for _ in range(3):
        result = (await done(worker, collect, 1, two=[2])).result
        assert result == [[1], {"two": [2]}]
        result[0].append("changed by its reader")
        result[1]["two"].clear()


async def test_the_task_that_ran_keeps_its_own_object(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    mine = ["the very object"]
    assert (await done(worker, echo, mine)).result is mine
    assert (await done(worker, echo, mine)).result is not mine


@pytest.mark.parametrize("result", [None, False, 0, "", [], 1.5, {"a": [1, None]}])
async def test_every_kind_of_result_is_found_again(make_worker: MakeWorker, adapter: Any, result: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, echo, result)
    again = await done(worker, echo, result)
    assert (again.from_cache, again.result) == (True, result)


async def test_calls_that_differ_in_anything_are_done_each(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        *(((value,), {}) for value in (1, True, 1.0, "1", None, [1], (1,), {1: 1}, {"1": 1}, b"1")),
        *(((), {name: 1}) for name in ("a", "b")),
        ((1, 1), {}),
        ((), {}),
    ]
    for args, kwargs in calls:
        assert not (await done(worker, collect, *args, **kwargs)).from_cache
    assert (await done(worker, collect, a=1)).from_cache


async def test_the_order_of_keywords_makes_no_difference(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    await done(worker, collect, a=1, b=2)
    assert (await done(worker, collect, b=2, a=1)).from_cache


@pytest.mark.usefixtures("of_the_moment")
async def test_functions_of_one_name_do_not_share_their_results(make_worker: MakeWorker) -> None:
    def made(answer: str) -> Any:
        async def work() -> str:
            return answer

        return work

    worker = await make_worker(cache_enabled=True)
    left, right = made("left"), made("right")
    assert [(await done(worker, func)).result for func in (left, right, left)] == ["left", "right", "left"]
    half = functools.partial(collect, 1)
    assert [(await done(worker, func, 2)).result for func in (half, collect)] == [[[1, 2], {}], [[2], {}]]


async def test_a_hit_is_admitted_and_completed_at_once(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    await done(worker, echo, 1)
    events = record_events(worker)
    task_id = await worker.add_task(echo, 1, task_id="mine", metadata={"user": "ada"})
    info = info_of(worker, task_id)
    assert (info.status, info.result, info.metadata) == ("completed", 1, {"user": "ada"})
    assert (info.started_at, info.attempt, info.phase) == (None, 0, None)
    assert info.completed_at is not None
    assert event_types(events) == ["created", "completed"]
    assert await worker.get_task_future(task_id) == 1
    assert worker.counts()[TaskStatus.COMPLETED] == 2
    await worker.drain(timeout=0)


async def test_a_hit_takes_no_slot_and_no_capacity(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1, on_full="error", cache_enabled=True)
    await done(worker, echo, 1)
    await running(worker, await worker.add_task(wait_at, "gate", use_cache=False))
    await worker.add_task(wait_at, "gate", use_cache=False)
    assert (await done(worker, echo, 1)).from_cache
    open_gate("gate")


async def test_a_known_id_is_refused_for_a_hit_too(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, echo, 1, task_id="taken")
    with pytest.raises(DuplicateTaskError):
        await worker.add_task(echo, 1, task_id="taken")
    assert len(worker.get_all_tasks()) == 1


async def test_it_is_asked_once_more_before_running(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=adapter, coalesce=False)
    ids = [await worker.add_task(note, "once") for _ in range(3)]
    assert await worker.wait_for_tasks(ids) == ["once"] * 3
    assert notes == ["once"]
    assert [info_of(worker, task_id).from_cache for task_id in ids] == [False, True, True]
    figures = worker.cache.statistics()
    assert (figures.hits, figures.misses, figures.sets) == (2, 1, 1)


@pytest.mark.usefixtures("several_workers")
async def test_workers_can_share_a_cache(make_worker: MakeWorker) -> None:
    shared = AsyncCacheAdapter()
    first = await make_worker(cache_enabled=True, cache_adapter=shared)
    second = await make_worker(cache_enabled=True, cache_adapter=shared)
    await done(first, echo, 1)
    assert (await done(second, echo, 1)).from_cache
    assert second.cache is shared


class Counted(AsyncCacheAdapter):
    """Says how much it holds, so that it counts as false while it is empty."""

    def __len__(self) -> int:
        return self.statistics().size or 0


async def test_an_empty_cache_is_used_like_any_other(make_worker: MakeWorker) -> None:
    counted = Counted()
    worker = await make_worker(cache_enabled=True, cache_adapter=counted)
    assert [(await done(worker, echo, 1)).from_cache for _ in range(2)] == [False, True]
    assert worker.cache is counted
    assert len(counted) == 1


async def test_submit_takes_the_same_options(make_worker: MakeWorker) -> None:
    worker = await make_worker()
    keys: list[str] = []

    def key_of(context: dict[str, Any]) -> str:
        keys.append(f"{context['func_name']} {context['kwargs']['priority']}")
        return keys[-1]

    for _ in range(2):
        task_id = await worker.submit(collect, [1], {"priority": 5}, use_cache=True, cache_ttl=60, cache_key_fn=key_of)
        assert await worker.get_task_future(task_id) == [[1], {"priority": 5}]
    assert info_of(worker, task_id).from_cache
    assert keys == ["collect 5"] * 2


# --- what is not kept ---------------------------------------------------------------------


async def test_failures_and_cancellations_are_not_kept(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    for _ in range(2):
        assert (await done(worker, fail_with, "no")).status is TaskStatus.FAILED
        assert (await done(worker, sleep_for, 5, timeout=1)).status is TaskStatus.FAILED
        task_id = await worker.add_task(sleep_for, 5)
        await running(worker, task_id)
        assert await worker.cancel_task(task_id)
    assert worker.cache.statistics().sets == 0


async def test_what_a_task_returns_after_it_was_left_behind_is_not_kept(make_worker: MakeWorker, adapter: Any) -> None:
    """It was told to stop: what it returns then may be half of what it would have been."""
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    task_id = await worker.add_task(stubborn, "gate", "half done")
    await running(worker, task_id)
    assert await worker.cancel_task(task_id)
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0
    assert worker.cache.statistics().sets == 0
    assert not worker.cache.task_key_map


@task("numbers_one_by_one")
async def numbers() -> Iterator[int]:
    return iter(count for count in range(3))


async def test_a_result_without_a_faithful_copy_is_not_kept_and_the_task_has_it_all_the_same(
    make_worker: MakeWorker, adapter: Any
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    for _ in range(2):
        info = await done(worker, numbers)
        assert (list(info.result), info.from_cache) == ([0, 1, 2], False)
    assert worker.cache.statistics().refused == {"unencodable": 2}


@pytest.mark.usefixtures("of_the_moment")
async def test_a_call_with_an_argument_that_has_no_key_is_not_cached(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await make_worker(cache_enabled=True)
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(3):
            assert not (await done(worker, echo, object())).from_cache
    assert len(caplog.records) == 1
    assert worker.cache.statistics().bypassed == {"object": 3}


async def test_a_result_that_is_too_large_is_not_kept(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=AsyncCacheAdapter(max_serialized_size=100))
    for _ in range(2):
        assert not (await done(worker, echo, "x" * 200)).from_cache
    assert worker.cache.statistics().refused == {"too large": 2}


@task("total")
async def total(numbers: list[int]) -> int:
    return sum(numbers)


@task("pop")
async def pop(numbers: list[int]) -> int:
    return numbers.pop()


async def test_a_task_whose_argument_was_changed_before_it_ran_leaves_nothing_behind(
    make_worker: MakeWorker, adapter: Any
) -> None:
    """It runs with what the argument is by then, as it would without a cache: others must not get that."""
    worker = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=adapter)
    await running(worker, await worker.add_task(wait_at, "slot"))
    numbers = [1, 2]
    changed = await worker.add_task(total, numbers)
    follower = await worker.add_task(total, [1, 2])
    numbers.append(3)
    open_gate("slot")
    assert await worker.wait_for_tasks([changed, follower]) == [6, 3]
    assert (await done(worker, total, [1, 2])).result == 3
    assert not (await done(worker, total, [1, 2, 3])).from_cache


@dataclasses.dataclass
class Basket:
    prices: list[int]

    async def total(self) -> int:
        return sum(self.prices)


@pytest.mark.parametrize(
    "bound",
    [lambda numbers: Basket(numbers).total, lambda numbers: functools.partial(total, numbers)],
    ids=["a method", "a partial"],
)
@pytest.mark.usefixtures("of_the_moment")
async def test_what_a_function_is_bound_to_is_looked_at_like_an_argument(
    make_worker: MakeWorker, bound: Callable[[list[int]], Any]
) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot"))
    numbers = [1, 2]
    changed = await worker.add_task(bound(numbers))
    numbers.append(3)
    open_gate("slot")
    assert (await ended(worker, changed)).result == 6
    assert (await done(worker, bound([1, 2]))).result == 3
    assert (await done(worker, bound([1, 2]))).from_cache


async def test_a_function_may_change_its_arguments(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    assert [(await done(worker, pop, [1, 2])).from_cache for _ in range(2)] == [False, True]


# --- switches -----------------------------------------------------------------------------


async def test_nothing_is_cached_unless_asked_for(worker: AsyncTaskWorker) -> None:
    for _ in range(2):
        assert not (await done(worker, note, 1)).from_cache
    assert notes == [1, 1]


@pytest.mark.parametrize("adapter_enabled", [None, True, False])
@pytest.mark.parametrize("worker_enabled", [True, False])
@pytest.mark.parametrize("use_cache", [None, True, False])
async def test_the_task_beats_the_switches_and_both_switches_must_be_on(
    make_worker: MakeWorker, use_cache: bool | None, worker_enabled: bool, adapter_enabled: bool | None
) -> None:
    given = None if adapter_enabled is None else AsyncCacheAdapter(enabled=adapter_enabled)
    worker = await make_worker(cache_enabled=worker_enabled, cache_adapter=given)
    for _ in range(2):
        last = await done(worker, note, 1, use_cache=use_cache)
    expected = (worker_enabled and adapter_enabled is not False) if use_cache is None else use_cache
    assert last.from_cache is expected


async def test_a_task_without_caching_neither_reads_nor_writes(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, note, 1, use_cache=False)
    assert not (await done(worker, note, 1)).from_cache
    assert not (await done(worker, note, 1, use_cache=False)).from_cache
    assert notes == [1, 1, 1]


async def test_the_switch_of_the_cache_can_be_turned_at_any_time(make_worker: MakeWorker) -> None:
    worker = await make_worker()
    seen = []
    for enabled in (True, True, False, True):
        worker.cache.enabled = enabled
        seen.append((await done(worker, echo, 1)).from_cache)
    assert seen == [False, True, False, True]


async def test_a_pause_beats_everything(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, echo, 1)
    async with worker.cache._cache.temporarily_disabled():
        with worker.cache._cache.temporarily_disabled():
            assert not (await done(worker, echo, 1, use_cache=True)).from_cache
        assert not (await done(worker, echo, 2, use_cache=True)).from_cache
    assert (await done(worker, echo, 1)).from_cache
    assert not (await done(worker, echo, 2)).from_cache


async def test_a_pause_is_at_hand_without_reaching_inside(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    await done(worker, echo, 1)
    with worker.cache.temporarily_disabled():
        assert not (await done(worker, echo, 1)).from_cache
    assert (await done(worker, echo, 1)).from_cache


async def test_whether_a_task_is_cached_is_decided_when_it_is_added(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    early = await worker.add_task(wait_at, "gate", "early")
    with worker.cache._cache.temporarily_disabled():
        late = await worker.add_task(wait_at, "gate", "late")
        open_gate("gate")
        await worker.wait_for_tasks([early])
    await worker.wait_for_tasks([late])
    assert (await done(worker, wait_at, "gate", "early")).from_cache
    assert not (await done(worker, wait_at, "gate", "late")).from_cache


# --- how long -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "lives"),
    [
        ({"cache_ttl": 60}, 60),
        ({"cache_ttl": 0.5}, 0.5),
        ({"cache_ttl": None}, 1000),
        ({"cache_ttl": float("inf")}, float("inf")),
    ],
)
async def test_a_result_expires_after_the_ttl_of_its_task(
    make_worker: MakeWorker, options: dict[str, Any], lives: float
) -> None:
    worker = await make_worker(cache_enabled=True, cache_ttl=1000, cleanup_interval=0)
    await done(worker, echo, 1, **options)
    await time_passes(min(lives, 1e6) - 0.1)
    assert (await done(worker, echo, 1)).from_cache
    if lives != float("inf"):
        await time_passes(0.2)
        assert not (await done(worker, echo, 1)).from_cache


@pytest.mark.parametrize("ttl", [0, -1, -float("inf")])
async def test_a_result_with_a_ttl_of_zero_is_not_stored(make_worker: MakeWorker, adapter: Any, ttl: float) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    for _ in range(2):
        assert not (await done(worker, echo, 1, cache_ttl=ttl)).from_cache
    assert not worker.cache.task_key_map


async def test_a_result_never_expires_without_a_cache_ttl(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_ttl=None, cleanup_interval=0)
    await done(worker, echo, 1)
    await time_passes(1e9)
    assert (await done(worker, echo, 1)).from_cache


@pytest.mark.parametrize(("own", "lives"), [(10, 10), (None, 1000)])
async def test_the_ttl_of_the_cache_itself_beats_that_of_the_worker(
    make_worker: MakeWorker, own: float | None, lives: float
) -> None:
    clock = asyncio.get_running_loop().time
    cache = AsyncCacheAdapter(default_ttl=own, adapter=MemoryCacheAdapter(clock=clock))
    worker = await make_worker(cache_enabled=True, cache_ttl=1000, cache_adapter=cache)
    await done(worker, echo, 1)
    await time_passes(lives - 1)
    assert (await done(worker, echo, 1)).from_cache
    await time_passes(2)
    assert not (await done(worker, echo, 1)).from_cache


@pytest.mark.parametrize(("ttl", "lives"), [(None, True), (60, False)])
async def test_the_default_can_be_changed_while_the_worker_runs(
    make_worker: MakeWorker, ttl: float | None, lives: bool
) -> None:
    worker = await make_worker(cache_enabled=True, cache_ttl=100)
    worker.cache.default_ttl = ttl
    await done(worker, echo, 1)
    await time_passes(99 if ttl else 1e6)
    assert (await done(worker, echo, 1)).from_cache is lives


async def test_a_custom_adapter_gets_the_ttl(make_worker: MakeWorker) -> None:
    storage = DictCache()
    worker = await make_worker(cache_enabled=True, cache_ttl=1000, cache_adapter=storage)
    await done(worker, echo, 1)
    await done(worker, echo, 2, cache_ttl=60)
    assert list(storage.ttls.values()) == [1000, 60]


async def test_the_least_recently_used_result_is_evicted(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_max_size=2)
    for value in (1, 2, 1, 3):
        await done(worker, echo, value)
    assert [(await done(worker, echo, value)).from_cache for value in (1, 3, 2)] == [True, True, False]


# --- keys of one's own --------------------------------------------------------------------


@task("get_user_data")
async def get_user_data(user_id: int) -> str:
    return f"user {user_id}"


@named_component("user")
def user_component(context: dict[str, Any]) -> str:
    return str(context["kwargs"].get("user_id", "anonymous"))


@named_component()
def timestamp(context: dict[str, Any]) -> Any:
    return context["metadata"].get("timestamp", "0")


KEYS: list[tuple[Any, dict[str, Any], str]] = [
    (
        compose_key_functions(
            extract_key_component("func_name"),
            extract_key_component("kwargs.user_id"),
            extract_key_component("metadata.version"),
        ),
        {"version": "v2"},
        "get_user_data:123:v2",
    ),
    (
        compose_key_functions(user_component, timestamp),
        {"timestamp": "2023-04-01"},
        "user:123:timestamp:2023-04-01",
    ),
    (lambda context: f"{context['fn_name']}:v{context['metadata'].get('version', '1.0')}", {}, "get_user_data:v1.0"),
]


@pytest.mark.parametrize(("key_fn", "metadata", "key"), KEYS, ids=[key for _, _, key in KEYS])
async def test_a_key_function_makes_the_key_of_the_result(
    make_worker: MakeWorker, key_fn: Any, metadata: dict[str, Any], key: str
) -> None:
    storage = DictCache()
    worker = await make_worker(cache_adapter=storage)
    options = {"use_cache": True, "metadata": metadata, "cache_key_fn": key_fn}
    await done(worker, get_user_data, user_id=123, **options)
    assert storage.entries == {key: "user 123"}
    assert (await done(worker, get_user_data, user_id=123, **options)).from_cache
    assert await worker.invalidate_cache(get_user_data, user_id=123, metadata=metadata, cache_key_fn=key_fn)
    assert storage.entries == {}


async def test_a_key_function_gets_the_whole_call(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    contexts: list[dict[str, Any]] = []

    def key_of(context: dict[str, Any]) -> str:
        contexts.append(context)
        return "key"

    task_id = await worker.add_task(collect, 1, two=2, metadata={"user": "ada"}, cache_key_fn=key_of)
    await worker.add_task(echo, 1, cache_key_fn=key_of)
    assert contexts[0] == {
        "func_name": "collect",
        "fn_name": "collect",
        "args": (1,),
        "kwargs": {"two": 2},
        "entry_id": worker.cache.generate_entry_id("collect", task_id),
        "metadata": {"user": "ada"},
    }
    assert contexts[1]["metadata"] == {}


@task("priced")
async def priced(month: str, currency: str = "EUR", *, progress_callback: Any = None) -> str:
    note_it = f"{month} in {currency}"
    notes.append(note_it)
    return note_it


async def test_calls_that_mean_the_same_share_a_result(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, priced, "May")
    for args, kwargs in [((), {"month": "May"}), (("May", "EUR"), {}), (("May",), {"currency": "EUR"})]:
        assert (await done(worker, priced, *args, **kwargs)).from_cache
        assert await worker.cache.get(priced, args, kwargs) == (True, "May in EUR")
    assert (await done(worker, priced, "May", "USD")).result == "May in USD"
    assert await worker.invalidate_cache(priced, currency="EUR", month="May")
    assert not (await done(worker, priced, "May")).from_cache
    assert await worker.cache.invalidate(priced, ("May",), {"currency": "USD"})
    assert await worker.cache.set(priced, (), {"currency": "USD", "month": "May"}, "stored by hand")
    assert (await done(worker, priced, "May", "USD")).result == "stored by hand"
    assert notes == ["May in EUR", "May in USD", "May in EUR"]


@task("recalled")
async def recalled(item: int, memory: list[int] = []) -> list[int]:  # noqa: B006 - the point
    memory.append(item)
    return [*memory]


async def test_a_default_that_changes_before_the_task_runs_is_noticed(make_worker: MakeWorker) -> None:
    """The result does not belong under the key of the values that the task was added with."""
    worker = await make_worker(cache_enabled=True, max_workers=1)
    memory = recalled.__defaults__[0]
    memory.clear()
    busy = await worker.add_task(wait_at, "gate", "busy")
    late = await worker.add_task(recalled, 1)
    memory.append(0)
    open_gate("gate")
    await worker.wait_for_tasks([busy, late])
    assert (await worker.cache.get(recalled, (1,), {"memory": []})) == (False, None)
    memory.clear()
    assert (await done(worker, recalled, 1)).result == [1]


async def test_the_default_key_can_be_a_component(make_worker: MakeWorker, adapter: Any) -> None:
    tenant = compose_key_functions(extract_key_component("metadata.tenant"), default_key)
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    red, blue = ({"metadata": {"tenant": name}, "cache_key_fn": tenant} for name in ("red", "blue"))
    assert (await done(worker, priced, "May", **red)).result == "May in EUR"
    assert not (await done(worker, priced, "May", **blue)).from_cache
    assert (await done(worker, priced, "May", currency="USD", **red)).result == "May in USD"
    assert (await done(worker, priced, month="May", currency="EUR", **red)).from_cache
    assert not (await done(worker, priced, "May")).from_cache
    assert await worker.invalidate_cache(priced, "May", "EUR", **blue)


def keyed_by(word: str) -> Any:
    return compose_key_functions(lambda context: word, extract_key_component("metadata.tenant"), default_key)


@task("own key", cache_key_fn=keyed_by("of the task"))
async def with_own_key(value: int) -> int:
    return value


async def test_the_key_function_of_the_call_precedes_that_of_the_task_and_the_worker(
    make_worker: MakeWorker, adapter: Any
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter, cache_key_fn=keyed_by("of the worker"))
    await done(worker, with_own_key, 1, cache_key_fn=keyed_by("of the call"))
    await done(worker, with_own_key, 2)
    await done(worker, echo, 3)
    if not isinstance(adapter, AsyncCacheAdapter):
        assert await worker.cache.get(echo, (3,), None) == (True, 3)
    assert await worker.cache.get(with_own_key, (), {"value": 2}) == (True, 2)
    assert await worker.cache.get(with_own_key, (1,), None) == (False, None)
    assert [key.partition(":")[0] for key in worker.cache.task_key_map.values()] == [
        "of the call", "of the task", "of the worker",
    ]  # fmt: skip
    assert await worker.invalidate_cache(with_own_key, 2)
    assert await worker.invalidate_cache(echo, 3)
    assert not await worker.invalidate_cache(with_own_key, 1)
    assert await worker.invalidate_cache(with_own_key, 1, cache_key_fn=keyed_by("of the call"))


async def test_tenants_are_kept_apart_while_their_tasks_run_too(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_key_fn=keyed_by("tenants"))
    ids = [await worker.add_task(wait_at, "gate", 1, metadata={"tenant": name}) for name in ("red", "blue", "red")]
    await settled()
    assert [info_of(worker, task_id).phase for task_id in ids] == [None, None, "coalesced"]
    open_gate("gate")
    await worker.wait_for_tasks(ids)
    assert [info_of(worker, task_id).from_cache for task_id in ids] == [False, False, True]


async def test_a_name_of_a_function_has_its_own_key_function(make_worker: MakeWorker) -> None:
    register_task("another name of echo", echo, cache_key_fn=keyed_by("of the name"))
    worker = await make_worker(cache_enabled=True)
    await ended(worker, await worker.submit("another name of echo", [1]))
    assert not (await done(worker, echo, 1)).from_cache
    keys = list(worker.cache.task_key_map.values())
    assert [key.startswith("of the name:") for key in keys] == [True, False]


@pytest.mark.parametrize(
    "register",
    [
        lambda odd: task("odd", cache_key_fn=odd)(echo),
        lambda odd: register_task("odd", echo, cache_key_fn=odd),
        lambda odd: AsyncTaskWorker(cache_key_fn=odd),
    ],
    ids=["task", "register_task", "worker"],
)
@pytest.mark.usefixtures("backend")
def test_what_is_no_key_function_is_refused(register: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="cache_key_fn must be a function"):
        register("key")


async def test_metadata_is_part_of_the_key_only_with_a_key_function(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    await done(worker, echo, 1, metadata={"user": "ada"})
    assert (await done(worker, echo, 1, metadata={"user": "bob"})).from_cache


async def test_tenants_are_kept_apart_by_a_key_function(make_worker: MakeWorker) -> None:
    tenant = compose_key_functions(extract_key_component("metadata.tenant"), extract_key_component("args.0"))
    worker = await make_worker(cache_enabled=True)
    for metadata in ({"tenant": "a"}, {"tenant": "b"}, {}, {"tenant": None}, {"tenant": "a:b"}):
        assert not (await done(worker, echo, "data", metadata=metadata, cache_key_fn=tenant)).from_cache
    assert (await done(worker, echo, "data", metadata={"tenant": "a"}, cache_key_fn=tenant)).from_cache


BAD_KEY_FUNCTIONS: dict[str, Any] = {
    "raises": lambda context: context["metadata"]["tenant"],
    "returns no string": lambda context: None,
    "takes no context": lambda: "key",
}


@pytest.mark.parametrize("key_fn", BAD_KEY_FUNCTIONS.values(), ids=BAD_KEY_FUNCTIONS)
async def test_a_key_function_that_fails_means_no_caching_and_one_warning(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture, key_fn: Any
) -> None:
    """Never the default key instead: that could show one tenant what is another's."""
    worker = await make_worker(cache_enabled=True)
    with caplog.at_level(logging.WARNING, "async_cache"):
        for _ in range(2):
            info = await done(worker, echo, 1, cache_key_fn=key_fn)
            assert (info.result, info.from_cache) == (1, False)
    assert len(caplog.records) == 1
    assert not (await done(worker, echo, 1)).from_cache


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 513, None, 5])
async def test_a_key_that_is_none_is_refused_where_keys_are_validated(make_worker: MakeWorker, key: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=AsyncCacheAdapter(validate_keys=True))
    with pytest.raises(InvalidCacheKeyError):
        await worker.add_task(echo, 1, cache_key_fn=lambda context: key)
    assert worker.get_all_tasks() == []
    assert (await done(worker, echo, 1)).result == 1


# --- by id --------------------------------------------------------------------------------


async def test_a_result_is_found_by_the_id_of_every_task_that_had_it(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_adapter=adapter)
    ids = [(await done(worker, echo, [1], use_cache=True)).id for _ in range(2)]
    for task_id in ids:
        for name in (task_id, worker.cache.generate_entry_id("echo", task_id)):
            assert await worker.cache.get_by_task_id(name) == (True, [1])
    assert await worker.cache.get_by_task_id("nobody") == (False, None)
    assert await worker.cache.invalidate_by_task_id(ids[1])
    assert await worker.cache.get_by_task_id(ids[0]) == (False, None)
    assert not await worker.cache.invalidate_by_task_id(ids[0])


async def test_the_mapping_of_ids_can_be_looked_at(make_worker: MakeWorker) -> None:
    storage = DictCache()
    worker = await make_worker(cache_enabled=True, cache_adapter=storage)
    info = await done(worker, echo, 1, cache_key_fn=lambda context: "key")
    assert dict(worker.cache.task_key_map) == {worker.cache.generate_entry_id("echo", info.id): "key"}
    assert worker.cache.entry_key_map == worker.cache.task_key_map


async def test_an_id_is_forgotten_with_its_task(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter, max_history=2)
    ids = [(await done(worker, echo, 1)).id for _ in range(5)]
    assert len(worker.cache.task_key_map) == 2
    found = [await worker.cache.get_by_task_id(task_id) for task_id in ids]
    assert found == [(False, None)] * 3 + [(True, 1)] * 2


async def test_an_id_is_forgotten_with_its_result(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_max_size=10)
    for value in range(100):
        await done(worker, echo, value)
    assert len(worker.cache.task_key_map) == 10


# --- invalidation -------------------------------------------------------------------------


async def test_one_result_can_be_invalidated(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    await done(worker, collect, 1, two=2)
    await done(worker, collect, 3)
    assert await worker.invalidate_cache(collect, 1, two=2)
    assert not await worker.invalidate_cache(collect, 1, two=2)
    assert not (await done(worker, collect, 1, two=2)).from_cache
    assert (await done(worker, collect, 3)).from_cache


async def test_all_results_can_be_dropped(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    for value in (1, 2):
        await done(worker, echo, value)
    await worker.clear_cache()
    assert not worker.cache.task_key_map
    for value in (1, 2):
        assert not (await done(worker, echo, value)).from_cache


async def test_invalidating_what_was_never_cached_is_no_error(worker: AsyncTaskWorker) -> None:
    assert not await worker.invalidate_cache(echo, 1)
    await worker.clear_cache()


# --- upkeep -------------------------------------------------------------------------------


def sweeps() -> int:
    return sum(task.get_name() == "async_cache cleanup" for task in asyncio.all_tasks())


@pytest.mark.parametrize(
    ("options", "swept"),
    [
        ({}, True),
        ({"cleanup_interval": 0}, False),
        ({"cache_cleanup_interval": 0}, False),
        ({"cache_cleanup_interval": 60, "cleanup_interval": 0}, True),
        ({"cache_adapter": AsyncCacheAdapter(cleanup_interval=0)}, False),
        ({"cache_adapter": AsyncCacheAdapter(), "cleanup_interval": 0}, False),
    ],
    ids=shown,
)
async def test_stale_mappings_are_swept_while_the_worker_runs(
    make_worker: MakeWorker, options: dict[str, Any], swept: bool
) -> None:
    worker = await make_worker(cache_enabled=True, **options)
    assert sweeps() == swept
    await worker.stop()
    assert sweeps() == 0
    await worker.start()
    assert sweeps() == swept


async def test_a_cache_that_is_made_later_is_swept_too(worker: AsyncTaskWorker) -> None:
    assert sweeps() == 0
    await done(worker, echo, 1, use_cache=True)
    await settled()
    assert sweeps() == 1


def test_a_cache_can_be_made_after_the_loop_is_gone() -> None:
    """The worker was never stopped, as in a script that just ends."""
    worker = AsyncTaskWorker()
    asyncio.run(worker.start())
    assert worker.cache.statistics().size == 0
    assert asyncio.run(started_again(worker)) == 1


async def started_again(worker: AsyncTaskWorker) -> int:
    async with worker:
        return sweeps()


@pytest.mark.usefixtures("several_workers")
async def test_a_shared_cache_is_swept_until_the_last_worker_stops(make_worker: MakeWorker) -> None:
    shared = AsyncCacheAdapter()
    workers = [await make_worker(cache_enabled=True, cache_adapter=shared) for _ in range(2)]
    await workers[0].stop()
    assert sweeps() == 1
    await workers[1].stop()
    assert sweeps() == 0


async def test_sweeping_drops_what_expired(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_ttl=60, cleanup_interval=900)
    await done(worker, echo, 1)
    await time_passes(800)
    assert len(worker.cache.task_key_map) == 1
    await time_passes(101)
    assert len(worker.cache.task_key_map) == 0
    assert status_of(worker, worker.get_all_tasks()[0].id) is TaskStatus.COMPLETED
