"""Helpers that read tasks and events of a worker, and let virtual time pass."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

from async_task_worker import TaskStatus
from tests.support.tasks import open_gate, wait_at
from tests.support.virtual_time import WALL_BEGINNING, VirtualTimeLoop
from tests.support.waiting import finished, running

if TYPE_CHECKING:
    from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo


_gates = itertools.count()


def info_of(worker: AsyncTaskWorker, task_id: str) -> TaskInfo:
    """Return the snapshot of a task that must be known."""
    info = worker.get_task_info(task_id)
    assert info is not None, f"unknown: {task_id}"
    return info


def status_of(worker: AsyncTaskWorker, task_id: str) -> TaskStatus:
    """Return the status of a task that must be known."""
    return info_of(worker, task_id).status


def ids_of(infos: list[TaskInfo]) -> list[str]:
    """Return the ids of a listing, in its order."""
    return [info.id for info in infos]


async def ended(worker: AsyncTaskWorker, task_id: str) -> TaskInfo:
    """Wait until the task has ended and return its snapshot."""
    (info,) = await finished(worker, task_id)
    return info


def record_events(worker: AsyncTaskWorker) -> list[TaskEvent]:
    """Return a list to which every event from now on is appended."""
    events: list[TaskEvent] = []
    worker.events.listen(events.append)
    return events


def event_types(events: list[TaskEvent]) -> list[str]:
    """Return the types of the events, without the prefix that they share."""
    return [event.type.removeprefix("task.") for event in events]


def now() -> float:
    """Return the running loop's time: its differences are the durations a test sees."""
    return asyncio.get_running_loop().time()


async def time_passes(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


def set_wall_clock(**difference: float) -> None:
    """Set the wall clock to a time so far from the beginning of the test, as an administrator may."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.set_wall(WALL_BEGINNING + timedelta(**difference).total_seconds())


async def assert_slots_usable(worker: AsyncTaskWorker, slots: int) -> None:
    """Fail unless that many tasks can run at the same time, and no more."""
    gate = f"all slots {next(_gates)}"
    ids = [await worker.add_task(wait_at, gate) for _ in range(slots + 1)]
    await running(worker, *ids[:-1])
    assert status_of(worker, ids[-1]) is TaskStatus.PENDING
    open_gate(gate)
    await worker.wait_for_tasks(ids)
