"""The fixtures and the waiting for a worker's tasks, as the conformance suite uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, get_task_function
from async_task_worker.model.clock import SYSTEM_CLOCK, Clock
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.tasks import ERRORS, echo, fail_with, note, open_gate, sleep_for, stubborn, wait_at
from tests.support.virtual_time import BEGINNING, WALL_BEGINNING, DeadlockError, run_virtual
from tests.support.waiting import finished, loop_iterations, reached, running, settled, started


async def test_a_task_is_seen_to_start_and_to_end(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600, "slept")
    (begun,) = await started(worker, task_id)
    assert begun.status is TaskStatus.RUNNING
    (ended,) = await finished(worker, task_id)
    assert (ended.status, ended.result) == (TaskStatus.COMPLETED, "slept")


async def test_what_has_happened_already_is_not_waited_for(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, "quick")
    await finished(worker, task_id)
    assert await started(worker, task_id) == await finished(worker, task_id)


async def test_running_means_waiting_in_its_own_code(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(note, "here", "gate")
    await running(worker, task_id)
    assert tasks.notes == ["here"]
    open_gate("gate")
    await finished(worker, task_id)


async def test_a_condition_can_be_waited_for(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(tasks.report_progress, [0.25, 0.5], 60)
    info = await reached(worker, task_id, lambda info: info.progress >= 0.5)
    assert info.progress == 0.5
    await finished(worker, task_id)


async def test_settled_is_when_the_tasks_wait_for_the_test(worker: AsyncTaskWorker) -> None:
    waiting = asyncio.create_task(finished(worker, await worker.add_task(wait_at, "gate", 7)))
    await settled()
    assert not waiting.done()
    open_gate("gate")
    assert [info.result for info in await waiting] == [7]


def test_waiting_for_a_worker_without_work_is_a_deadlock() -> None:
    """No idle wake-ups: were there any, the loop would go round for ever instead."""

    async def main() -> None:
        async with AsyncTaskWorker() as worker:
            await anext(worker.events.stream())

    with pytest.raises(DeadlockError):
        run_virtual(main)


async def test_the_clock_returns_virtual_time(worker: AsyncTaskWorker, clock: Clock) -> None:
    assert (clock.monotonic(), clock.wall()) == (BEGINNING, WALL_BEGINNING)
    (info,) = await finished(worker, await worker.add_task(sleep_for, 3600))
    assert info.completed_at is not None
    assert info.completed_at - info.created_at == timedelta(hours=1)
    assert info.created_at.timestamp() == WALL_BEGINNING


@pytest.mark.other_loop
async def test_another_loop_runs_the_same_fixtures(worker: AsyncTaskWorker, clock: Clock) -> None:
    assert clock is SYSTEM_CLOCK
    task_id = await worker.add_task(note, "here", "gate")
    await running(worker, task_id)
    open_gate("gate")
    await finished(worker, task_id)


@pytest.mark.schedules(20)
async def test_any_order_runs_the_same_fixtures(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, n % 3, n) for n in range(6)]
    assert [info.result for info in await finished(worker, *ids)] == list(range(6))


async def test_make_worker_takes_options_and_stops_what_it_made(make_worker: MakeWorker) -> None:
    single = await make_worker(max_workers=1)
    idle = await make_worker(started=False)
    assert single.is_running
    assert not idle.is_running
    held = await single.add_task(stubborn, "gate")
    queued = await single.add_task(echo, "second")
    await running(single, held)
    assert single.get_task_info(queued).status is TaskStatus.PENDING


async def test_turns_go_round_the_loop() -> None:
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(seen.append, 1)
    await loop_iterations(2)
    assert seen == [1]


async def test_every_sample_task_is_registered_under_its_own_name() -> None:
    for name in ("echo", "sleep_for", "add", "fail_with", "report_progress", "stubborn", "swallow_cancel"):
        assert get_task_function(name) is getattr(tasks, name)


@pytest.mark.parametrize("name", ERRORS)
async def test_every_error_can_be_raised(name: str) -> None:
    with pytest.raises(ERRORS[name]):
        await _caught(fail_with("message", name))


async def _caught(coroutine: Coroutine[None, None, object]) -> None:
    """Drive the coroutine by hand: on a loop, SystemExit would end the test run."""
    try:
        coroutine.send(None)
    except RuntimeError as error:  # what a coroutine makes of StopAsyncIteration
        raise (error.__cause__ or error) from None
