"""Cancelling ends a task within a second, says truly how it ended, and never costs a slot."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskCancelledError, TaskStatus
from tests.conformance.event_helpers import (
    assert_slots_usable,
    ended,
    info_of,
    now,
    record_events,
    status_of,
    time_passes,
)
from tests.conformance.from_inside_task import cancel_task_of_id, use_worker
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.tasks import (
    cancel_itself,
    clean_up_for,
    echo,
    fail_in_group,
    fail_on_cancel,
    fail_with,
    note,
    open_gate,
    shield_and_go_on,
    sleep_for,
    stubborn,
    swallow_cancel,
    wait_at,
)
from tests.support.waiting import running, settled


async def test_a_running_task_ends_cancelled_and_its_slot_is_free(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    before = now()
    assert await worker.cancel_task(task_id) is True
    assert now() == before
    assert status_of(worker, task_id) is TaskStatus.CANCELLED
    await assert_slots_usable(worker, 1)


async def test_a_waiting_task_ends_cancelled_and_never_starts(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    task_id = await worker.add_task(note, "started after all")
    assert await worker.cancel_task(task_id) is True
    open_gate("gate")
    await worker.drain()
    assert tasks.notes == []
    assert info_of(worker, task_id).started_at is None


@pytest.mark.parametrize("function", [echo, fail_with, cancel_itself])
async def test_a_task_that_has_ended_is_left_as_it_is(worker: AsyncTaskWorker, function: object) -> None:
    task_id = await worker.submit(function, () if function is cancel_itself else ("value",))
    before = await ended(worker, task_id)
    assert await worker.cancel_task(task_id) is False
    assert info_of(worker, task_id) == before


async def test_an_unknown_task_is_not_cancelled(worker: AsyncTaskWorker) -> None:
    assert await worker.cancel_task("unknown") is False


async def test_cancelling_a_second_time_changes_nothing(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    assert await worker.cancel_task(task_id) is True
    before = info_of(worker, task_id)
    assert await worker.cancel_task(task_id) is False
    assert info_of(worker, task_id) == before


async def test_a_cancelled_task_may_clean_up_for_up_to_a_second(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.9)
    await running(worker, task_id)
    before = now()
    assert await worker.cancel_task(task_id)
    assert now() - before == pytest.approx(0.9)
    assert tasks.notes == ["cleaned up"]
    assert worker.abandoned_tasks == 0


async def test_a_second_cancel_does_not_kill_the_cleaning_up(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.9)
    await running(worker, task_id)
    first = asyncio.create_task(worker.cancel_task(task_id))
    await time_passes(0.5)
    assert await worker.cancel_task(task_id)
    assert await first
    assert tasks.notes == ["cleaned up"]


async def test_cancelling_a_task_that_cleans_up_longer_is_no_longer_waited_for(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 60)
    await running(worker, task_id)
    before = now()
    assert await worker.cancel_task(task_id)
    assert now() - before == 1
    assert worker.abandoned_tasks == 1
    await time_passes(60)
    assert worker.abandoned_tasks == 0
    assert tasks.notes == ["cleaned up"]


async def test_a_swallowed_cancellation_is_not_called_one(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(swallow_cancel, 3600, "returned")
    await running(worker, task_id)
    assert await worker.cancel_task(task_id) is False
    info = info_of(worker, task_id)
    assert (info.status, info.result) == (TaskStatus.COMPLETED, "returned")


async def test_an_error_raised_in_place_of_the_cancellation_stands(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(fail_on_cancel, 3600, "failed instead")
    await running(worker, task_id)
    assert await worker.cancel_task(task_id) is False
    info = info_of(worker, task_id)
    assert (info.status, info.error) == (TaskStatus.FAILED, "failed instead")


async def test_a_stubborn_task_is_abandoned_after_a_second(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    task_id = await worker.add_task(stubborn, "gate", "too late")
    await running(worker, task_id)
    before = now()
    assert await worker.cancel_task(task_id) is True
    assert now() - before == 1
    abandoned = info_of(worker, task_id)
    assert abandoned.status is TaskStatus.CANCELLED
    assert worker.abandoned_tasks == 1
    await assert_slots_usable(worker, 1)
    events = record_events(worker)
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0
    assert info_of(worker, task_id) == abandoned
    assert events == []


async def test_a_stubborn_task_leaves_no_count_behind_in_the_next(make_worker: MakeWorker) -> None:
    """It ended with ``cancelling() > 0``; the next one in its slot must not look cancelled."""
    worker = await make_worker(max_workers=1)
    for number in range(3):
        task_id = await worker.add_task(shield_and_go_on, f"gate {number}", number)
        await running(worker, task_id)
        cancel = asyncio.create_task(worker.cancel_task(task_id))
        await settled()
        open_gate(f"gate {number}")
        assert await cancel is False
        assert info_of(worker, task_id).result == number
        assert (await ended(worker, await worker.add_task(sleep_for, 1, "next"))).result == "next"


async def test_a_failed_group_inside_a_task_is_no_cancellation(worker: AsyncTaskWorker) -> None:
    """Before 3.13 it leaves ``cancelling() == 1`` on the task it failed in."""
    info = await ended(worker, await worker.add_task(fail_in_group, "survived"))
    assert (info.status, info.result) == (TaskStatus.COMPLETED, "survived")
    assert tasks.notes == ["group failed"]


async def test_a_task_that_cancels_itself_ends_cancelled(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(cancel_itself)
    assert (await ended(worker, task_id)).status is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError):
        await worker.wait_for_tasks([task_id])
    await assert_slots_usable(worker, 2)


async def test_a_task_that_raises_cancelled_error_ends_cancelled(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(fail_with, "by itself", "CancelledError"))
    assert info.status is TaskStatus.CANCELLED
    await assert_slots_usable(worker, 2)


async def test_a_task_may_cancel_itself_through_the_worker(worker: AsyncTaskWorker) -> None:
    """Waiting for its own end would never be over."""
    use_worker(worker)
    before = now()
    await worker.add_task(cancel_task_of_id, "own", task_id="own")
    assert (await ended(worker, "own")).status is TaskStatus.CANCELLED
    assert now() == before
    await assert_slots_usable(worker, 2)


async def test_a_task_may_cancel_another(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    other = await worker.add_task(sleep_for, 3600)
    await running(worker, other)
    assert (await ended(worker, await worker.add_task(cancel_task_of_id, other))).result is True
    assert status_of(worker, other) is TaskStatus.CANCELLED


async def test_two_tasks_that_cancel_each_other_both_end(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    calls = (worker.add_task(cancel_task_of_id, f"{1 - number}", task_id=f"{number}") for number in range(2))
    ids = await asyncio.gather(*calls)
    infos = [await ended(worker, task_id) for task_id in ids]
    assert TaskStatus.CANCELLED in {info.status for info in infos}
    await assert_slots_usable(worker, 2)


async def test_several_callers_may_cancel_the_same_task_at_once(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.5)
    await running(worker, task_id)
    assert await asyncio.gather(*(worker.cancel_task(task_id) for _ in range(5))) == [True] * 5
    assert tasks.notes == ["cleaned up"]


async def test_a_caller_that_goes_away_does_not_call_the_cancellation_off(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.9)
    await running(worker, task_id)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.cancel_task(task_id), 0.1)
    assert (await ended(worker, task_id)).status is TaskStatus.CANCELLED
    assert tasks.notes == ["cleaned up"]
