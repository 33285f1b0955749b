"""A snapshot tells all there is to know of a task at one moment, and the moment's facts agree with each other."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus
from tests.conformance.event_helpers import ended, info_of, record_events, set_wall_clock, status_of, time_passes
from tests.conftest import MakeWorker
from tests.support.tasks import clean_up_for, echo, fail_with, open_gate, report_progress, sleep_for, wait_at
from tests.support.virtual_time import WALL_BEGINNING
from tests.support.waiting import finished, reached, running, settled

BEGINNING = datetime.fromtimestamp(WALL_BEGINNING, UTC)
HOUR = timedelta(hours=1)


async def test_a_task_that_waits_is_shown_as_pending(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    info = info_of(worker, await worker.add_task(echo, 1, task_id="mine", priority=3, metadata={"a": 1}))
    assert (info.id, info.name, info.priority, info.metadata) == ("mine", "echo", 3, {"a": 1})
    assert (info.status, info.phase, info.attempt) == (TaskStatus.PENDING, None, 0)
    assert (info.started_at, info.completed_at, info.wait_time, info.run_time) == (None, None, None, None)
    assert (info.progress, info.progress_detail) == (0.0, None)
    assert (info.result, info.error, info.error_detail, info.from_cache) == (None, None, None, False)
    assert not info.finished


async def test_a_task_in_its_slot_is_shown_as_running(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate", "result")
    await running(worker, task_id)
    info = info_of(worker, task_id)
    assert (info.status, info.phase, info.attempt) == (TaskStatus.RUNNING, None, 1)
    assert info.started_at is not None
    assert (info.completed_at, info.run_time, info.result) == (None, None, None)
    assert not info.finished


async def test_a_task_that_returned_is_shown_as_completed(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(echo, {"any": ["value"]}))
    assert (info.status, info.result, info.progress) == (TaskStatus.COMPLETED, {"any": ["value"]}, 1.0)
    assert (info.error, info.error_detail, info.attempt) == (None, None, 1)
    assert info.finished


async def test_a_task_that_raised_is_shown_as_failed(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(fail_with, "Value cannot be negative"))
    assert (info.status, info.error, info.result) == (TaskStatus.FAILED, "Value cannot be negative", None)
    assert info.finished


async def test_a_task_that_was_cancelled_is_shown_as_such(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    info = info_of(worker, task_id)
    assert (info.status, info.phase, info.result, info.error) == (TaskStatus.CANCELLED, None, None, None)
    assert info.finished


async def test_a_status_reads_as_its_word(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(echo, 1))
    assert (f"{info.status}", str(info.status), info.status) == ("completed", "completed", "completed")
    assert [f"{status}" for status in TaskStatus] == ["pending", "running", "completed", "failed", "cancelled"]


async def test_a_snapshot_never_changes(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1, metadata={"a": 1})
    info = info_of(worker, task_id)
    before = dataclasses.replace(info, metadata=dict(info.metadata))
    await ended(worker, task_id)
    assert info == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.status = TaskStatus.FAILED


async def test_all_times_are_aware_and_in_utc(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(sleep_for, 3600))
    assert (info.created_at, info.started_at, info.completed_at) == (BEGINNING, BEGINNING, BEGINNING + HOUR)
    assert all(time.tzinfo is UTC for time in (info.created_at, info.started_at, info.completed_at))


async def test_wait_time_and_run_time_are_in_seconds(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(sleep_for, seconds) for seconds in (10, 5)]
    infos = await finished(worker, *ids)
    assert [(info.wait_time, info.run_time) for info in infos] == [(0, 10), (10, 5)]


async def test_a_task_cancelled_before_its_start_never_ran(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    task_id = await worker.add_task(echo, 1)
    await worker.cancel_task(task_id)
    info = info_of(worker, task_id)
    assert (info.started_at, info.wait_time, info.run_time, info.attempt) == (None, None, None, 0)
    assert info.completed_at is not None


@pytest.mark.parametrize("hours", [-1, 1, -100_000, 100_000])
async def test_setting_the_clock_never_makes_a_task_end_before_its_start(worker: AsyncTaskWorker, hours: int) -> None:
    task_id = await worker.add_task(sleep_for, 60)
    await running(worker, task_id)
    set_wall_clock(hours=hours)
    info = await ended(worker, task_id)
    assert info.started_at is not None
    assert info.completed_at is not None
    assert info.created_at <= info.started_at <= info.completed_at
    assert info.run_time == 60, "durations are monotonic"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_tasks_added_after_the_clock_was_set_follow_it(worker: AsyncTaskWorker, hours: int) -> None:
    await ended(worker, await worker.add_task(echo, "before"))
    set_wall_clock(hours=hours)
    await time_passes(60)
    info = await ended(worker, await worker.add_task(echo, "after"))
    assert abs(info.created_at - (BEGINNING + timedelta(hours=hours, minutes=1))) < timedelta(seconds=0.1)


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        ("Value cannot be negative", "ValueError", "Value cannot be negative"),
        ("", "ValueError", "ValueError"),
        ("", "AssertionError", "AssertionError"),
        ("two\nlines", "RuntimeError", "two\nlines"),
        ("key", "KeyError", "'key'"),
        ("own", "TimeoutError", "own"),
        ("3", "SystemExit", "3"),
        ("bye", "GeneratorExit", "bye"),
        ("odd", "OddError", "odd"),
    ],
)
async def test_the_error_is_the_text_of_what_was_raised(
    worker: AsyncTaskWorker, message: str, error: str, text: str
) -> None:
    info = await ended(worker, await worker.add_task(fail_with, message, error))
    assert (info.status, info.error) == (TaskStatus.FAILED, text)


async def test_an_error_that_cannot_be_shown_is_shown_by_its_class(worker: AsyncTaskWorker) -> None:
    """Its ``str()`` raises: the task has failed all the same, and its slot goes on."""
    for _ in range(3):
        info = await ended(worker, await worker.add_task(fail_with, "", "UnprintableError"))
        assert info.status is TaskStatus.FAILED
        assert "UnprintableError" in str(info.error)
        assert "no text to be had" not in str(info.error)
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"


async def test_an_error_has_type_and_traceback_besides_its_text(worker: AsyncTaskWorker) -> None:
    detail = (await ended(worker, await worker.add_task(fail_with, "told", "LookupError"))).error_detail
    assert detail is not None
    assert (detail.type, detail.message) == ("LookupError", "told")
    assert "in fail_with" in detail.traceback
    assert "LookupError: told" in detail.traceback


async def test_the_type_of_an_error_of_ones_own_names_its_module(worker: AsyncTaskWorker) -> None:
    detail = (await ended(worker, await worker.add_task(fail_with, "", "UnprintableError"))).error_detail
    assert detail is not None
    assert detail.type == "tests.support.tasks.UnprintableError"
    assert "fail_with" in detail.traceback


async def test_the_phase_of_a_task_being_cancelled(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.5)
    await running(worker, task_id)
    cancelling = asyncio.create_task(worker.cancel_task(task_id))
    await settled()
    info = info_of(worker, task_id)
    assert (info.status, info.phase) == (TaskStatus.RUNNING, "cancelling")
    await cancelling
    assert info_of(worker, task_id).phase is None


async def test_the_revision_grows_with_every_change(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    task_id = await worker.add_task(report_progress, [0.25, 0.5])
    await ended(worker, task_id)
    revisions = [event.task.revision for event in events]
    assert len(revisions) == 5
    assert revisions == sorted(set(revisions))
    assert info_of(worker, task_id).revision == revisions[-1]


async def test_the_revision_grows_when_a_task_is_interrupted(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(clean_up_for, 3600, 0.5)
    await running(worker, task_id)
    before = info_of(worker, task_id)
    cancelling = asyncio.create_task(worker.cancel_task(task_id))
    await settled()
    during = info_of(worker, task_id)
    await cancelling
    assert before.revision < during.revision < info_of(worker, task_id).revision


async def test_reading_changes_nothing(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    assert info_of(worker, task_id) == info_of(worker, task_id)
    open_gate("gate")
    assert (await reached(worker, task_id, lambda info: info.finished)) == info_of(worker, task_id)
    assert status_of(worker, task_id) is TaskStatus.COMPLETED
