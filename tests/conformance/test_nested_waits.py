"""A task that waits for tasks of its own worker never deadlocks: what it waits for runs in an extra slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, get_task_function, task
from tests.conformance.event_helpers import ended, info_of, now, status_of
from tests.conformance.from_inside_task import add_and_wait, drain_worker, own_worker, use_worker
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, note, notes, open_gate, sleep_for, stubborn, wait_at
from tests.support.waiting import finished, running, settled

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED


async def _future(task_id: str) -> Any:
    return await own_worker().get_task_future(task_id)


async def _futures(task_id: str) -> Any:
    return await own_worker().get_task_futures([task_id])[0]


async def _all(task_id: str) -> Any:
    return (await own_worker().wait_for_tasks([task_id]))[0]


async def _any(task_id: str) -> Any:
    return (await own_worker().wait_for_any_task([task_id]))[0]


async def _gather(task_id: str) -> Any:
    return (await asyncio.gather(own_worker().get_task_future(task_id)))[0]


async def _wait(task_id: str) -> Any:
    done, _ = await asyncio.wait([own_worker().get_task_future(task_id)])
    return done.pop().result()


async def _wait_for(task_id: str) -> Any:
    return await asyncio.wait_for(own_worker().get_task_future(task_id), 3600)


async def _shield(task_id: str) -> Any:
    return await asyncio.shield(own_worker().get_task_future(task_id))


async def _timeout(task_id: str) -> Any:
    async with asyncio.timeout(3600):
        return await own_worker().get_task_future(task_id)


async def _as_completed(task_id: str) -> Any:
    (one,) = asyncio.as_completed([own_worker().get_task_future(task_id)])
    return await one


async def _task_group(task_id: str) -> Any:
    async with asyncio.TaskGroup() as group:
        helper = group.create_task(_future(task_id))
    return helper.result()


async def _thread(task_id: str) -> Any:
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(_all(task_id), loop).result())


WAYS: dict[str, Callable[[str], Awaitable[Any]]] = {
    way.__name__.strip("_"): way
    for way in (
        *(_future, _futures, _all, _any, _gather, _wait, _wait_for),
        *(_shield, _timeout, _as_completed, _task_group, _thread),
    )
}


@task("wait_in_a_way")
async def wait_in_a_way(way: str, name: str, args: list[Any]) -> Any:
    """Add a task of the type *name*, wait for it in that way and return its result."""
    function = get_task_function(name)
    assert function is not None
    return await WAYS[way](await own_worker().add_task(function, *args))


@task("nest")
async def nest(depth: int) -> int:
    """Wait for a task that waits for a task, and so on; return how many there are."""
    if depth == 0:
        return 0
    return 1 + await own_worker().get_task_future(await own_worker().add_task(nest, depth - 1))


@task("wait_for_id")
async def wait_for_id(task_id: str, timeout: float | None = None) -> Any:
    """Wait for a task, no longer than that, note that it is over, and go on for 10 seconds."""
    with suppress(TimeoutError):
        await own_worker().wait_for_tasks([task_id], timeout)
    notes.append("goes on")
    await asyncio.sleep(10)


@task("wait_for_several")
async def wait_for_several(name: str, calls: list[list[Any]]) -> Any:
    """Add several tasks of the type *name* and return all results."""
    function = get_task_function(name)
    assert function is not None
    worker = own_worker()
    return await asyncio.gather(*worker.get_task_futures([await worker.add_task(function, *args) for args in calls]))


@task("listen_only")
async def listen_only(task_id: str, gate: str) -> None:
    """Add a callback to a future of another task without waiting for it, then wait at the gate."""
    own_worker().get_task_future(task_id).add_done_callback(notes.append)
    await wait_at(gate)


@task("leave_a_helper")
async def leave_a_helper(task_id: str) -> None:
    """Start an asyncio task that waits for another task, and end without it."""
    _helpers.append(asyncio.create_task(_future(task_id)))
    await asyncio.sleep(0)


@task("cancel_what_it_waits_for")
async def cancel_what_it_waits_for(task_id: str) -> str:
    """Wait for a task until that is cancelled."""
    try:
        await own_worker().get_task_future(task_id)
    except asyncio.CancelledError:
        return "told"
    return "not told"


@task("ignore_cancellation_while_waiting")
async def ignore_cancellation_while_waiting(task_id: str) -> None:
    """Wait for a task and go on waiting whatever happens."""
    while True:
        with suppress(asyncio.CancelledError):
            await own_worker().wait_for_tasks([task_id])
            return


@task("add_without_waiting")
async def add_without_waiting(number: int) -> None:
    """Add so many tasks, waiting for room only."""
    for value in range(number):
        await own_worker().add_task(echo, value)


_gates = count()
_helpers: list[asyncio.Task[Any]] = []


@pytest.fixture
async def single(make_worker: MakeWorker) -> AsyncTaskWorker:
    """A worker with one slot, which its tasks may use."""
    worker = await make_worker(max_workers=1)
    use_worker(worker)
    return worker


@asynccontextmanager
async def slots_taken(worker: AsyncTaskWorker) -> AsyncIterator[None]:
    """Let what is added inside wait in the queue until all of it is there."""
    doors = [await worker.add_task(wait_at, "door", priority=-99) for _ in range(worker.max_workers)]
    await running(worker, *doors)
    yield
    open_gate("door")


async def result_of(worker: AsyncTaskWorker, task_id: str) -> Any:
    (result,) = await worker.wait_for_tasks([task_id], timeout=60)
    return result


@pytest.mark.parametrize("way", WAYS)
async def test_the_only_slot_waits_for_another_task(single: AsyncTaskWorker, way: str) -> None:
    assert await result_of(single, await single.add_task(wait_in_a_way, way, "take_turns", [9, "done"])) == "done"


@pytest.mark.other_loop
async def test_it_does_on_another_loop(single: AsyncTaskWorker) -> None:
    for way in WAYS:
        task_id = await single.add_task(wait_in_a_way, way, "sleep_for", [0.001, "done"])
        assert await result_of(single, task_id) == "done"


@pytest.mark.parametrize("slots", [1, 3])
async def test_waits_may_be_nested(make_worker: MakeWorker, slots: int) -> None:
    worker = await make_worker(max_workers=slots)
    use_worker(worker)
    ids = [await worker.add_task(nest, depth) for depth in (20, 7, 0, 13)]
    assert await worker.wait_for_tasks(ids, timeout=60) == [20, 7, 0, 13]


async def test_errors_of_what_is_awaited_arrive(single: AsyncTaskWorker) -> None:
    info = await ended(single, await single.add_task(wait_in_a_way, "future", "fail_with", ["wrong"]))
    assert (info.status, info.error) == (FAILED, "wrong")


async def test_one_waiting_task_is_worth_one_extra_slot(single: AsyncTaskWorker) -> None:
    """Two seconds for two tasks of a second each: they run one after the other."""
    before = now()
    await result_of(single, await single.add_task(wait_for_several, "sleep_for", [[1], [1]]))
    assert now() - before == 2


async def test_an_extra_slot_is_only_for_what_is_awaited(single: AsyncTaskWorker) -> None:
    waiting = await single.add_task(wait_in_a_way, "future", "wait_at", ["gate"])
    unrelated = await single.add_task(note, "unrelated")
    await running(single, waiting)
    assert status_of(single, unrelated) is PENDING
    open_gate("gate")
    await finished(single, waiting, unrelated)


async def test_a_task_that_waits_for_a_running_one_opens_no_slot(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2)
    use_worker(worker)
    door = await worker.add_task(wait_at, "gate")
    waiting, queued = await worker.add_task(wait_for_id, door), await worker.add_task(note, "queued")
    await running(worker, door, waiting)
    assert status_of(worker, queued) is PENDING
    open_gate("gate")
    await finished(worker, waiting, queued)


async def test_nothing_new_starts_until_the_slots_are_enough_again(single: AsyncTaskWorker) -> None:
    """The waiting task gives up while the other runs: two are running then, and the next waits for both."""
    async with slots_taken(single):
        waiting = await single.add_task(wait_for_id, "awaited", 1)
        awaited = await single.add_task(wait_at, "gate", task_id="awaited")
        last = await single.add_task(note, "last")
    await running(single, waiting, awaited)
    await asyncio.sleep(5)
    assert notes == ["goes on"]
    assert [status_of(single, task_id) for task_id in (waiting, awaited, last)] == [RUNNING, RUNNING, PENDING]
    await finished(single, waiting)
    await settled()
    assert [status_of(single, task_id) for task_id in (awaited, last)] == [RUNNING, PENDING]
    open_gate("gate")
    await finished(single, last)
    await assert_slots_are_as_before(single)


async def test_a_waiting_task_that_is_cancelled_leaves_the_slots_right(single: AsyncTaskWorker) -> None:
    waiting = await single.add_task(wait_in_a_way, "wait_for", "wait_at", ["gate"])
    await running(single, waiting)
    assert await single.cancel_task(waiting)
    assert single.counts()[RUNNING] == 1
    open_gate("gate")
    await single.drain()
    await assert_slots_are_as_before(single)


async def test_cancelling_an_awaited_task_raises_in_the_waiting_one(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        waiting = await single.add_task(cancel_what_it_waits_for, "awaited")
        await single.add_task(wait_at, "gate", task_id="awaited")
    await running(single, waiting, "awaited")
    assert await single.cancel_task("awaited")
    assert await result_of(single, waiting) == "told"
    await assert_slots_are_as_before(single)


async def test_tasks_that_wait_for_each_other_can_be_cancelled(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        await single.add_task(cancel_what_it_waits_for, "second", task_id="first")
        await single.add_task(wait_for_id, "first", task_id="second")
    await running(single, "first", "second")
    assert await single.cancel_task("second")
    assert await result_of(single, "first") == "told"
    await assert_slots_are_as_before(single)


async def test_a_stop_cuts_off_tasks_that_wait_for_each_other(single: AsyncTaskWorker, backend: Backend) -> None:
    async with slots_taken(single):
        await single.add_task(wait_for_id, "second", task_id="first")
        await single.add_task(wait_for_id, "first", task_id="second")
    await running(single, "first", "second")
    await single.stop(0)
    assert [status_of(single, task_id) for task_id in ("first", "second")] == [backend.status_after_stop] * 2


async def test_it_starts_the_leader_of_what_follows(single: AsyncTaskWorker) -> None:
    """The task waited for has no turn of its own: another of the same key has, far behind in the queue."""
    async with slots_taken(single):
        waiting = await single.add_task(add_shared_and_wait)
        between = await single.add_task(note, "between")
        leader = await single.add_task(sleep_for, 1, "shared", use_cache=True, priority=9)
    assert await result_of(single, waiting) == "shared"
    await finished(single, between)
    order = [info_of(single, task_id) for task_id in (waiting, leader, between)]
    assert [info.attempt for info in order] == [1, 1, 1]
    assert order[2].started_at == order[0].completed_at == order[1].completed_at != order[1].started_at
    await assert_slots_are_as_before(single)


@task("add_shared_and_wait")
async def add_shared_and_wait() -> Any:
    """Wait for a task that follows another."""
    worker = own_worker()
    follower = await worker.add_task(sleep_for, 1, "shared", use_cache=True, priority=99)
    info = worker.get_task_info(follower)
    assert info is not None
    assert info.phase == "coalesced"
    return await worker.get_task_future(follower)


async def test_an_abandoned_task_waits_no_longer(single: AsyncTaskWorker) -> None:
    """Its slot is passed on, and the task it waits for may run in an extra slot no more."""
    async with slots_taken(single):
        waiting = await single.add_task(ignore_cancellation_while_waiting, "awaited")
        await single.add_task(wait_at, "gate", task_id="awaited")
    await running(single, waiting, "awaited")
    assert await single.cancel_task(waiting)
    assert single.abandoned_tasks == 1
    queued = await single.add_task(note, "queued")
    await settled()
    assert status_of(single, queued) is PENDING
    open_gate("gate")
    await finished(single, queued)
    await settled()
    assert single.abandoned_tasks == 0
    await assert_slots_are_as_before(single)


async def test_an_abandoned_task_in_an_extra_slot_takes_none_from_others(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        waiting = await single.add_task(cancel_what_it_waits_for, "awaited")
        await single.add_task(stubborn, "gate", task_id="awaited")
    await running(single, waiting, "awaited")
    assert await single.cancel_task("awaited")
    assert single.abandoned_tasks == 1
    assert await result_of(single, waiting) == "told"
    await assert_slots_are_as_before(single)
    open_gate("gate")
    await settled()
    await assert_slots_are_as_before(single)


async def test_a_callback_alone_is_no_wait(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        listening = await single.add_task(listen_only, "other", "gate")
        other = await single.add_task(echo, 1, task_id="other")
    await running(single, listening)
    assert status_of(single, other) is PENDING
    open_gate("gate")
    await finished(single, listening, other)
    await settled()
    assert len(notes) == 1
    await assert_slots_are_as_before(single)


async def test_a_helper_left_behind_counts_no_longer_than_its_task(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        leaving = await single.add_task(leave_a_helper, "other")
        await single.add_task(wait_at, "gate", task_id="other")
        queued = await single.add_task(note, "queued")
    await finished(single, leaving)
    await running(single, "other")
    assert status_of(single, queued) is PENDING
    open_gate("gate")
    await finished(single, queued)
    await _helpers.pop()
    await assert_slots_are_as_before(single)


async def test_what_is_done_costs_no_slot(single: AsyncTaskWorker) -> None:
    await single.add_task(echo, "early", task_id="early")
    await finished(single, "early")
    assert await result_of(single, await single.add_task(cancel_what_it_waits_for, "early")) == "not told"
    await assert_slots_are_as_before(single)


async def test_a_task_may_wait_until_all_others_are_done(single: AsyncTaskWorker) -> None:
    async with slots_taken(single):
        draining = await single.add_task(drain_worker, "drained")
        for number in range(3):
            await single.add_task(note, number)
    assert await result_of(single, draining) == "drained"
    assert notes == [0, 1, 2, "drained"]
    await assert_slots_are_as_before(single)


async def test_a_task_that_waits_for_all_others_lets_one_run_that_is_added_later(make_worker: MakeWorker) -> None:
    """Or none would ever end if the task in the other slot waits for something that the new one does."""
    worker = await make_worker(max_workers=2)
    use_worker(worker)
    waiting, draining = await worker.add_task(wait_at, "gate"), await worker.add_task(drain_worker)
    await running(worker, draining, waiting)
    await settled()
    for _ in range(3):
        assert (await ended(worker, await worker.add_task(echo, "later"))).result == "later"
    open_gate("gate")
    await finished(worker, draining, waiting)


async def test_a_full_queue_does_not_hold_up_what_is_awaited(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1)
    use_worker(worker)
    assert await result_of(worker, await worker.add_task(nest, 5)) == 5
    await assert_slots_are_as_before(worker)


async def test_a_task_waits_for_one_that_waits_for_capacity(make_worker: MakeWorker) -> None:
    """No task waits for what fills the queue, and still it has to leave it."""
    worker = await make_worker(max_workers=2, max_queue_size=1)
    use_worker(worker)
    assert await result_of(worker, await worker.add_task(add_and_wait, "add_without_waiting", [4])) is None
    await worker.drain()
    assert worker.counts()[COMPLETED] == 6
    await assert_slots_are_as_before(worker, 2)


async def test_an_awaited_task_that_fills_the_queue_from_the_only_slot_gets_an_error(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1)
    use_worker(worker)
    info = await ended(worker, await worker.add_task(add_and_wait, "add_without_waiting", [3]))
    assert "waits for room" in str(info.error)
    await worker.drain()
    await assert_slots_are_as_before(worker)


async def test_tasks_restored_after_a_restart_wait_for_each_other(make_worker: MakeWorker, backend: Backend) -> None:
    if not backend.durable:
        pytest.skip("tasks in memory end with their worker")
    worker = await make_worker(max_workers=1)
    use_worker(worker)
    await running(worker, await worker.add_task(wait_at, "gate", priority=-9))
    await worker.add_task(cancel_what_it_waits_for, "awaited", task_id="waiting", priority=-1)
    await worker.add_task(echo, 1, task_id="awaited")
    await worker.stop(0)
    open_gate("gate")
    await worker.start()
    assert await result_of(worker, "waiting") == "not told"
    await assert_slots_are_as_before(worker)


async def test_a_waiting_task_that_is_cut_off_by_a_stop_waits_again(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(max_workers=1)
    use_worker(worker)
    async with slots_taken(worker):
        waiting = await worker.add_task(wait_for_id, "awaited")
        await worker.add_task(wait_at, "gate", task_id="awaited")
    await running(worker, waiting, "awaited")
    await worker.stop(0)
    await worker.start()
    open_gate("gate")
    assert [info.status for info in await finished(worker, waiting, "awaited")] == (
        [COMPLETED, COMPLETED] if backend.durable else [CANCELLED, CANCELLED]
    )
    await assert_slots_are_as_before(worker)


async def test_the_first_of_several_ends_the_wait_before_the_next_is_started(single: AsyncTaskWorker) -> None:
    assert await result_of(single, await single.add_task(race_several, 3)) == 0
    assert notes == [COMPLETED, PENDING, PENDING]
    await single.drain()


@task("race_several")
async def race_several(racers: int) -> Any:
    """Add several tasks, wait for the first that ends, and a moment later note how all of them are."""
    worker = own_worker()
    ids = [await worker.add_task(sleep_for, 1, number) for number in range(racers)]
    result, _ = await worker.wait_for_any_task(ids)
    await asyncio.sleep(0.5)
    notes.extend(status_of(worker, task_id) for task_id in ids)
    return result


async def assert_slots_are_as_before(worker: AsyncTaskWorker, slots: int = 1) -> None:
    """As many tasks run at once as there are slots, and the next one waits."""
    gate = f"gate {next(_gates)}"
    doors = [await worker.add_task(wait_at, gate) for _ in range(slots)]
    beyond = await worker.add_task(wait_at, gate)
    await running(worker, *doors)
    assert status_of(worker, beyond) is PENDING
    open_gate(gate)
    await finished(worker, *doors, beyond)
