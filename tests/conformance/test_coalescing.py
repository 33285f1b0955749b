"""Tasks that do the same at the same time: one does it, the others share what comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from async_cache import MemoryCacheAdapter
from async_task_worker import AsyncTaskWorker, TaskStatus, task
from tests.conformance.event_helpers import ended, event_types, info_of, now, record_events, status_of, time_passes
from tests.conftest import MakeWorker
from tests.support.adapters import DictCache
from tests.support.backends import Backend
from tests.support.tasks import (
    clean_up_for,
    echo,
    fail_on_cancel,
    fail_with,
    note,
    notes,
    open_gate,
    sleep_for,
    stubborn,
    swallow_cancel,
    wait_at,
)
from tests.support.waiting import running, settled

ADAPTERS: dict[str, Callable[[], Any]] = {"memory": lambda: None, "elsewhere": DictCache, "sqlite": lambda: "sqlite"}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, backend: Backend) -> Any:
    if request.param == "sqlite" and not backend.durable:
        pytest.skip("there is no file to keep results in")
    return ADAPTERS[request.param]()


@task("listed")
async def listed(value: Any, gate: str) -> list[Any]:
    notes.append(value)
    await wait_at(gate)
    return [value]


async def test_a_hundred_of_the_same_are_run_once(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(max_workers=10, cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(listed, 1, "gate") for _ in range(100)]
    await running(worker, ids[0])
    assert [info_of(worker, task_id).phase for task_id in ids] == [None, *["coalesced"] * 99]
    assert worker.counts()[TaskStatus.PENDING] == 99
    open_gate("gate")
    results = await worker.wait_for_tasks(ids)
    assert results == [[1]] * 100
    assert len({id(result) for result in results}) == 100
    assert notes == [1]
    infos = [info_of(worker, task_id) for task_id in ids]
    assert [info.from_cache for info in infos] == [False, *[True] * 99]
    assert all(info.started_at is None and info.phase is None for info in infos[1:])
    assert worker.cache.statistics().coalesced == 99


async def test_the_result_is_found_by_the_ids_of_followers_too(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter, max_history=2)
    ids = [await worker.add_task(listed, 1, "gate") for _ in range(3)]
    open_gate("gate")
    await worker.drain()
    found = [await worker.cache.get_by_task_id(task_id) for task_id in ids]
    assert found == [(False, None), (True, [1]), (True, [1])]
    assert len(worker.cache.task_key_map) == 2


async def test_the_ids_of_followers_do_not_stand_for_what_is_not_kept(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(listed, 1, "gate", cache_ttl=0) for _ in range(3)]
    open_gate("gate")
    assert await worker.wait_for_tasks(ids) == [[1]] * 3
    assert not worker.cache.task_key_map


async def test_tasks_that_differ_or_are_not_cached_run_each(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=10, cache_enabled=True)
    for options in ({}, {"use_cache": False}, {"cache_key_fn": lambda context: "a key of its own"}):
        await worker.add_task(note, 1, **options)
    await worker.add_task(note, 2)
    await worker.drain()
    assert sorted(notes) == [1, 1, 1, 2]


async def test_it_can_be_switched_off(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=3, cache_enabled=True, coalesce=False)
    ids = [await worker.add_task(note, 1, "gate") for _ in range(3)]
    await running(worker, *ids)
    open_gate("gate")
    await worker.drain()
    assert notes == [1, 1, 1]


async def test_followers_take_no_slot_and_no_room(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2, max_queue_size=1, on_full="error", cache_enabled=True)
    same = [await worker.add_task(wait_at, "gate") for _ in range(5)]
    other = await worker.add_task(echo, "other")
    await ended(worker, other)
    assert status_of(worker, same[1]) is TaskStatus.PENDING
    open_gate("gate")
    await worker.wait_for_tasks(same)


async def test_a_call_that_waited_for_capacity_follows_a_task_added_before_it(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "first"))
    await worker.add_task(wait_at, "second")
    waiting = [asyncio.create_task(worker.add_task(note, "same", "third")) for _ in range(3)]
    await settled()
    assert not any(call.done() for call in waiting)
    for gate in ("first", "second"):
        open_gate(gate)
    await settled()
    assert all(call.done() for call in waiting)
    open_gate("third")
    await worker.wait_for_tasks([call.result() for call in waiting])
    assert notes == ["same"]


async def test_events_tell_of_followers(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    await worker.add_task(wait_at, "gate")
    events = record_events(worker)
    follower = await worker.add_task(wait_at, "gate")
    open_gate("gate")
    await worker.drain()
    mine = [event for event in events if event.task.id == follower]
    assert event_types(mine) == ["created", "completed"]
    assert mine[0].task.phase == "coalesced"
    assert [event.task.id == follower for event in events][-1], "after the task it shares the result of"


async def test_drain_waits_for_followers(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    begun = now()
    ids = [await worker.add_task(sleep_for, 5, 1) for _ in range(3)]
    await worker.drain()
    assert [status_of(worker, task_id) for task_id in ids] == ["completed"] * 3
    assert now() - begun == pytest.approx(5)


# --- how a leader can end -----------------------------------------------------------------


async def test_an_error_of_the_function_is_everybodys(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(fail_with, "no", after=1) for _ in range(3)]
    futures = worker.get_task_futures(ids)
    await worker.drain()
    errors = [future.exception() for future in futures]
    assert errors[0] is errors[1] is errors[2]
    assert isinstance(errors[0], ValueError)
    assert [info_of(worker, task_id).error for task_id in ids] == ["no"] * 3
    assert [info_of(worker, task_id).from_cache for task_id in ids] == [False] * 3


async def test_a_timeout_of_the_functions_own_is_everybodys_too(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    ids = [await worker.add_task(fail_with, "too slow", "TimeoutError", 1) for _ in range(2)]
    await worker.drain()
    assert [info_of(worker, task_id).error for task_id in ids] == ["too slow"] * 2


async def cancelled_pending(worker: AsyncTaskWorker, leader: str) -> None:
    assert await worker.cancel_task(leader)


async def cancelled_running(worker: AsyncTaskWorker, leader: str) -> None:
    await running(worker, leader)
    assert await worker.cancel_task(leader)


@pytest.mark.parametrize("cancelled", [cancelled_pending, cancelled_running])
async def test_a_leader_that_is_cancelled_leaves_the_lead_to_the_next(
    make_worker: MakeWorker, adapter: Any, cancelled: Any
) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=adapter)
    if cancelled is cancelled_pending:
        await running(worker, await worker.add_task(wait_at, "slot"))
    ids = [await worker.add_task(note, "run", "gate") for _ in range(3)]
    await cancelled(worker, ids[0])
    open_gate("slot")
    await running(worker, ids[1])
    assert [info_of(worker, task_id).phase for task_id in ids] == [None, None, "coalesced"]
    open_gate("gate")
    assert await worker.wait_for_tasks(ids[1:]) == ["run"] * 2
    assert notes == ["run"] * (1 if cancelled is cancelled_pending else 2)
    assert [info_of(worker, task_id).from_cache for task_id in ids[1:]] == [False, True]


async def test_a_timeout_is_a_tasks_own_and_does_not_run_while_it_follows(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    leader = await worker.add_task(sleep_for, 10, "slept", timeout=5)
    patient = await worker.add_task(sleep_for, 10, "slept", timeout=11)
    hasty = await worker.add_task(sleep_for, 10, "slept", timeout=1)
    assert "timed out after 5" in ((await ended(worker, leader)).error or "")
    assert (await ended(worker, patient)).result == "slept"
    info = info_of(worker, hasty)
    assert (info.result, info.from_cache) == ("slept", True)


@pytest.mark.parametrize(
    "call",
    [(swallow_cancel, 5, "half done"), (fail_on_cancel, 5, "told to stop"), (clean_up_for, 5, 0.5)],
    ids=lambda call: call[0].__name__,
)
@pytest.mark.parametrize("why", ["cancel", "timeout"])
async def test_the_outcome_of_an_interrupted_leader_is_not_shared(
    make_worker: MakeWorker, why: str, call: tuple[Any, ...]
) -> None:
    worker = await make_worker(cache_enabled=True)
    leader = await worker.add_task(*call, timeout=1 if why == "timeout" else None)
    follower = await worker.add_task(*call)
    await running(worker, leader)
    if why == "cancel":
        await worker.cancel_task(leader)
    await ended(worker, leader)
    await running(worker, follower)
    await ended(worker, follower)
    assert info_of(worker, follower).status is TaskStatus.FAILED or not info_of(worker, follower).from_cache
    assert info_of(worker, follower).error is None


async def test_a_leader_that_is_left_behind_leaves_the_lead(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    leader, follower = [await worker.add_task(stubborn, "gate", "value") for _ in range(2)]
    await running(worker, leader)
    assert await worker.cancel_task(leader)
    await running(worker, follower)
    assert worker.abandoned_tasks == 1
    open_gate("gate")
    assert (await ended(worker, follower)).result == "value"


async def test_a_leader_that_is_late_and_takes_no_notice_fails_alone(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    late = await worker.add_task(stubborn, "gate", "value", timeout=1)
    patient = await worker.add_task(stubborn, "gate", "value")
    assert (await ended(worker, late)).status is TaskStatus.FAILED
    await running(worker, patient)
    open_gate("gate")
    assert (await ended(worker, patient)).result == "value"


async def test_only_one_follower_becomes_the_leader_after_an_interrupted_one(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=5, cache_enabled=True)
    ids = [await worker.add_task(swallow_cancel, 5, "half done") for _ in range(4)]
    await running(worker, ids[0])
    assert not await worker.cancel_task(ids[0])
    await running(worker, ids[1])
    assert [info_of(worker, task_id).phase for task_id in ids[2:]] == ["coalesced"] * 2


@task("numbers_in_two_goes")
async def numbers_in_two_goes() -> Iterator[int]:
    notes.append("run")
    await wait_at("first" if len(notes) == 1 else "others")
    return iter(count for count in range(2))


async def test_followers_run_together_if_the_result_cannot_be_shared(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=5, cache_enabled=True)
    ids = [await worker.add_task(numbers_in_two_goes) for _ in range(4)]
    await running(worker, ids[0])
    open_gate("first")
    await running(worker, *ids[1:])
    open_gate("others")
    await worker.wait_for_tasks(ids)


@task("zero_and_one")
async def zero_and_one() -> Iterator[int]:
    notes.append("run")
    await wait_at("gate")
    return iter(count for count in range(2))


async def test_a_result_that_cannot_be_copied_is_made_by_each(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(zero_and_one) for _ in range(4)]
    open_gate("gate")
    assert [list(result) for result in await worker.wait_for_tasks(ids)] == [[0, 1]] * 4
    assert notes == ["run"] * 4


class Moody:
    """Can be copied for the first few times."""

    copies = 0

    def __reduce__(self) -> Any:
        return copied_moody, ()


def copied_moody() -> Moody:
    Moody.copies += 1
    if Moody.copies > 3:
        raise ValueError("no more")
    return Moody()


@task("moody")
async def moody() -> Moody:
    notes.append("run")
    return Moody()


async def test_who_cannot_get_a_copy_does_it_himself(make_worker: MakeWorker, caplog: pytest.LogCaptureFixture) -> None:
    Moody.copies = 0
    worker = await make_worker(max_workers=1, cache_enabled=True)
    ids = [await worker.add_task(moody) for _ in range(5)]
    with caplog.at_level(logging.CRITICAL, "async_task_worker"):
        results = await worker.wait_for_tasks(ids)
    assert all(type(result) is Moody for result in results)
    assert 1 < len(notes) < 5


@pytest.mark.usefixtures("several_workers")
async def test_a_leader_that_finds_the_result_shares_that(make_worker: MakeWorker) -> None:
    """Stored meanwhile, by another worker say."""
    storage = MemoryCacheAdapter()
    first = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=storage)
    second = await make_worker(max_workers=1, cache_enabled=True, cache_adapter=storage)
    await running(second, await second.add_task(wait_at, "slot"))
    ids = [await second.add_task(note, "run") for _ in range(3)]
    await ended(first, await first.add_task(note, "run"))
    open_gate("slot")
    assert await second.wait_for_tasks(ids) == ["run"] * 3
    assert notes == ["run"]
    assert all(info_of(second, task_id).from_cache for task_id in ids)


# --- followers ----------------------------------------------------------------------------


async def test_cancelling_a_follower_has_no_effect_on_others(make_worker: MakeWorker, adapter: Any) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(note, "run", "gate") for _ in range(4)]
    await running(worker, ids[0])
    assert await worker.cancel_task(ids[2])
    assert status_of(worker, ids[2]) is TaskStatus.CANCELLED
    open_gate("gate")
    assert await worker.wait_for_tasks([ids[0], ids[1], ids[3]]) == ["run"] * 3
    assert notes == ["run"]


async def test_a_stop_cancels_followers_unless_they_are_durable(
    make_worker: MakeWorker, backend: Backend, adapter: Any
) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=adapter)
    ids = [await worker.add_task(sleep_for, 3) for _ in range(5)]
    await running(worker, ids[0])
    stopping = asyncio.create_task(worker.stop(timeout=5))
    await settled()
    assert [status_of(worker, task_id) for task_id in ids] == ["running", *[backend.status_after_stop] * 4]
    await stopping
    completed = 5 if backend.durable else 1  # who may still wait for the leader shares its result
    assert worker.counts()[TaskStatus.COMPLETED] == completed


async def test_a_stop_that_interrupts_the_leader_starts_no_follower(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(cache_enabled=True)
    ids = [await worker.add_task(note, "run", "gate") for _ in range(5)]
    await running(worker, ids[0])
    await worker.stop(timeout=0.1)
    assert [status_of(worker, task_id) for task_id in ids] == [backend.status_after_stop] * 5
    assert notes == ["run"]
    await worker.start()
    again = await worker.add_task(note, "run", "gate")
    await running(worker, again)
    open_gate("gate")
    await worker.drain()
    assert notes == ["run"] * (7 if backend.durable else 2)  # what was left runs each by itself


async def test_a_stop_starts_no_pending_task(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    ids = [await worker.add_task(echo, value) for value in (1, 1, 2, 2, 1)]
    await worker.stop(timeout=0.1)
    assert {status_of(worker, task_id) for task_id in ids} == {backend.status_after_stop}


async def test_a_follower_of_better_priority_pulls_its_leader_ahead(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    slow = await worker.add_task(note, "wanted", priority=10)
    await worker.add_task(note, "usual")
    urgent = await worker.add_task(note, "wanted", priority=-1)
    open_gate("slot")
    await worker.drain()
    assert notes == ["wanted", "usual"]
    assert [info_of(worker, task_id).result for task_id in (slow, urgent)] == ["wanted"] * 2


async def test_a_new_leader_has_the_best_priority_of_its_followers(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    first = await worker.add_task(note, "wanted", priority=10)
    await worker.add_task(note, "wanted", priority=10)
    await worker.add_task(note, "usual")
    await worker.add_task(note, "wanted", priority=-1)
    assert await worker.cancel_task(first)
    open_gate("slot")
    await worker.drain()
    assert notes == ["wanted", "usual"]


async def wanted_by(worker: AsyncTaskWorker, *priorities: int) -> list[str]:
    """Fill the only slot, then add the same task with each of the priorities; return the ids."""
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    return [await worker.add_task(note, "wanted", priority=priority) for priority in priorities]


async def test_a_change_of_priority_shows_in_the_revision_and_in_an_event(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    (leader,) = await wanted_by(worker, 10)
    before, events = info_of(worker, leader), record_events(worker)
    urgent = await worker.add_task(note, "wanted", priority=-1)
    after = info_of(worker, leader)
    assert (before.priority, after.priority) == (10, -1)
    assert after.revision > before.revision
    assert await worker.cancel_task(urgent)
    assert (info_of(worker, leader).priority, info_of(worker, leader).revision) == (10, after.revision + 1)
    mine = [event for event in events if event.task.id == leader]
    assert [(event.type, event.task.priority) for event in mine] == [
        ("task.reprioritized", -1),
        ("task.reprioritized", 10),
    ]


async def test_a_follower_that_leaves_takes_its_priority_along(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    leader, hurried, urgent, also_urgent = await wanted_by(worker, 10, 5, -1, -1)
    priorities = []
    for follower in (urgent, also_urgent, hurried):
        assert await worker.cancel_task(follower)
        priorities.append(info_of(worker, leader).priority)
    assert priorities == [-1, 5, 10]
    for value, priority in (("first", -1), ("fifth", 5), ("tenth", 10)):
        await worker.add_task(note, value, priority=priority)
    open_gate("slot")
    await worker.drain()
    assert notes == ["first", "fifth", "wanted", "tenth"]


async def test_a_leader_that_is_no_longer_urgent_has_its_former_turn_again(make_worker: MakeWorker) -> None:
    """First come, first served within a priority: it was before those that came after it."""
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    for value in ("before", "wanted", "after"):
        await worker.add_task(note, value)
    for _ in range(3):
        assert await worker.cancel_task(await worker.add_task(note, "wanted", priority=-1))
    open_gate("slot")
    await worker.drain()
    assert notes == ["before", "wanted", "after"]


async def test_who_takes_the_lead_is_not_as_urgent_as_the_one_that_left(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    leader, heir, last = await wanted_by(worker, -5, 10, 5)
    await worker.add_task(note, "usual")
    assert await worker.cancel_task(leader)
    assert info_of(worker, heir).priority == 5
    assert await worker.cancel_task(last)
    assert info_of(worker, heir).priority == 10
    open_gate("slot")
    await worker.drain()
    assert notes == ["usual", "wanted"]


async def test_a_leader_that_runs_keeps_the_priority_it_was_started_with(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    leader = await worker.add_task(note, "wanted", "gate", priority=10)
    await running(worker, leader)
    events = record_events(worker)
    urgent = await worker.add_task(note, "wanted", "gate", priority=-1)
    assert await worker.cancel_task(urgent)
    assert info_of(worker, leader).priority == 10
    assert event_types(events) == ["created", "cancelled"]
    open_gate("gate")
    await worker.drain()


async def test_after_a_restart_each_has_its_own_priority(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    leader, urgent = await wanted_by(worker, 10, -1)
    await worker.stop(timeout=0)
    if backend.durable:
        assert [info_of(worker, task_id).priority for task_id in (leader, urgent)] == [10, -1]
        await worker.start()
        await worker.add_task(note, "usual")
        open_gate("slot")
        await worker.drain()
        assert notes == ["wanted", "usual", "wanted"]
        found = {info.id: info.priority for info in (await worker.search_tasks()).tasks}
        assert (found[leader], found[urgent]) == (10, -1)
    else:
        assert {status_of(worker, task_id) for task_id in (leader, urgent)} == {"cancelled"}


async def test_followers_who_come_and_go_leave_nothing_behind(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    await running(worker, await worker.add_task(wait_at, "slot", use_cache=False))
    for round_ in range(200):
        ids = [await worker.add_task(note, round_ % 5, priority=-(count % 3)) for count in range(4)]
        for task_id in ids:
            await worker.cancel_task(task_id)
    assert worker.counts()[TaskStatus.PENDING] == 0
    last = [await worker.add_task(note, "last") for _ in range(2)]
    open_gate("slot")
    await worker.wait_for_tasks(last)
    assert notes == ["last"]


# --- from inside --------------------------------------------------------------------------


workers: list[AsyncTaskWorker] = []


@task("factorial")
async def factorial(number: int) -> int:
    """Ask the worker for what is one smaller, and wait for it."""
    notes.append(number)
    if number == 0:
        return 1
    smaller = await workers[-1].add_task(factorial, number - 1)
    return number * int(await workers[-1].get_task_future(smaller))


@task("adds_itself")
async def adds_itself(depth: int) -> str:
    """Ask for the very same call, and wait for it, as long as nobody has been this deep."""
    notes.append("run")
    if len(notes) < 3:
        return str(await workers[-1].get_task_future(await workers[-1].add_task(adds_itself, depth)))
    return "done"


@task("ping")
async def ping() -> str:
    return "ping" + str(await workers[-1].get_task_future(await workers[-1].add_task(pong)))


@task("pong")
async def pong() -> str:
    if len(notes) > 2:
        return "!"
    notes.append("pong")
    return "pong" + str(await workers[-1].get_task_future(await workers[-1].add_task(ping)))


async def test_tasks_may_wait_for_others_that_are_shared(make_worker: MakeWorker) -> None:
    workers.append(await make_worker(max_workers=20, cache_enabled=True))
    ids = [await workers[-1].add_task(factorial, number) for number in (5, 3, 5, 6)]
    assert await workers[-1].wait_for_tasks(ids) == [120, 6, 120, 720]
    assert sorted(notes) == list(range(7))


async def test_a_task_that_adds_its_own_call_does_not_wait_for_itself(make_worker: MakeWorker) -> None:
    workers.append(await make_worker(max_workers=5, cache_enabled=True))
    ids = [await workers[-1].add_task(adds_itself, 1) for _ in range(3)]
    assert await workers[-1].wait_for_tasks(ids, timeout=10) == ["done"] * 3


async def test_two_that_add_each_other_do_not_wait_in_a_circle(make_worker: MakeWorker) -> None:
    workers.append(await make_worker(max_workers=20, cache_enabled=True))
    task_id = await workers[-1].add_task(ping)
    await workers[-1].wait_for_tasks([task_id], timeout=10)


async def test_its_own_error_is_logged_once(make_worker: MakeWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker = await make_worker(cache_enabled=True)
    with caplog.at_level(logging.ERROR, "async_task_worker"):
        for _ in range(3):
            await worker.add_task(fail_with, "no", after=1)
        await worker.drain()
    assert len(caplog.records) == 1


async def test_a_followers_timeout_does_not_run_while_it_follows(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    ids = [await worker.add_task(sleep_for, 3, 1, timeout=2 if count else 5) for count in range(2)]
    await time_passes(2.5)
    assert status_of(worker, ids[1]) is TaskStatus.PENDING
    await worker.wait_for_tasks(ids)


async def test_a_change_of_priority_is_written_into_the_file(make_worker: MakeWorker, backend: Backend) -> None:
    if not backend.durable:
        pytest.skip("there is no file")
    worker = await make_worker(max_workers=1, cache_enabled=True)
    journal: Any = worker._backend._journal  # type: ignore[attr-defined]
    leader, urgent = await wanted_by(worker, 10, -1)

    async def written() -> tuple[int, int]:
        await journal.flush_quietly()
        row = await journal.fetch(leader)
        return row.priority, row.revision

    first = await written()
    assert await worker.cancel_task(urgent)
    second = await written()
    await worker.add_task(note, "wanted", priority=3)
    open_gate("slot")
    await worker.drain()
    third = await written()
    assert [first, second] == [(-1, 1), (10, 2)]
    assert third == (3, info_of(worker, leader).revision)
