"""Whenever a cancellation comes: the answer is true, and the next task runs, on every slot."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, task
from tests.conformance.event_helpers import assert_slots_usable, info_of, status_of
from tests.conftest import MakeWorker
from tests.support.tasks import take_turns
from tests.support.waiting import loop_iterations

STEPS = range(16)
"""How many turns of the loop lie between adding and cancelling: from before the start to past the end."""


@task("time_out_at_once")
async def time_out_at_once(count: int) -> None:
    """Take some turns, time out a wait of its own in no time, and go on waiting."""
    await take_turns(count)
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)
    except TimeoutError:
        pass
    await asyncio.sleep(3600)


@pytest.mark.parametrize("count", range(6))
async def test_a_timeout_of_zero_inside_a_task_does_not_eat_a_cancel(worker: AsyncTaskWorker, count: int) -> None:
    for steps in STEPS:
        task_id = await worker.add_task(time_out_at_once, count)
        await loop_iterations(steps)
        assert await worker.cancel_task(task_id)
        assert status_of(worker, task_id) is TaskStatus.CANCELLED
    await assert_slots_usable(worker, 2)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("slots", [1, 3])
async def test_cancelled_in_any_step_from_submission_to_end_the_next_task_runs(
    make_worker: MakeWorker, slots: int, steps: int
) -> None:
    """On every slot; and the answer tells how the task ended."""
    worker = await make_worker(max_workers=slots)
    task_id = await worker.add_task(take_turns, 8, "done")
    await loop_iterations(steps)
    cancelled = await worker.cancel_task(task_id)
    assert status_of(worker, task_id) is (TaskStatus.CANCELLED if cancelled else TaskStatus.COMPLETED)
    await assert_slots_usable(worker, slots)


@pytest.mark.parametrize("steps", STEPS)
async def test_cancelled_in_any_step_beside_others_those_run_on(make_worker: MakeWorker, steps: int) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(take_turns, 2, number) for number in range(6)]
    await loop_iterations(steps)
    cancelled = [await worker.cancel_task(task_id) for task_id in ids[::2]]
    await worker.drain()
    assert [status_of(worker, task_id) is TaskStatus.CANCELLED for task_id in ids[::2]] == cancelled
    assert [info_of(worker, task_id).result for task_id in ids[1::2]] == [1, 3, 5]
    await assert_slots_usable(worker, 1)


@pytest.mark.schedules(30)
async def test_cancelled_in_any_schedule_the_answer_is_true_and_the_slots_are_freed(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(take_turns, number, number) for number in range(8)]
    answers = await asyncio.gather(*(worker.cancel_task(task_id) for task_id in ids))
    await worker.drain()
    assert [status_of(worker, task_id) is TaskStatus.CANCELLED for task_id in ids] == answers
    await assert_slots_usable(worker, 2)
