"""Callers that wait for capacity when the worker stops get an error, and leave nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import WorkerNotRunningError
from tests.conformance.event_helpers import info_of
from tests.conformance.full_queue import free_capacity, started_calls, worker_with_full_queue
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.tasks import note, open_gate
from tests.support.waiting import loop_iterations


async def test_stop_turns_away_those_who_wait_for_room(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    calls = await started_calls(*(worker.add_task(note, n, task_id=f"{n}") for n in range(2, 5)))
    stop = asyncio.create_task(worker.stop(timeout=1))
    for number, call in enumerate(calls, 2):
        with pytest.raises(WorkerNotRunningError, match="stopped"):
            await call
        assert worker.get_task_info(f"{number}") is None
    await stop
    assert tasks.notes == []


async def test_after_a_stop_the_queue_has_all_its_places_again(make_worker: MakeWorker) -> None:
    worker = await worker_with_full_queue(make_worker)
    calls = await started_calls(*(worker.add_task(note, n) for n in range(3)))
    await worker.stop(timeout=0)
    await asyncio.gather(*calls, return_exceptions=True)
    await worker.start()
    open_gate("gate")  # for what goes on, where tasks last
    await worker.drain()
    assert await free_capacity(worker) == 2


@pytest.mark.parametrize("before_stop", range(8))
async def test_stop_in_any_step_of_letting_in_leaves_no_task_behind(
    make_worker: MakeWorker, backend: Backend, before_stop: int
) -> None:
    """Who was let in has a task that ends (or waits for the next start, where tasks last); nobody else has."""
    worker = await worker_with_full_queue(make_worker, size=1)
    calls = await started_calls(*(worker.add_task(note, n, task_id=f"{n}") for n in range(2, 6)))
    open_gate("gate")
    await loop_iterations(before_stop)
    await worker.stop(timeout=5)
    for number, answer in enumerate(await asyncio.gather(*calls, return_exceptions=True), 2):
        if answer == f"{number}":
            assert info_of(worker, answer).finished or backend.durable
        else:
            assert isinstance(answer, WorkerNotRunningError)
            assert worker.get_task_info(f"{number}") is None


@pytest.mark.schedules(20)
async def test_stop_in_any_schedule_leaves_no_task_behind(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await worker_with_full_queue(make_worker, size=1)
    calls = await started_calls(*(worker.add_task(note, n) for n in range(2, 6)))
    open_gate("gate")
    await loop_iterations(2)
    await worker.stop(timeout=5)
    await asyncio.gather(*calls, return_exceptions=True)
    assert backend.durable or all(info.finished for info in worker.get_all_tasks())
