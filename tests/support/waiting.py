"""Waiting for what a worker does, without sleeping: for its events, or for the loop to have nothing left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from async_task_worker import TaskStatus
from tests.support.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo

MANY_ITERATIONS = 200
"""Enough turns of a loop for everything that waits for nothing but the loop."""


async def reached(worker: AsyncTaskWorker, task_id: str, condition: Callable[[TaskInfo], bool]) -> TaskInfo:
    """Wait until *condition* holds for the task's snapshot, and return that snapshot."""
    found: asyncio.Future[TaskInfo] = asyncio.get_running_loop().create_future()

    def check(info: TaskInfo | None) -> None:
        if info is not None and not found.done() and condition(info):
            found.set_result(info)

    def on_event(event: TaskEvent) -> None:
        if event.task.id == task_id:
            check(event.task)

    stop = worker.events.listen(on_event)
    try:
        check(worker.get_task_info(task_id))
        return await found
    finally:
        stop()


async def started(worker: AsyncTaskWorker, *task_ids: str) -> list[TaskInfo]:
    """Wait until every one of the tasks has been started (it may have ended since)."""
    return [
        await reached(worker, task_id, lambda info: info.started_at is not None or info.finished)
        for task_id in task_ids
    ]


async def running(worker: AsyncTaskWorker, *task_ids: str) -> None:
    """Wait until every one of the tasks runs its own code: it is started, and has got as far as it can at once."""
    await started(worker, *task_ids)
    await settled()
    for task_id in task_ids:
        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.status is TaskStatus.RUNNING, f"does not run: {info}"


async def finished(worker: AsyncTaskWorker, *task_ids: str) -> list[TaskInfo]:
    """Wait until every one of the tasks has ended, in whichever way, and return their snapshots."""
    return [await reached(worker, task_id, lambda info: info.finished) for task_id in task_ids]


async def loop_iterations(count: int) -> None:
    """Let the loop go round *count* times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled() -> None:
    """Wait until all that can happen without time passing has happened. Calls in threads are waited for."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        await loop.settled()
    else:  # a real loop does not tell when it is idle
        await loop_iterations(MANY_ITERATIONS)
