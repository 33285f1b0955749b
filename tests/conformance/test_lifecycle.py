"""A worker takes tasks exactly between its start and its stop, as often as it is started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from async_task_worker import AsyncCacheAdapter, AsyncTaskWorker, TaskStatus, WorkerNotRunningError
from tests.conformance.event_helpers import assert_slots_usable, ended, info_of, now, record_events, status_of
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.tasks import echo, note, open_gate, sleep_for, stubborn, wait_at
from tests.support.virtual_time import run_virtual
from tests.support.waiting import running, settled


async def test_a_worker_runs_from_start_to_stop(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    assert not worker.is_running
    await worker.start()
    assert worker.is_running
    await worker.stop()
    assert not worker.is_running


async def test_its_repr_has_slots_and_counts(make_worker: MakeWorker, backend: Backend, folder: Path) -> None:
    worker = await make_worker(started=False, max_workers=1)
    name = f"AsyncTaskWorker {backend.url(folder)}"
    assert repr(worker) == f"<{name} stopped, 0 of 1 slots in use>"
    await worker.start()
    await ended(worker, await worker.add_task(echo, 1))
    await running(worker, await worker.add_task(wait_at, "gate"))
    await worker.add_task(echo, 2)
    assert repr(worker) == f"<{name} running, 1 of 1 slots in use, 1 pending, 1 completed>"


async def test_before_start_a_task_is_refused_and_not_recorded(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    events = record_events(worker)
    with pytest.raises(WorkerNotRunningError, match=r"start\(\)"):
        await worker.add_task(echo, 1, task_id="early")
    with pytest.raises(RuntimeError):
        await worker.submit(echo, (1,), task_id="early")
    assert worker.get_task_info("early") is None
    assert worker.get_all_tasks() == []
    assert events == []


async def test_after_stop_a_task_is_refused_and_not_recorded(worker: AsyncTaskWorker) -> None:
    await worker.stop()
    with pytest.raises(WorkerNotRunningError):
        await worker.add_task(echo, 1, task_id="late")
    assert worker.get_task_info("late") is None


async def test_starting_twice_is_starting_once(worker: AsyncTaskWorker) -> None:
    await worker.start()
    assert (await ended(worker, await worker.add_task(note, "once"))).attempt == 1
    assert tasks.notes == ["once"]


@pytest.mark.parametrize("starts", [1, 2])
async def test_a_stop_during_a_start_stops_what_was_started(make_worker: MakeWorker, starts: int) -> None:
    worker = await make_worker(started=False)
    starting = [asyncio.create_task(worker.start()) for _ in range(starts)]
    await asyncio.sleep(0)
    await worker.stop()
    await asyncio.gather(*starting)
    assert not worker.is_running
    with pytest.raises(WorkerNotRunningError):
        await worker.add_task(echo, 1)


class Gradual(AsyncCacheAdapter):
    """A cache that takes some iterations of the event loop to start."""

    async def start_cleanup_task(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await super().start_cleanup_task()


@pytest.mark.parametrize("iterations", range(8))
async def test_a_stop_at_any_step_of_a_start_stops_the_worker(make_worker: MakeWorker, iterations: int) -> None:
    worker = await make_worker(started=False, cache_adapter=Gradual())
    starting = asyncio.ensure_future(worker.start())
    for _ in range(iterations):
        await asyncio.sleep(0)
    stopping = asyncio.ensure_future(worker.stop())
    await asyncio.gather(starting, stopping)
    assert not worker.is_running
    with pytest.raises(WorkerNotRunningError):
        await worker.add_task(echo, 1)
    await worker.start()
    assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1


async def test_a_start_after_a_stop_during_a_start_starts_again(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    starting = asyncio.create_task(worker.start())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    await worker.start()
    await asyncio.gather(starting, stopping)
    assert (await ended(worker, await worker.add_task(echo, 1))).result == 1


async def test_a_cancelled_start_leaves_the_other_one(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    first, second = (asyncio.create_task(worker.start()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (await ended(worker, await worker.add_task(echo, 1))).result == 1


async def test_starting_at_the_same_time_twice_is_starting_once(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False, max_workers=1)
    await asyncio.gather(worker.start(), worker.start())
    held = await worker.add_task(wait_at, "gate")
    waiting = await worker.add_task(echo, 1)
    await running(worker, held)
    assert status_of(worker, waiting) is TaskStatus.PENDING
    open_gate("gate")
    await ended(worker, waiting)


async def test_the_context_manager_starts_and_stops_the_worker(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    async with worker as entered:
        assert entered is worker
        assert worker.is_running
        task_id = await worker.add_task(sleep_for, 1, "slept")
    assert not worker.is_running
    assert info_of(worker, task_id).result == "slept"


async def test_an_error_in_the_context_manager_goes_on_after_the_stop(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    with pytest.raises(LookupError):
        async with worker:
            raise LookupError
    assert not worker.is_running


async def test_after_a_stop_it_starts_again_with_all_slots(worker: AsyncTaskWorker) -> None:
    for _ in range(3):
        await worker.stop()
        await worker.start()
        both = [await worker.add_task(wait_at, "gate") for _ in range(2)]
        await running(worker, *both)
        open_gate("gate")
        await worker.wait_for_tasks(both)
        tasks.forget_everything()


async def test_tasks_left_behind_by_a_stop_take_no_slot_after_the_next_start(
    make_worker: MakeWorker, backend: Backend
) -> None:
    worker = await make_worker(max_workers=4 if backend.durable else 2)  # durable ones are run again, too
    stuck = [await worker.add_task(stubborn, "gate") for _ in range(2)]
    await running(worker, *stuck)
    await worker.stop(timeout=0)
    await worker.start()
    assert worker.abandoned_tasks == 2
    await assert_slots_usable(worker, 2)
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0
    ended = TaskStatus.COMPLETED if backend.durable else TaskStatus.CANCELLED
    assert [status_of(worker, task_id) for task_id in stuck] == [ended] * 2
    await assert_slots_usable(worker, worker.max_workers)


async def test_what_ended_before_a_stop_is_known_after_the_next_start(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, "kept")
    await ended(worker, task_id)
    await worker.stop()
    await worker.start()
    assert info_of(worker, task_id).result == "kept"
    assert await worker.get_task_future(task_id) == "kept"


async def test_records_stay_readable_after_stop(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, "kept")
    await ended(worker, task_id)
    await worker.stop()
    assert await worker.wait_for_tasks([task_id]) == ["kept"]
    assert await worker.wait_for_any_task([task_id]) == ("kept", task_id)
    assert [info.result for info in worker.get_all_tasks("completed")] == ["kept"]
    assert worker.counts()[TaskStatus.COMPLETED] == 1
    assert not await worker.cancel_task(task_id)


async def test_a_start_during_a_stop_waits_for_it(worker: AsyncTaskWorker) -> None:
    held = await worker.add_task(sleep_for, 3, "slept")
    await running(worker, held)
    before = now()
    stop = asyncio.create_task(worker.stop(timeout=60))
    await settled()
    await worker.start()
    assert now() - before == 3
    assert stop.done()
    assert worker.is_running
    assert status_of(worker, held) is TaskStatus.COMPLETED
    assert (await ended(worker, await worker.add_task(echo, "after"))).result == "after"


async def test_a_cancelled_start_during_a_stop_leaves_the_stop_alone(worker: AsyncTaskWorker) -> None:
    await running(worker, await worker.add_task(sleep_for, 3))
    stop = asyncio.create_task(worker.stop(timeout=60))
    await settled()
    start = asyncio.create_task(worker.start())
    await settled()
    start.cancel()
    await stop
    assert not worker.is_running


def test_one_worker_serves_one_asyncio_run_after_another(backend: Backend, tmp_path: Path) -> None:
    worker = AsyncTaskWorker(backend=backend.url(tmp_path))

    async def use() -> object:
        async with worker:
            return await worker.get_task_future(await worker.add_task(echo, "done"))

    assert [run_virtual(use), run_virtual(use)] == ["done", "done"]


def test_a_loop_closed_over_a_running_worker_can_be_replaced(backend: Backend, tmp_path: Path) -> None:
    """Nobody stopped it; asyncio cancelled its tasks and closed the loop."""
    worker = AsyncTaskWorker(max_workers=3 if backend.durable else 2, backend=backend.url(tmp_path))

    async def leave_behind() -> str:
        await worker.start()
        task_id = await worker.add_task(wait_at, "gate")
        await running(worker, task_id)
        return task_id

    async def use_all_slots() -> list[object]:
        tasks.forget_everything()  # the gates belong to the loop before
        async with worker:
            ids = [await worker.add_task(wait_at, "other gate", n) for n in range(2)]
            await running(worker, *ids)
            open_gate("gate")  # for what was left behind, where that is run again
            open_gate("other gate")
            return await worker.wait_for_tasks(ids)

    left = run_virtual(leave_behind)
    assert not worker.is_running
    assert run_virtual(use_all_slots) == [0, 1]
    assert info_of(worker, left).finished or backend.durable
