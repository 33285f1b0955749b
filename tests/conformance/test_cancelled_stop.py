"""A stop whose caller is cancelled: it goes on without a grace, and what runs is cut off at once."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from async_task_worker import AsyncTaskWorker
from tests.conformance.event_helpers import now, status_of
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import clean_up_for, open_gate, sleep_for, stubborn
from tests.support.waiting import running, settled


async def test_a_cancelled_stop_cuts_off_what_runs_before_it_raises(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    stop = asyncio.create_task(worker.stop(timeout=60))
    await settled()
    before = now()
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop
    assert (now(), status_of(worker, task_id)) == (before, backend.status_after_stop)
    await settled()
    assert not worker.is_running
    await worker.start()
    await worker.cancel_task(task_id)


async def test_what_it_cuts_off_may_clean_up(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.25)
    await running(worker, task_id)
    before = now()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await worker.stop(timeout=60)
    assert now() - before == 2.25
    assert worker.abandoned_tasks == 0


async def test_it_waits_for_a_second_at_most(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(stubborn, "gate")
    await running(worker, task_id)
    before = now()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await worker.stop(timeout=60)
    assert now() - before <= 3
    assert (status_of(worker, task_id), worker.abandoned_tasks) == (backend.status_after_stop, 1)
    open_gate("gate")
    await settled()


async def test_a_second_cancellation_is_not_waited_for(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(stubborn, "gate")
    await running(worker, task_id)
    stop = asyncio.create_task(worker.stop(timeout=60))
    await settled()
    before = now()
    for _ in range(2):
        stop.cancel()
        await settled()
    assert stop.cancelled()
    assert now() == before
    open_gate("gate")
    await settled()


@pytest.mark.parametrize("way", ["async with", "lifespan", "drain"])
async def test_leaving_a_cancelled_scope_of_anyio_leaves_nothing_running(
    make_worker: MakeWorker, backend: Backend, way: str
) -> None:
    """Its cancellation comes again at each await until the scope is left."""
    worker = await make_worker(started=False, max_workers=2)
    before = now()
    with anyio.move_on_after(3) as scope:
        async with worker.lifespan() if way == "lifespan" else worker:
            ids = [await worker.add_task(sleep_for, 3600) for _ in range(3)]
            await (worker.drain() if way == "drain" else anyio.sleep_forever())
    assert scope.cancelled_caught
    await settled()
    assert now() - before == 3
    assert {status_of(worker, task_id) for task_id in ids[:2]} == {backend.status_after_stop}
    assert not worker.is_running


async def test_a_task_group_that_is_cancelled_during_a_stop(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    before = now()

    async def fail_later() -> None:
        await asyncio.sleep(2)
        raise RuntimeError("the other one failed")

    async def stop_beside_that() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.stop(timeout=60))
            group.create_task(fail_later())

    with pytest.raises(ExceptionGroup):
        await stop_beside_that()
    assert (now() - before, status_of(worker, task_id)) == (2, backend.status_after_stop)


async def test_of_two_stops_the_cancelled_one_ends_the_grace_of_both(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    first, second = asyncio.create_task(worker.stop(60)), asyncio.create_task(worker.stop(60))
    await settled()
    before = now()
    second.cancel()
    await asyncio.wait([first, second])
    assert now() == before
    assert (first.cancelled(), second.cancelled()) == (False, True)
