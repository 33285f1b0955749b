"""Stopping is orderly while there is time, and never takes longer than asked for and a second."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, WorkerNotRunningError
from tests.conformance.event_helpers import ended, info_of, now, record_events, status_of
from tests.conformance.from_inside_task import stop_worker, use_worker
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.tasks import clean_up_for, echo, note, open_gate, sleep_for, stubborn, swallow_cancel, wait_at
from tests.support.waiting import loop_iterations, running, settled


async def test_stop_lets_running_tasks_finish_and_returns_as_soon_as_they_have(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3, "slept")
    await running(worker, task_id)
    before = now()
    await worker.stop(timeout=60)
    assert now() - before == 3
    assert info_of(worker, task_id).result == "slept"


async def test_stop_waits_five_seconds_by_default(worker: AsyncTaskWorker, backend: Backend) -> None:
    in_time, too_late = [await worker.add_task(sleep_for, seconds) for seconds in (4, 6)]
    await running(worker, in_time, too_late)
    before = now()
    await worker.stop()
    assert now() - before == 5
    assert status_of(worker, in_time) is TaskStatus.COMPLETED
    assert status_of(worker, too_late) is backend.status_after_stop


async def test_a_worker_can_be_made_with_another_time_for_its_stops(make_worker: MakeWorker, backend: Backend) -> None:
    async with await make_worker(started=False, stop_timeout=7) as worker:
        in_time, too_late = [await worker.add_task(sleep_for, seconds) for seconds in (6, 3600)]
        await running(worker, in_time, too_late)
        before = now()
    assert now() - before == 7
    assert [status_of(worker, task_id) for task_id in (in_time, too_late)] == [
        TaskStatus.COMPLETED,
        backend.status_after_stop,
    ]


async def test_a_time_given_to_stop_beats_that_of_the_worker(make_worker: MakeWorker) -> None:
    worker = await make_worker(stop_timeout=None)
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    before = now()
    await worker.stop(timeout=5.0)
    assert now() - before == 5


async def test_a_worker_made_to_wait_for_ever_does(make_worker: MakeWorker) -> None:
    worker = await make_worker(stop_timeout=None)
    task_id = await worker.add_task(sleep_for, 86_400, "slept")
    await running(worker, task_id)
    await worker.stop()
    assert info_of(worker, task_id).result == "slept"


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
async def test_an_impossible_time_for_stops_is_refused(make_worker: MakeWorker, wrong: float) -> None:
    with pytest.raises(ValueError, match="stop_timeout"):
        await make_worker(stop_timeout=wrong)


async def test_stop_without_a_limit_waits_for_as_long_as_it_takes(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 86_400, "slept")
    await running(worker, task_id)
    await worker.stop(timeout=None)
    assert info_of(worker, task_id).result == "slept"


async def test_stop_with_no_time_cuts_off_at_once(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    before = now()
    await worker.stop(timeout=0)
    assert now() == before
    assert status_of(worker, task_id) is backend.status_after_stop


async def test_a_task_cut_off_by_stop_may_clean_up(worker: AsyncTaskWorker, backend: Backend) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.25)
    await running(worker, task_id)
    await worker.stop(timeout=1)
    assert tasks.notes == ["cleaned up"]
    assert status_of(worker, task_id) is backend.status_after_stop
    assert worker.abandoned_tasks == 0


async def test_a_task_that_returns_when_cut_off_keeps_what_it_returned(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(swallow_cancel, 3600, "rescued")
    await running(worker, task_id)
    await worker.stop(timeout=1)
    assert info_of(worker, task_id).result == "rescued"


async def test_stop_is_bounded_whatever_a_thousand_stubborn_tasks_do(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(max_workers=1000)
    ids = await asyncio.gather(*(worker.add_task(stubborn, "gate") for _ in range(1000)))
    await running(worker, *ids[-1:])
    before = now()
    await worker.stop(timeout=1)
    assert now() - before <= 2
    assert worker.counts()[backend.status_after_stop] == 1000
    assert worker.abandoned_tasks == 1000
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0


async def test_tasks_that_wait_when_the_worker_stops_never_start(worker: AsyncTaskWorker, backend: Backend) -> None:
    """In memory they end; a durable worker keeps them for its next start."""
    held = [await worker.add_task(wait_at, "gate") for _ in range(2)]
    waiting = [await worker.add_task(note, n) for n in range(3)]
    await running(worker, *held)
    await worker.stop(timeout=1)
    assert [status_of(worker, task_id) for task_id in waiting] == [backend.status_after_stop] * 3
    assert tasks.notes == []


async def test_every_future_resolves_at_stop(worker: AsyncTaskWorker, backend: Backend) -> None:
    held = [await worker.add_task(sleep_for, 3600) for _ in range(2)]
    waiting = await worker.add_task(echo, 1)
    await running(worker, *held)
    futures = worker.get_task_futures([*held, waiting])
    await worker.stop(timeout=1)
    await settled()
    for future in futures:
        with pytest.raises(WorkerNotRunningError if backend.durable else asyncio.CancelledError):
            await future


async def test_a_task_added_right_before_stop_ends_or_never_begins(worker: AsyncTaskWorker, backend: Backend) -> None:
    """Whichever turn of the loop the stop begins in."""
    for count in range(10):
        task_id = await worker.add_task(note, count)
        await loop_iterations(count)
        await worker.stop(timeout=1)
        info = info_of(worker, task_id)
        assert info.finished or backend.durable
        assert (info.status is TaskStatus.COMPLETED) == (count in tasks.notes)
        await worker.start()


async def test_stopping_takes_nothing_new(worker: AsyncTaskWorker) -> None:
    await running(worker, await worker.add_task(sleep_for, 3))
    stop = asyncio.create_task(worker.stop())
    await settled()
    assert not worker.is_running
    with pytest.raises(WorkerNotRunningError):
        await worker.add_task(echo, 1, task_id="refused")
    await stop
    assert worker.get_task_info("refused") is None


async def test_stopping_twice_is_stopping_once(worker: AsyncTaskWorker) -> None:
    await worker.stop()
    events = record_events(worker)
    await worker.stop()
    assert events == []


async def test_stopping_what_was_never_started_does_nothing(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    await worker.stop()
    await worker.stop(timeout=0)
    assert not worker.is_running


@pytest.mark.parametrize(("first", "second", "duration"), [(60, 1, 1), (1, 60, 1)])
async def test_of_two_stops_the_shorter_decides_for_both(
    worker: AsyncTaskWorker, backend: Backend, first: float, second: float, duration: float
) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    before = now()
    await asyncio.gather(worker.stop(first), worker.stop(second))
    assert now() - before == duration
    assert status_of(worker, task_id) is backend.status_after_stop


async def test_stop_inside_a_task_does_not_wait_for_that_task(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    inner = await worker.add_task(stop_worker, 5, 60, "went on")
    assert (await ended(worker, inner)).result == "went on"
    assert tasks.notes == [0]
    assert not worker.is_running


async def test_stop_inside_a_task_does_wait_for_the_others(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    other = await worker.add_task(sleep_for, 3, "slept")
    await running(worker, other)
    inner = await worker.add_task(stop_worker, 5, 0)
    await ended(worker, inner)
    assert tasks.notes == [3]
    assert info_of(worker, other).result == "slept"


async def test_two_tasks_that_stop_the_worker_do_not_wait_for_each_other(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    ids = await asyncio.gather(*(worker.add_task(stop_worker, 5, 1, n) for n in range(2)))
    assert await worker.wait_for_tasks(ids) == [0, 1]
    assert tasks.notes == [0, 0]


async def test_a_worker_stopped_by_its_own_task_starts_again(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    inner = await worker.add_task(stop_worker, 5, 60, "went on")
    await settled()
    await worker.start()
    second = await worker.add_task(wait_at, "gate")
    await running(worker, inner, second)
    third = await worker.add_task(echo, 3)
    await settled()
    assert status_of(worker, third) is TaskStatus.PENDING, "the task that goes on still has its slot"
    open_gate("gate")
    assert await worker.wait_for_tasks([inner, second, third]) == ["went on", None, 3]


async def test_a_second_stop_still_cuts_off_what_the_task_that_called_the_first_left(
    worker: AsyncTaskWorker, backend: Backend
) -> None:
    use_worker(worker)
    inner = await worker.add_task(stop_worker, 5, 3600)
    await settled()
    await worker.start()
    await worker.stop(timeout=1)
    assert status_of(worker, inner) is backend.status_after_stop
