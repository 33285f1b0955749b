"""A task that runs longer than it was allowed ends as failed, and says how long that was."""

from __future__ import annotations

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, TaskTimeoutError
from tests.conformance.event_helpers import ended, info_of, now, status_of, time_passes
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.tasks import (
    clean_up_for,
    echo,
    fail_on_cancel,
    fail_with,
    open_gate,
    sleep_for,
    stubborn,
    swallow_cancel,
    wait_at,
)
from tests.support.waiting import finished, loop_iterations, running, settled


async def test_a_late_task_fails_when_its_time_is_up(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(sleep_for, 60, timeout=2.5))
    assert info.status is TaskStatus.FAILED
    assert "2.5 seconds" in str(info.error)
    assert info.run_time == 2.5
    assert info.error_detail is not None
    assert info.error_detail.type == "async_task_worker.exceptions.TaskTimeoutError"


async def test_a_task_in_time_is_left_alone(worker: AsyncTaskWorker) -> None:
    assert (await ended(worker, await worker.add_task(sleep_for, 60, "slept", timeout=61))).result == "slept"


async def test_the_worker_has_a_timeout_for_all_its_tasks(make_worker: MakeWorker) -> None:
    worker = await make_worker(task_timeout=5)
    info = await ended(worker, await worker.add_task(sleep_for, 60))
    assert (info.status, info.run_time) == (TaskStatus.FAILED, 5)
    assert "5 seconds" in str(info.error)
    assert (await ended(worker, await worker.submit(sleep_for, (60,)))).run_time == 5


async def test_a_timeout_of_its_own_beats_the_workers(make_worker: MakeWorker) -> None:
    worker = await make_worker(task_timeout=5)
    shorter = await ended(worker, await worker.add_task(sleep_for, 60, timeout=1))
    assert (shorter.status, shorter.run_time) == (TaskStatus.FAILED, 1)
    longer = await ended(worker, await worker.add_task(sleep_for, 60, timeout=100))
    assert (longer.status, longer.run_time) == (TaskStatus.COMPLETED, 60)


async def test_waiting_for_a_slot_does_not_count(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await worker.add_task(sleep_for, 100)
    info = await ended(worker, await worker.add_task(sleep_for, 5, timeout=10))
    assert (info.status, info.wait_time) == (TaskStatus.COMPLETED, 100)


async def test_a_timeout_error_of_the_tasks_own_keeps_its_text(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(fail_with, "server did not answer", "TimeoutError", timeout=60)
    info = await ended(worker, task_id)
    assert (info.status, info.error) == (TaskStatus.FAILED, "server did not answer")
    with pytest.raises(TimeoutError) as caught:
        await worker.get_task_future(task_id)
    assert not isinstance(caught.value, TaskTimeoutError)


async def test_the_slot_of_a_late_task_goes_to_the_next(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    late = await worker.add_task(sleep_for, 3600, timeout=5)
    following = await worker.add_task(echo, "next")
    infos = await finished(worker, late, following)
    assert infos[1].started_at == infos[0].completed_at


async def test_the_timeout_of_one_task_does_not_reach_the_next_in_its_slot(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await ended(worker, await worker.add_task(sleep_for, 1, timeout=10))
    assert (await ended(worker, await worker.add_task(sleep_for, 60, "slept"))).result == "slept"


async def test_a_late_task_may_clean_up(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(clean_up_for, 3600, 0.5, timeout=5))
    assert (info.status, info.run_time) == (TaskStatus.FAILED, 5.5)
    assert "5 seconds" in str(info.error)
    assert tasks.notes == ["cleaned up"]


async def test_a_late_task_has_failed_even_if_it_returns_something(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(swallow_cancel, 3600, "too late", timeout=5))
    assert (info.status, info.result) == (TaskStatus.FAILED, None)
    assert "5 seconds" in str(info.error)
    assert tasks.notes == ["swallowed"]


async def test_a_late_task_that_raises_something_else_still_timed_out(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(fail_on_cancel, 3600, "interrupted", timeout=5))
    assert info.status is TaskStatus.FAILED
    assert "5 seconds" in str(info.error)
    assert info.error_detail is not None
    assert "interrupted" in info.error_detail.traceback, "what it raised is told as the cause"


async def test_a_stubborn_late_task_is_abandoned_after_a_second(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    late = await worker.add_task(stubborn, "gate", timeout=5)
    following = await worker.add_task(echo, "next")
    infos = await finished(worker, late, following)
    assert (infos[0].status, infos[0].run_time) == (TaskStatus.FAILED, 6)
    assert "5 seconds" in str(infos[0].error)
    assert (infos[1].result, infos[1].wait_time) == ("next", 6)
    assert worker.abandoned_tasks == 1
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0
    assert info_of(worker, late) == infos[0]


async def test_a_task_cancelled_first_was_not_late(worker: AsyncTaskWorker) -> None:
    """The first reason to stop it decides, even when its time is up while it cleans up."""
    task_id = await worker.add_task(clean_up_for, 3600, 0.9, timeout=5)
    await running(worker, task_id)
    await time_passes(4.5)
    assert await worker.cancel_task(task_id)
    assert status_of(worker, task_id) is TaskStatus.CANCELLED


async def test_a_task_late_first_was_not_cancelled(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.9, timeout=5)
    await running(worker, task_id)
    await time_passes(5.5)
    assert not await worker.cancel_task(task_id)
    assert status_of(worker, task_id) is TaskStatus.FAILED


async def test_a_timeout_in_the_same_turn_does_not_eat_a_cancel(worker: AsyncTaskWorker) -> None:
    """Whichever comes first: the answer and the record agree, and the slot goes on."""
    for count in range(10):
        task_id = await worker.add_task(sleep_for, 3600, timeout=5)
        await running(worker, task_id)
        await time_passes(5)
        await loop_iterations(count)
        answer = await worker.cancel_task(task_id)
        assert status_of(worker, task_id) is (TaskStatus.CANCELLED if answer else TaskStatus.FAILED)
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"


async def test_stop_cuts_off_a_late_task_in_its_second_of_grace(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(stubborn, "gate", timeout=5)
    await running(worker, task_id)
    await time_passes(5.25)
    before = now()
    await worker.stop(timeout=0)
    assert now() - before <= 1
    assert status_of(worker, task_id) is TaskStatus.FAILED


async def test_a_very_long_timeout_is_as_good_as_none(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate", "result", timeout=1e12)
    await running(worker, task_id)
    open_gate("gate")
    assert (await ended(worker, task_id)).result == "result"


async def test_a_very_short_timeout_still_starts_the_task(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(sleep_for, 60, timeout=1e-9))
    assert (info.status, info.attempt) == (TaskStatus.FAILED, 1)
