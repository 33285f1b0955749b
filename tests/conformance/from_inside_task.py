"""Sample tasks that use the worker they run on, as a job that makes more jobs does.

Their arguments are plain values, so they find the worker here: ``use_worker(worker)`` puts it
where they look for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from async_task_worker import get_task_function, task
from tests.support.tasks import notes

if TYPE_CHECKING:
    from async_task_worker import AsyncTaskWorker

_present: list[AsyncTaskWorker] = []


def use_worker(worker: AsyncTaskWorker) -> None:
    """Let the tasks below use *worker*."""
    _present[:] = [worker]


def forget_worker() -> None:
    """Forget the worker of the test that is over."""
    _present.clear()


def own_worker() -> AsyncTaskWorker:
    """Return the worker that the current test set."""
    return _present[0]


@task("add_more")
async def add_more(name: str, args: list[Any], count: int = 1) -> list[str]:
    """Add so many tasks of the type *name* and return their ids."""
    function = get_task_function(name)
    assert function is not None
    return [await own_worker().add_task(function, *args) for _ in range(count)]


@task("add_and_wait")
async def add_and_wait(name: str, args: list[Any]) -> Any:
    """Add a task of the type *name*, wait for it and return its result."""
    (task_id,) = await add_more(name, args)
    (result,) = await own_worker().wait_for_tasks([task_id])
    return result


@task("wait_for_own_id")
async def wait_for_own_id(task_id: str, method: str) -> None:
    """Wait for the task of that id, which is this one."""
    await getattr(own_worker(), method)([task_id])


@task("cancel_task_of_id")
async def cancel_task_of_id(task_id: str) -> bool:
    """Cancel a task through the worker, perhaps the one this runs in."""
    return await own_worker().cancel_task(task_id)


@task("stop_worker")
async def stop_worker(timeout: float, seconds: float, value: Any = None) -> Any:
    """Stop the worker, note when that returned, go on for a while and return the value."""
    before = asyncio.get_running_loop().time()
    await own_worker().stop(timeout)
    notes.append(asyncio.get_running_loop().time() - before)
    await asyncio.sleep(seconds)
    return value


@task("drain_worker")
async def drain_worker(value: Any = None) -> Any:
    """Wait until everything else is done, note that, and return the value."""
    await own_worker().drain()
    notes.append("drained")
    return value
