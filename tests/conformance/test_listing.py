"""Listings: the newest first, then as many as asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus
from tests.conformance.event_helpers import ids_of, set_wall_clock, time_passes
from tests.conftest import MakeWorker
from tests.support.tasks import echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import finished, running


async def one_of_each(make_worker: MakeWorker) -> AsyncTaskWorker:
    """Return a worker with a task in each status, called by it and added in the order of the five."""
    worker = await make_worker(max_workers=1)
    done = [
        await worker.add_task(echo, 1, task_id="completed"),
        await worker.add_task(fail_with, "failed", task_id="failed"),
    ]
    await finished(worker, *done)
    await worker.add_task(wait_at, "gate", task_id="running")
    await running(worker, "running")
    await worker.add_task(echo, 1, task_id="cancelled")
    await worker.cancel_task("cancelled")
    await worker.add_task(echo, 1, task_id="pending")
    return worker


async def test_without_filters_it_is_all_tasks_the_newest_first(make_worker: MakeWorker) -> None:
    worker = await one_of_each(make_worker)
    assert ids_of(worker.get_all_tasks()) == ["pending", "cancelled", "running", "failed", "completed"]


async def test_it_is_a_plain_list_of_snapshots_and_a_new_one_each_time(worker: AsyncTaskWorker) -> None:
    assert worker.get_all_tasks() == []
    task_id = await worker.add_task(echo, 1)
    listing = worker.get_all_tasks()
    assert type(listing) is list
    assert listing == [worker.get_task_info(task_id)]
    listing.clear()
    assert ids_of(worker.get_all_tasks()) == [task_id]


async def test_the_newest_is_the_one_added_last_at_the_same_moment_too(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, number, priority=-number) for number in range(20)]
    assert ids_of(worker.get_all_tasks()) == ids[::-1]


async def test_the_order_is_by_when_they_were_added_not_by_when_they_ended(worker: AsyncTaskWorker) -> None:
    long, short = [await worker.add_task(sleep_for, seconds) for seconds in (60, 1)]
    await finished(worker, long, short)
    assert ids_of(worker.get_all_tasks(TaskStatus.COMPLETED)) == [short, long]


async def test_the_limit_leaves_the_newest(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, number) for number in range(10)]
    assert ids_of(worker.get_all_tasks(limit=3)) == ids[:-4:-1]
    assert ids_of(worker.get_all_tasks(limit=100)) == ids[::-1]


async def test_a_limit_of_zero_leaves_nothing(worker: AsyncTaskWorker) -> None:
    await worker.add_task(echo, 1)
    assert worker.get_all_tasks(limit=0) == []


@pytest.mark.parametrize("status", TaskStatus)
async def test_a_status_leaves_its_tasks_as_member_and_as_text(make_worker: MakeWorker, status: TaskStatus) -> None:
    worker = await one_of_each(make_worker)
    assert ids_of(worker.get_all_tasks(status=status)) == [status.value]
    assert ids_of(worker.get_all_tasks(status=status.value)) == [status.value]


@pytest.mark.parametrize(
    "status",
    [
        [TaskStatus.FAILED, TaskStatus.CANCELLED],
        ["failed", "cancelled"],
        {"failed", TaskStatus.CANCELLED},
        "iterator",
    ],
    ids=["members", "texts", "mixed set", "iterator"],
)
async def test_several_statuses_leave_the_tasks_of_each(make_worker: MakeWorker, status: Any) -> None:
    worker = await one_of_each(make_worker)
    if status == "iterator":  # each run needs one of its own
        status = iter(["failed", "cancelled"])
    assert ids_of(worker.get_all_tasks(status)) == ["cancelled", "failed"]


async def test_no_statuses_leave_nothing(make_worker: MakeWorker) -> None:
    worker = await one_of_each(make_worker)
    assert worker.get_all_tasks(status=[]) == []


async def test_the_limit_counts_what_the_status_leaves(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(*call) for call in [(fail_with, "no"), (echo, 1)] * 3]
    await finished(worker, *ids)
    assert ids_of(worker.get_all_tasks("failed", limit=2)) == [ids[4], ids[2]]


@pytest.mark.parametrize("age", [timedelta(hours=1), 3600, 3600.0], ids=repr)
async def test_an_age_leaves_the_tasks_added_longer_ago(worker: AsyncTaskWorker, age: Any) -> None:
    old = await worker.add_task(echo, "old")
    await time_passes(3000)
    middle = await worker.add_task(echo, "middle")
    await time_passes(1000)
    new = await worker.add_task(echo, "new")
    assert ids_of(worker.get_all_tasks(older_than=age)) == [old]
    assert ids_of(worker.get_all_tasks(older_than=timedelta(seconds=1000))) == [middle, old]
    assert ids_of(worker.get_all_tasks(older_than=0)) == [new, middle, old]


async def test_all_filters_work_together(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, number) for number in range(5)]
    failed = await worker.add_task(fail_with, "no")
    await finished(worker, *ids, failed)
    await time_passes(60)
    await worker.add_task(echo, "new")
    assert ids_of(worker.get_all_tasks("completed", limit=2, older_than=30)) == [ids[4], ids[3]]


async def test_age_is_measured_by_the_monotonic_clock(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 60)
    set_wall_clock(days=365)
    await finished(worker, task_id)
    assert worker.get_all_tasks(older_than=61) == []
    assert ids_of(worker.get_all_tasks(older_than=60)) == [task_id]


async def test_counts_tell_how_many_there_are_in_each_status(make_worker: MakeWorker) -> None:
    worker = await one_of_each(make_worker)
    assert worker.counts() == dict.fromkeys(TaskStatus, 1)
    open_gate("gate")
    await worker.drain()
    assert worker.counts() == {**dict.fromkeys(TaskStatus, 0), "completed": 3, "failed": 1, "cancelled": 1}


async def test_counts_agree_with_the_listing_at_every_change(worker: AsyncTaskWorker) -> None:
    differences = []

    def compare(_event: object) -> None:
        listed = {status: len(worker.get_all_tasks(status)) for status in TaskStatus}
        if worker.counts() != listed:
            differences.append((worker.counts(), listed))

    worker.events.listen(compare)
    for number in range(10):
        await worker.add_task(*((sleep_for, 1) if number % 3 else (fail_with, "no")))
    await worker.cancel_task(await worker.add_task(echo, 1))
    await worker.drain()
    assert differences == []
