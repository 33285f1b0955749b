"""Finished tasks are kept for a time and up to a number; what waits for them does not depend on that."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskNotFoundError, TaskStatus
from tests.conformance.event_helpers import ended, ids_of, info_of, record_events, set_wall_clock, time_passes
from tests.conftest import MakeWorker
from tests.support.tasks import cancel_itself, echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import running, settled

WEEK = 7 * 86_400


async def test_a_finished_task_is_known_for_a_week(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    await time_passes(WEEK - 1)
    assert ids_of(worker.get_all_tasks()) == [task_id]
    await time_passes(2)
    assert worker.get_task_info(task_id) is None
    assert worker.get_all_tasks() == []
    assert sum(worker.counts().values()) == 0


@pytest.mark.parametrize("retention", [3600, 3600.0, timedelta(hours=1)], ids=repr)
async def test_the_time_they_are_kept_can_be_chosen(make_worker: MakeWorker, retention: Any) -> None:
    worker = await make_worker(retention=retention)
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    await time_passes(3599)
    assert info_of(worker, task_id).result == 1
    await time_passes(2)
    assert worker.get_task_info(task_id) is None


async def test_they_can_be_kept_for_ever(make_worker: MakeWorker) -> None:
    worker = await make_worker(retention=None, max_history=None)
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    await time_passes(100 * WEEK)
    assert info_of(worker, task_id).result == 1


async def test_the_time_counts_from_the_end_of_the_task(make_worker: MakeWorker) -> None:
    worker = await make_worker(retention=3600)
    task_id = await worker.add_task(sleep_for, 10_000)
    await ended(worker, task_id)
    await time_passes(3599)
    assert worker.get_task_info(task_id) is not None
    await time_passes(2)
    assert worker.get_task_info(task_id) is None


async def test_what_waits_or_runs_is_never_forgotten(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, retention=1, max_history=0)
    held = await worker.add_task(wait_at, "gate")
    waiting = await worker.add_task(echo, 1)
    await running(worker, held)
    await time_passes(WEEK)
    assert ids_of(worker.get_all_tasks()) == [waiting, held]
    open_gate("gate")
    await worker.drain()


@pytest.mark.parametrize("days", [-3650, 3650])
async def test_setting_the_clock_forgets_nothing_and_keeps_nothing_longer(make_worker: MakeWorker, days: int) -> None:
    worker = await make_worker(retention=3600)
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    set_wall_clock(days=days)
    await time_passes(3599)
    assert worker.get_task_info(task_id) is not None
    assert ids_of(worker.get_all_tasks()) == [task_id]
    await time_passes(2)
    assert worker.get_task_info(task_id) is None


async def test_the_number_of_finished_tasks_is_limited_and_the_oldest_go_first(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=3)
    ids = [await worker.add_task(echo, number) for number in range(10)]
    await worker.drain()
    assert ids_of(worker.get_all_tasks()) == ids[:-4:-1]
    assert worker.counts()[TaskStatus.COMPLETED] == 3


async def test_the_oldest_is_the_one_that_ended_first(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=3, max_history=2)
    slow, quick, middle = [await worker.add_task(sleep_for, seconds) for seconds in (3, 1, 2)]
    await worker.drain()
    assert worker.get_task_info(quick) is None
    assert ids_of(worker.get_all_tasks()) == [middle, slow]


async def test_counts_and_listings_leave_out_what_is_forgotten(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=2)
    for function, args in [(echo, (1,)), (fail_with, ("no",)), (cancel_itself, ()), (fail_with, ("no",))] * 3:
        await ended(worker, await worker.submit(function, args))
        listed = [info.status for info in worker.get_all_tasks()]
        assert worker.counts() == {status: listed.count(status) for status in TaskStatus}
    assert len(worker.get_all_tasks()) == 2


async def test_an_id_is_free_again_once_its_task_is_forgotten(make_worker: MakeWorker) -> None:
    worker = await make_worker(retention=60)
    await ended(worker, await worker.add_task(echo, "first", task_id="same"))
    await time_passes(61)
    await worker.add_task(echo, "second", task_id="same")
    assert (await ended(worker, "same")).result == "second"


async def test_a_forgotten_task_is_an_unknown_one(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=0)
    task_id = await worker.add_task(echo, 1)
    await worker.drain()
    assert worker.get_task_info(task_id) is None
    assert await worker.cancel_task(task_id) is False
    with pytest.raises(TaskNotFoundError):
        worker.get_task_future(task_id)
    with pytest.raises(TaskNotFoundError):
        await worker.wait_for_tasks([task_id])


async def test_waiters_get_their_results_even_if_nothing_is_kept(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_history=0)
    ids = [await worker.add_task(sleep_for, 1, number) for number in range(3)]
    futures = worker.get_task_futures(ids)
    together = asyncio.create_task(worker.wait_for_tasks(ids))
    first = asyncio.create_task(worker.wait_for_any_task(ids))
    await settled()
    assert await asyncio.gather(*futures) == [0, 1, 2]
    assert await together == [0, 1, 2]
    assert await first == (0, ids[0])
    assert worker.get_all_tasks() == []


async def test_waiters_get_their_errors_even_if_nothing_is_kept(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_history=0)
    failing = worker.get_task_future(await worker.add_task(fail_with, "no"))
    task_id = await worker.add_task(sleep_for, 3600)
    cancelled = worker.get_task_future(task_id)
    await running(worker, task_id)
    assert await worker.cancel_task(task_id) is True
    with pytest.raises(ValueError, match="no"):
        await failing
    assert cancelled.cancelled()


async def test_events_are_published_even_if_nothing_is_kept(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=0)
    events = record_events(worker)
    await worker.add_task(echo, "result")
    await worker.drain()
    assert events[-1].task.result == "result"
    assert events[-1].task.status is TaskStatus.COMPLETED


async def test_no_time_at_all_keeps_nothing_either(make_worker: MakeWorker) -> None:
    worker = await make_worker(retention=0)
    future = worker.get_task_future(await worker.add_task(sleep_for, 1, "result"))
    assert await future == "result"
    assert worker.get_all_tasks() == []
    assert worker.counts() == dict.fromkeys(TaskStatus, 0)


async def test_thousands_of_tasks_leave_no_more_than_the_limit(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=10)
    for _ in range(10):
        await asyncio.gather(*(worker.add_task(echo, number) for number in range(300)))
        await worker.drain()
        assert len(worker.get_all_tasks()) == 10
