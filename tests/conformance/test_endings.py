"""Whatever a task does to end, it has ended, once and for good, and its slot takes the next."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, task
from tests.conformance.event_helpers import ended, info_of, now, record_events
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import ERRORS, cancel_itself, echo, fail_with, open_gate, sleep_for, stubborn, wait_at
from tests.support.waiting import running, settled

RAISED = [name for name in ERRORS if name != "KeyboardInterrupt"]  # that one ends the loop as well


_held_by_nobody: weakref.WeakSet[asyncio.Future[str]] = weakref.WeakSet()


@task("wait_unheld")
async def wait_unheld(stubborn: bool = False) -> str:
    """Wait for a future that nothing but this coroutine holds, so that both could be collected."""
    while True:
        future = asyncio.get_running_loop().create_future()
        _held_by_nobody.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            if not stubborn:
                raise


@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("after", [0, 1], ids=["at once", "later"])
async def test_whatever_a_task_raises_it_ends_and_frees_its_slot(
    make_worker: MakeWorker, error: str, after: float
) -> None:
    worker = await make_worker(max_workers=1)
    for _ in range(2):
        info = await ended(worker, await worker.add_task(fail_with, "", error, after))
        assert info.status is (TaskStatus.CANCELLED if error == "CancelledError" else TaskStatus.FAILED)
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"


@pytest.mark.parametrize("error", RAISED)
async def test_whatever_a_task_raises_stop_is_bounded(make_worker: MakeWorker, backend: Backend, error: str) -> None:
    worker = await make_worker(max_workers=2)
    await worker.add_task(fail_with, "", error, 0.5)
    await running(worker, await worker.add_task(stubborn, "gate"))
    before = now()
    await worker.stop(timeout=1)
    assert now() - before <= 2
    assert [info.status for info in worker.get_all_tasks() if info.name == "stubborn"] == [backend.status_after_stop]


async def test_the_end_of_every_task_is_published_exactly_once(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    ids = [
        await worker.add_task(echo, 1),
        await worker.add_task(fail_with, "no"),
        await worker.add_task(fail_with, "no", "OddError"),
        await worker.add_task(cancel_itself),
        await worker.add_task(stubborn, "gate", timeout=1),
        await worker.add_task(sleep_for, 1, timeout=1),
        await worker.add_task(stubborn, "gate"),
    ]
    await running(worker, ids[-1])
    await worker.cancel_task(ids[-1])
    open_gate("gate")
    await worker.drain()
    await worker.stop()
    endings = [event.task.id for event in events if event.task.finished]
    assert sorted(endings) == sorted(ids)


async def test_a_task_that_fails_is_not_run_again(worker: AsyncTaskWorker) -> None:
    """One that always fails would go round for ever."""
    task_id = await worker.add_task(fail_with, "no", after=1)
    await ended(worker, task_id)
    await worker.stop()
    await worker.start()
    await worker.drain()
    info = info_of(worker, task_id)
    assert (info.status, info.attempt) == (TaskStatus.FAILED, 1)


async def test_a_final_state_never_changes(worker: AsyncTaskWorker) -> None:
    ids = [
        await worker.add_task(echo, 1),
        await worker.add_task(fail_with, "no"),
        await worker.add_task(cancel_itself),
    ]
    before = [await ended(worker, task_id) for task_id in ids]
    for task_id in ids:
        await worker.cancel_task(task_id)
    await worker.stop(timeout=0)
    await worker.start()
    assert [info_of(worker, task_id) for task_id in ids] == before


async def test_a_running_task_is_not_collected_as_garbage(worker: AsyncTaskWorker) -> None:
    """The loop holds its tasks weakly; something else has to hold them until their end."""
    task_id = await worker.add_task(wait_unheld)
    await running(worker, task_id)
    gc.collect()
    for future in _held_by_nobody:
        future.set_result("alive")
    assert (await ended(worker, task_id)).result == "alive"


async def test_an_abandoned_task_is_not_collected_as_garbage(worker: AsyncTaskWorker, loop_errors: list[str]) -> None:
    task_id = await worker.add_task(wait_unheld, stubborn=True)
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    gc.collect()
    assert worker.abandoned_tasks == 1
    for future in _held_by_nobody:
        future.set_result("alive")
    await settled()
    assert worker.abandoned_tasks == 0
    assert loop_errors == []


async def test_a_slot_serves_a_thousand_tasks_of_all_endings(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    kinds = [(echo, 1), (fail_with, "no"), (fail_with, "no", "OddError"), (cancel_itself,), (sleep_for, 0.001)]
    await asyncio.gather(*(worker.add_task(*kinds[number % 5]) for number in range(1000)))
    await worker.drain()
    assert worker.counts() == {
        TaskStatus.PENDING: 0,
        TaskStatus.RUNNING: 0,
        TaskStatus.COMPLETED: 400,
        TaskStatus.FAILED: 400,
        TaskStatus.CANCELLED: 200,
    }


async def test_a_failing_task_is_no_business_of_the_loop(worker: AsyncTaskWorker, loop_errors: list[str]) -> None:
    for error in ("ValueError", "SystemExit", "GeneratorExit", "OddError"):
        await ended(worker, await worker.add_task(fail_with, "", error, 1))
    gc.collect()
    assert loop_errors == []
    held = await worker.add_task(wait_at, "gate")
    await running(worker, held)
    open_gate("gate")
    await ended(worker, held)
