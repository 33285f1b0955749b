"""Calls to a durable worker while it stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from async_task_worker import (
    TaskStatus,
    WorkerNotRunningError,
)
from tests.support.tasks import (
    echo,
    open_gate,
    sleep_for,
    wait_at,
)
from tests.support.waiting import running
from tests.unit.durable import (
    OpenWorker,
    in_file,
    info_of,
)


async def test_a_future_made_between_a_stop_and_the_next_start_gets_the_result(open_worker: OpenWorker) -> None:
    worker = await open_worker(max_workers=1)
    await worker.add_task(wait_at, "gate")
    task_id = await worker.add_task(echo, "later")
    await worker.stop(0)
    future = worker.get_task_future(task_id)
    await worker.stop(0)
    assert not future.done()
    open_gate("gate")
    await worker.start()
    assert await future == "later"


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_task_whose_caller_is_cancelled_during_a_stop_is_deleted(open_worker: OpenWorker, turns: int) -> None:
    worker = await open_worker()
    adder = asyncio.create_task(worker.add_task(echo, 1, task_id="left"))
    await asyncio.sleep(0)
    stop = asyncio.create_task(worker.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    was_cancelled = adder.cancel()
    await stop
    await worker.start()
    assert (await worker.fetch_task_info("left") is None) is was_cancelled


async def test_callers_that_are_cancelled_during_acknowledgements_and_a_stop_withdraw_their_tasks(
    open_worker: OpenWorker, path: Path
) -> None:
    worker = await open_worker()
    adders = [asyncio.create_task(worker.add_task(echo, 1)) for _ in range(1_000)]
    await asyncio.wait(adders, return_when=asyncio.FIRST_COMPLETED)
    stop = asyncio.create_task(worker.stop())
    left = [adder.cancel() for adder in adders[100:]]
    await stop
    told = sum(not adder.cancelled() for adder in adders)
    assert all(left)
    assert in_file(path, "SELECT count(*) FROM task") == [(told,)]


async def test_a_stop_withdraws_the_task_of_a_caller_that_is_not_resumed(open_worker: OpenWorker, path: Path) -> None:
    worker = await open_worker()
    never_resumed = worker.add_task(echo, 1)
    never_resumed.send(None)
    resumed = worker.add_task(echo, 1, task_id="resumed")
    committed = resumed.send(None)
    await worker.add_task(echo, 1, task_id="acknowledged")
    async with asyncio.timeout(30):
        await worker.stop(0)
    assert in_file(path, "SELECT id FROM task") == [("acknowledged",)]
    assert committed.done()
    await worker.start()
    with pytest.raises(WorkerNotRunningError):
        resumed.send(None)
    assert worker.get_task_info("resumed") is None
    assert await worker.wait_for_tasks(["acknowledged"]) == [1]
    never_resumed.close()


async def test_a_late_caller_leaves_the_next_task_of_its_id_alone(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    late = worker.add_task(echo, "late", task_id="same")
    late.send(None)
    await worker.stop(0)
    await worker.start()
    adding = asyncio.create_task(worker.add_task(echo, "next", task_id="same"))
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        late.throw(asyncio.CancelledError())
    assert await adding == "same"
    assert await worker.wait_for_tasks(["same"]) == ["next"]


async def test_a_stop_ends_although_a_call_that_cancels_a_task_is_not_resumed(
    open_worker: OpenWorker,
) -> None:
    worker = await open_worker(max_workers=1)
    await worker.add_task(wait_at, "gate")
    await worker.add_task(echo, 1, task_id="waiting")
    cancelling = worker.cancel_task("waiting")
    cancelling.send(None)
    async with asyncio.timeout(30):
        await worker.stop(0)
    cancelling.close()
    later = await open_worker()
    assert (await info_of(later, "waiting")).status is TaskStatus.CANCELLED


@pytest.mark.parametrize("turns", range(1, 16))
@pytest.mark.parametrize("task_id", ["running", "waiting"])
async def test_a_cancellation_during_a_stop_is_stored_or_raises(
    open_worker: OpenWorker, path: Path, task_id: str, turns: int
) -> None:
    worker = await open_worker(max_workers=1)
    await worker.add_task(wait_at, "gate", task_id="running")
    await worker.add_task(echo, 1, task_id="waiting")
    stop = asyncio.create_task(worker.stop(timeout=0))
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        cancelled = await worker.cancel_task(task_id)
    except WorkerNotRunningError:
        cancelled = False
    await stop
    assert (await info_of(worker, task_id)).status == ("cancelled" if cancelled else "pending")
    assert in_file(path, "SELECT status FROM task WHERE id = ?", task_id) == [(4 if cancelled else 0,)]


async def test_waiting_callers_get_an_error_at_a_stop_that_says_the_task_is_safe(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    task_id = await worker.add_task(sleep_for, 3600)
    future, drain = worker.get_task_future(task_id), asyncio.ensure_future(worker.drain())
    await running(worker, task_id)
    await worker.stop(timeout=0)
    with pytest.raises(WorkerNotRunningError, match="safe"):
        await future
    with pytest.raises(WorkerNotRunningError):
        await drain
    with pytest.raises(WorkerNotRunningError):
        await worker.cancel_task(task_id)


async def test_coalesced_tasks_share_a_result_and_a_stop_separates_them(open_worker: OpenWorker) -> None:
    worker = await open_worker(cache_enabled=True)
    calls = [await worker.add_task(sleep_for, 5, "slept") for _ in range(3)]
    assert await worker.wait_for_tasks(calls) == ["slept"] * 3
    assert [worker.get_task_info(task_id).from_cache for task_id in calls] == [False, True, True]  # type: ignore[union-attr]
    assert await worker.get_task_future(await worker.add_task(sleep_for, 5, "slept")) == "slept"
    left = [await worker.add_task(wait_at, "gate", "shared") for _ in range(3)]
    await running(worker, left[0])
    await worker.stop(timeout=0)
    assert [info.status for info in worker.get_all_tasks(limit=3)] == [TaskStatus.PENDING] * 3
    open_gate("gate")
    await worker.start()
    assert await worker.wait_for_tasks(left) == ["shared"] * 3
    assert (await info_of(worker, calls[1])).from_cache
    assert await worker.get_task_future(await worker.add_task(wait_at, "gate", "shared")) == "shared"
