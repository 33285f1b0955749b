"""Progress is what the task last said, from 0.0 to 1.0, and nothing it says after its end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, task
from tests.conformance.event_helpers import ended, info_of, record_events
from tests.support.tasks import (
    collect,
    echo,
    open_gate,
    report_progress,
    report_then_fail,
    report_then_wait,
    sleep_for,
    stubborn,
    wait_at,
)
from tests.support.waiting import reached, running, settled

if TYPE_CHECKING:
    from async_task_worker import ProgressCallback

_kept: list[ProgressCallback] = []


@task("keep_the_callback")
async def keep_the_callback(progress_callback: ProgressCallback) -> str:
    """Leave the callback behind, for use after the end."""
    _kept[:] = [progress_callback]
    return "done"


@task("report_from_thread")
async def report_from_thread(steps: list[float], gate: str, progress_callback: ProgressCallback) -> None:
    """Report each step from a thread, then wait at the gate."""
    await asyncio.to_thread(lambda: [progress_callback(step) for step in steps])
    await wait_at(gate)


@task("report_stubbornly")
async def report_stubbornly(gate: str, progress_callback: ProgressCallback) -> None:
    """Ignore every cancellation until the gate is opened, then report that all is done."""
    progress_callback(0.5)
    await stubborn(gate)
    progress_callback(1.0)


@task("report_by_keyword")
async def report_by_keyword(value: float, *, progress_callback: ProgressCallback) -> float:
    """Report through a keyword-only callback."""
    progress_callback(value)
    return value


async def reported(worker: AsyncTaskWorker, step: Any) -> float:
    """Return how far a task is seen to be that reports *step* and goes on."""
    task_id = await worker.add_task(report_progress, [step], 3600)
    await running(worker, task_id)
    progress = info_of(worker, task_id).progress
    await worker.cancel_task(task_id)
    return progress


async def test_it_is_zero_until_the_first_report(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 60)
    assert info_of(worker, task_id).progress == 0.0
    await running(worker, task_id)
    assert info_of(worker, task_id).progress == 0.0


async def test_it_shows_while_the_task_runs(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(report_progress, [0.25, 0.5, 0.75], 60)
    for step in (0.25, 0.5, 0.75):
        info = await reached(worker, task_id, lambda info, step=step: info.progress == step)
        assert info.status is TaskStatus.RUNNING


async def test_a_completed_task_has_progress_one(worker: AsyncTaskWorker) -> None:
    assert (await ended(worker, await worker.add_task(report_progress, [0.5]))).progress == 1.0
    assert (await ended(worker, await worker.add_task(echo, 1))).progress == 1.0


async def test_other_endings_keep_the_last_report(worker: AsyncTaskWorker) -> None:
    assert (await ended(worker, await worker.add_task(report_then_fail, 0.25))).progress == 0.25
    late = await ended(worker, await worker.add_task(report_then_wait, 0.5, "gate", timeout=5))
    assert (late.status, late.progress) == (TaskStatus.FAILED, 0.5)
    cancelled = await worker.add_task(report_then_wait, 0.75, "gate")
    await running(worker, cancelled)
    await worker.cancel_task(cancelled)
    assert info_of(worker, cancelled).progress == 0.75


@pytest.mark.parametrize(
    ("step", "shown"),
    [(0, 0.0), (1, 1.0), (2, 1.0), (-1, 0.0), (1e308, 1.0), (float("inf"), 1.0), (float("-inf"), 0.0), (0.3, 0.3)],
)
async def test_a_number_out_of_range_is_moved_to_its_end(worker: AsyncTaskWorker, step: float, shown: float) -> None:
    progress = await reported(worker, step)
    assert type(progress) is float
    assert progress == shown


async def test_a_number_out_of_range_is_a_warning_once_per_task_type(
    worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody reports 50 for 50 percent, and would read 100 percent from then on."""
    for _ in range(2):
        await ended(worker, await worker.add_task(report_progress, [50, 75]))
    await ended(worker, await worker.add_task(report_by_keyword, -3))
    first, second = warnings_in(caplog)
    assert "report_progress" in first
    assert "progress 50," in first
    assert "clamped to 1" in first
    assert "progress_callback(done / total)" in first
    assert "report_by_keyword" in second
    assert "clamped to 0" in second


async def test_it_is_a_warning_from_a_thread_too(worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture) -> None:
    open_gate("gate")
    await ended(worker, await worker.add_task(report_from_thread, [2.5, 0.5], "gate"))
    (warning,) = warnings_in(caplog)
    assert "progress 2.5," in warning


async def test_the_rounding_error_of_a_sum_is_no_mistake(
    worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture
) -> None:
    assert await reported(worker, 0.1 * 3 + 0.7) == 1.0
    assert await reported(worker, 1.0000000000000002) == 1.0
    assert warnings_in(caplog) == []


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what this package warned of."""
    records = [record for record in caplog.records if record.levelno == logging.WARNING]
    return [record.getMessage() for record in records if record.name.startswith("async_task_worker.")]


@pytest.mark.parametrize(
    ("step", "error"),
    [("half", "TypeError"), ("0.5", "TypeError"), (None, "TypeError"), (float("nan"), "ValueError")],
)
async def test_a_report_that_is_not_a_number_raises_in_the_task(worker: AsyncTaskWorker, step: Any, error: str) -> None:
    events = record_events(worker)
    info = await ended(worker, await worker.add_task(report_progress, [step]))
    assert (info.status, info.progress) == (TaskStatus.FAILED, 0.0)
    assert info.error_detail is not None
    assert info.error_detail.type == error
    assert "progress" in str(info.error)
    assert "task.progress" not in [event.type for event in events]


async def test_it_may_go_back(worker: AsyncTaskWorker) -> None:
    """A task that starts over says so."""
    task_id = await worker.add_task(report_progress, [0.75, 0.25], 60)
    await reached(worker, task_id, lambda info: info.progress == 0.75)
    assert (await reached(worker, task_id, lambda info: info.progress == 0.25)).status is TaskStatus.RUNNING


async def test_every_report_is_an_event(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await ended(worker, await worker.add_task(report_progress, [0.25, 0.5]))
    assert [event.task.progress for event in events if event.type == "task.progress"] == [0.25, 0.5]


async def test_it_can_be_reported_from_a_thread(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(report_from_thread, [0.25, 0.5], "gate")
    info = await reached(worker, task_id, lambda info: info.progress == 0.5)
    assert info.status is TaskStatus.RUNNING
    open_gate("gate")
    await ended(worker, task_id)


async def test_after_the_end_it_never_moves(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(keep_the_callback)
    before = await ended(worker, task_id)
    events = record_events(worker)
    _kept[0](0.5)
    await asyncio.to_thread(_kept[0], 0.25)
    await settled()
    assert info_of(worker, task_id) == before
    assert events == []


async def test_an_abandoned_task_reports_in_vain(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(report_stubbornly, "gate")
    await running(worker, task_id)
    assert await worker.cancel_task(task_id)
    before = info_of(worker, task_id)
    open_gate("gate")
    await settled()
    assert worker.abandoned_tasks == 0
    assert info_of(worker, task_id) == before
    assert before.progress == 0.5


async def test_the_callback_goes_only_to_functions_that_name_it(worker: AsyncTaskWorker) -> None:
    """Not to those that take any keyword."""
    assert (await ended(worker, await worker.add_task(collect, 1, a=2))).result == [[1], {"a": 2}]
    assert (await ended(worker, await worker.add_task(echo, 1))).result == 1


async def test_the_callback_may_be_keyword_only(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await ended(worker, await worker.add_task(report_by_keyword, 0.5))
    assert [event.task.progress for event in events if event.type == "task.progress"] == [0.5]


async def test_a_callback_given_by_the_caller_is_left_alone(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    by_name = await worker.add_task(report_progress, [0.5], progress_callback=None)
    by_place = await worker.add_task(report_progress, [0.5], 0, None)
    assert await worker.wait_for_tasks([by_name, by_place]) == [1, 1]
    assert "task.progress" not in [event.type for event in events]
