"""A queue of limited size: when it is full, callers wait for capacity in turn, or get an error."""

from __future__ import annotations

import asyncio
import math

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    DuplicateTaskError,
    QueueFullError,
    TaskStatus,
)
from tests.conformance.event_helpers import ended, ids_of, record_events, status_of
from tests.conformance.full_queue import free_capacity, started_calls, worker_with_full_queue
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.tasks import echo, note, open_gate, sleep_for, wait_at
from tests.support.waiting import loop_iterations, running, settled


async def test_add_task_waits_while_the_queue_is_full(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    before = worker.counts(), worker.get_all_tasks()
    (call,) = await started_calls(worker.add_task(note, "late", task_id="late"))
    assert not call.done()
    assert (worker.counts(), worker.get_all_tasks()) == before, "it is no task yet"
    open_gate("gate")
    assert await call == "late"
    await worker.drain()
    assert tasks.notes == [0, 1, "late"]


async def test_a_call_that_finds_the_queue_full_is_refused_where_that_is_wanted(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker, on_full="error")
    before = worker.counts(), worker.get_all_tasks()
    events = record_events(worker)
    with pytest.raises(QueueFullError, match="max_queue_size is 2"):
        await worker.add_task(echo, 1, task_id="late")
    with pytest.raises(QueueFullError):
        await worker.submit(echo, (1,), task_id="late")
    assert (worker.counts(), worker.get_all_tasks()) == before
    assert events == []
    open_gate("gate")
    await worker.drain()
    assert (await ended(worker, await worker.add_task(echo, 1, task_id="late"))).result == 1


async def test_a_call_waits_for_capacity_up_to_its_queue_timeout(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    before, begun_at = worker.get_all_tasks(), asyncio.get_running_loop().time()
    with pytest.raises(QueueFullError, match="max_queue_size is 2"):
        await worker.submit(echo, (1,), queue_timeout=0)
    assert asyncio.get_running_loop().time() == begun_at
    with pytest.raises(QueueFullError, match="no room within 30 seconds"):
        await worker.submit(echo, (1,), queue_timeout=30)
    assert asyncio.get_running_loop().time() == pytest.approx(begun_at + 30)
    assert worker.get_all_tasks() == before
    (call,) = await started_calls(worker.submit(echo, (1,), queue_timeout=30, task_id="in time"))
    open_gate("gate")
    assert await call == "in time"
    await worker.drain()
    assert await worker.submit(echo, (1,), queue_timeout=0, task_id="at once") == "at once"


@pytest.mark.parametrize("queue_timeout", [-1, math.nan, True, "1"])
async def test_a_wait_for_room_that_is_no_time_is_refused(make_worker: MakeWorker, queue_timeout: object) -> None:
    worker = await make_worker(max_queue_size=2)
    with pytest.raises((TypeError, ValueError), match="queue_timeout"):
        await worker.submit(echo, (1,), queue_timeout=queue_timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("on_full", ["wait", "error"])
async def test_tasks_that_find_a_free_slot_take_no_room(make_worker: MakeWorker, on_full: str) -> None:
    """The limit is for those that wait: with three free slots and room for two, five are welcome."""
    worker = await make_worker(max_workers=3, max_queue_size=2, on_full=on_full)
    ids = [await worker.add_task(wait_at, "gate") for _ in range(5)]
    await settled()
    assert [status_of(worker, task_id) for task_id in ids] == ["running"] * 3 + ["pending"] * 2
    open_gate("gate")


async def test_without_a_limit_there_is_always_room(worker: AsyncTaskWorker) -> None:
    await running(worker, *[await worker.add_task(wait_at, "gate") for _ in range(2)])
    await asyncio.gather(*(worker.add_task(echo, number) for number in range(2000)))
    assert worker.counts()[TaskStatus.PENDING] == 2000
    open_gate("gate")
    await worker.drain()


async def test_waiting_calls_get_capacity_in_order(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    calls = await started_calls(*(worker.add_task(note, n, priority=-n, task_id=f"{n}") for n in range(2, 8)))
    open_gate("gate")
    await asyncio.gather(*calls)
    await worker.drain()
    assert ids_of(worker.get_all_tasks(limit=6))[::-1] == [f"{n}" for n in range(2, 8)]


async def test_a_new_caller_does_not_overtake_waiting_ones(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker, size=1)
    calls = await started_calls(*(worker.add_task(note, f"first {n}") for n in range(2)))
    open_gate("gate")
    await loop_iterations(1)
    calls += await started_calls(worker.add_task(note, "latecomer"))
    await asyncio.gather(*calls)
    await worker.drain()
    assert tasks.notes == [0, "first 0", "first 1", "latecomer"]


async def test_the_queue_never_holds_more_than_its_size(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2, max_queue_size=3)
    most = 0

    def look(_event: object) -> None:
        nonlocal most
        most = max(most, worker.counts()[TaskStatus.PENDING])

    worker.events.listen(look)
    ids = await asyncio.gather(*(worker.add_task(sleep_for, n % 3, n) for n in range(60)))
    assert await worker.wait_for_tasks(ids) == list(range(60))
    assert most <= 5, "those the two free slots take at once, and three that wait"


async def test_cancelling_a_task_that_waits_makes_room(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    (call,) = await started_calls(worker.add_task(note, "late"))
    assert await worker.cancel_task("waiting 1")
    await call
    open_gate("gate")
    await worker.drain()
    assert tasks.notes == [0, "late"]


async def test_a_call_cancelled_while_it_waits_for_room_leaves_no_record(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    before = worker.get_all_tasks()
    call, following = await started_calls(
        worker.add_task(note, "given up", task_id="given up"), worker.add_task(note, 2)
    )
    call.cancel()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.add_task(note, "given up too"), 5)
    assert worker.get_all_tasks() == before
    open_gate("gate")
    await following
    await worker.drain()
    assert worker.get_task_info("given up") is None
    assert tasks.notes == [0, 1, 2]


@pytest.mark.parametrize("steps", range(12))
async def test_a_call_cancelled_at_any_step_of_getting_capacity_loses_none(make_worker: MakeWorker, steps: int) -> None:
    """Its record is there exactly if it returned; and the queue keeps all its places."""
    worker = await worker_with_full_queue(make_worker)
    calls = await started_calls(*(worker.add_task(note, n, task_id=f"{n}") for n in range(2, 6)))
    open_gate("gate")
    await loop_iterations(steps)
    for call in calls[::2]:
        call.cancel()
    await asyncio.wait(calls)
    await worker.drain()
    for number, call in enumerate(calls, 2):
        assert (worker.get_task_info(f"{number}") is None) == call.cancelled()
    assert not any(call.cancelled() for call in calls[1::2])
    assert await free_capacity(worker) == 2


async def test_a_known_id_is_refused_without_waiting(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    with pytest.raises(DuplicateTaskError):
        await worker.add_task(echo, 1, task_id="waiting 0")


async def test_an_id_taken_while_its_call_waited_is_refused_and_the_room_passed_on(
    make_worker: MakeWorker,
) -> None:
    worker = await worker_with_full_queue(make_worker, size=1)
    first, second, third = await started_calls(
        *(worker.add_task(note, n, task_id=n) for n in ("same", "same", "other"))
    )
    open_gate("gate")
    assert await first == "same"
    with pytest.raises(DuplicateTaskError):
        await second
    assert await third == "other"
    await worker.drain()
    assert tasks.notes == [0, "same", "other"]
    assert await free_capacity(worker) == 1


async def test_bad_input_is_refused_without_waiting(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    with pytest.raises(ValueError, match="timeout"):
        await worker.add_task(echo, 1, timeout=math.nan)
    with pytest.raises(TypeError):
        await worker.add_task(echo)
