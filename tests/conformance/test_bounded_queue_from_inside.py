"""A task that adds tasks to a full queue waits only if something else can make room: there is no deadlock."""

from __future__ import annotations

import asyncio

from async_task_worker import TaskStatus, task
from tests.conformance.event_helpers import ended, now
from tests.conformance.from_inside_task import add_and_wait, add_more, own_worker, use_worker
from tests.conftest import MakeWorker
from tests.support.tasks import echo, open_gate, sleep_for, wait_at
from tests.support.waiting import running


async def test_a_task_in_the_only_slot_that_fills_the_queue_gets_an_error(make_worker: MakeWorker) -> None:
    """Waiting for room that only its own end could make would never be over."""
    worker = await make_worker(max_workers=1, max_queue_size=2)
    use_worker(worker)
    before = now()
    info = await ended(worker, await worker.add_task(add_more, "echo", [1], 3))
    assert (info.status, now()) == (TaskStatus.FAILED, before)
    assert info.error_detail is not None
    assert info.error_detail.type.endswith("QueueFullError")
    assert "waits for room" in str(info.error)
    await worker.drain()
    assert worker.counts()[TaskStatus.COMPLETED] == 2


async def test_tasks_in_all_slots_that_fill_the_queue_do_not_hang(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=3, max_queue_size=1)
    use_worker(worker)
    ids = [await worker.add_task(add_more, "echo", [number], 3) for number in range(3)]
    infos = [await ended(worker, task_id) for task_id in ids]
    assert TaskStatus.COMPLETED in [info.status for info in infos]
    assert all("waits for room" in str(info.error) for info in infos if info.status is TaskStatus.FAILED)
    await worker.drain()


async def test_a_task_may_wait_for_capacity_while_another_runs(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2, max_queue_size=1)
    use_worker(worker)
    await running(worker, await worker.add_task(sleep_for, 10))
    info = await ended(worker, await worker.add_task(add_more, "echo", [1], 3))
    assert (info.status, info.run_time) == (TaskStatus.COMPLETED, 10)
    await worker.drain()


@task("add_at_once")
async def add_at_once(count: int) -> int:
    """Add so many tasks at the same time, so that some wait for room while others are written."""
    ids = await asyncio.gather(*(own_worker().add_task(echo, number) for number in range(count)))
    return len(ids)


async def test_an_awaited_task_may_add_more_tasks_than_the_queue_takes(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2, max_queue_size=1)
    use_worker(worker)
    info = await ended(worker, await worker.add_task(add_and_wait, "add_at_once", [5]))
    assert info.result == 5
    await worker.drain()
    assert worker.counts()[TaskStatus.COMPLETED] == 7


async def test_a_task_cancelled_while_it_waits_for_capacity_adds_nothing(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=2, max_queue_size=1)
    use_worker(worker)
    await running(worker, await worker.add_task(wait_at, "gate"))
    adding = await worker.add_task(add_more, "echo", [1], 3)
    await running(worker, adding)
    assert await worker.cancel_task(adding)
    open_gate("gate")
    await worker.drain()
    assert len(worker.get_all_tasks()) == 3
    assert worker.counts()[TaskStatus.COMPLETED] == 2
