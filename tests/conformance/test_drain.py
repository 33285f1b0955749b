"""Draining waits until nothing waits or runs any more."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, WorkerNotRunningError
from tests.conformance.event_helpers import ended, now, status_of
from tests.conformance.from_inside_task import add_more, drain_worker, use_worker
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.tasks import cancel_itself, echo, fail_with, note, open_gate, sleep_for, stubborn, wait_at
from tests.support.waiting import running, settled


async def test_without_work_it_is_over_at_once(worker: AsyncTaskWorker) -> None:
    before = now()
    await worker.drain()
    await worker.drain(timeout=0)
    assert now() == before


async def test_it_waits_for_what_runs_and_what_waits(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    for number in range(3):
        await worker.add_task(sleep_for, 10, number)
    before = now()
    await worker.drain()
    assert now() - before == 30
    assert worker.counts()[TaskStatus.COMPLETED] == 3


async def test_it_waits_for_tasks_added_later(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    await worker.add_task(add_more, "add_more", ["note", ["last"]])
    await worker.drain()
    assert tasks.notes == ["last"]


async def test_however_tasks_end_they_are_no_longer_waited_for(worker: AsyncTaskWorker) -> None:
    await worker.add_task(fail_with, "no", "SystemExit")
    await worker.add_task(cancel_itself)
    await worker.add_task(sleep_for, 60, timeout=1)
    await worker.cancel_task(await worker.add_task(echo, 1))
    await worker.drain(timeout=10)


async def test_an_abandoned_task_is_not_waited_for(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(stubborn, "gate")
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    await worker.drain(timeout=0)
    assert worker.abandoned_tasks == 1


async def test_a_timeout_error_has_the_number_of_tasks_left_which_go_on(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(sleep_for, 10, number) for number in range(3)]
    before = now()
    with pytest.raises(TimeoutError, match="2 tasks"):
        await worker.drain(timeout=15)
    assert now() - before == 15
    assert await worker.wait_for_tasks(ids) == [0, 1, 2]


async def test_several_can_wait_at_once(worker: AsyncTaskWorker) -> None:
    await worker.add_task(sleep_for, 10)
    before = now()
    await asyncio.gather(*(worker.drain() for _ in range(5)))
    assert now() - before == 10


async def test_a_cancelled_drain_has_no_effect_on_others(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 10, "slept")
    given_up, other = asyncio.create_task(worker.drain()), asyncio.create_task(worker.drain())
    await settled()
    given_up.cancel()
    await other
    assert given_up.cancelled()
    assert status_of(worker, task_id) is TaskStatus.COMPLETED


async def test_a_task_that_drains_does_not_wait_for_itself(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    await running(worker, await worker.add_task(sleep_for, 10))
    info = await ended(worker, await worker.add_task(drain_worker, "drained all the same"))
    assert (info.result, info.run_time) == ("drained all the same", 10)


async def test_tasks_that_drain_do_not_wait_for_each_other(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    ids = [await worker.add_task(drain_worker, number) for number in range(2)]
    assert await worker.wait_for_tasks(ids, timeout=10) == [0, 1]


async def test_an_outside_drain_waits_for_the_tasks_that_drain(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    await worker.add_task(drain_worker)
    await worker.add_task(note, "worked")
    await worker.drain()
    assert sorted(tasks.notes) == ["drained", "worked"]


async def test_the_worker_takes_tasks_while_and_after_it_drains(worker: AsyncTaskWorker) -> None:
    first = await worker.add_task(wait_at, "gate")
    drain = asyncio.create_task(worker.drain())
    await running(worker, first)
    second = await worker.add_task(sleep_for, 10)
    open_gate("gate")
    await drain
    assert status_of(worker, second) is TaskStatus.COMPLETED
    assert worker.is_running


async def test_a_stopped_worker_has_nothing_left_to_wait_for(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    drain = asyncio.create_task(worker.drain())
    await settled()
    await worker.stop(timeout=1)
    if backend.durable:  # what is left is done after the next start
        with pytest.raises(WorkerNotRunningError):
            await drain
    else:
        await drain
    await worker.drain()
