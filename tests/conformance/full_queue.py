"""Workers whose bounded queue is full."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tests.support.tasks import echo, note, open_gate, wait_at
from tests.support.waiting import running, settled

if TYPE_CHECKING:
    from async_task_worker import AsyncTaskWorker
    from tests.conftest import MakeWorker


async def worker_with_full_queue(make_worker: MakeWorker, size: int = 2, **options: Any) -> AsyncTaskWorker:
    """Return a worker with one slot, taken until "gate" is opened, and a full queue."""
    worker = await make_worker(max_workers=1, max_queue_size=size, **options)
    await running(worker, await worker.add_task(wait_at, "gate", task_id="running"))
    for number in range(size):
        await worker.add_task(note, number, task_id=f"waiting {number}")
    return worker


async def started_calls(*calls: Coroutine[Any, Any, str]) -> list[asyncio.Task[str]]:
    """Start the calls as asyncio tasks and let each run until it waits."""
    begun = [asyncio.create_task(call) for call in calls]
    await settled()
    return begun


async def free_capacity(worker: AsyncTaskWorker) -> int:
    """Fill the queue behind a running task; return how many tasks it took."""
    await running(worker, await worker.add_task(wait_at, "last gate"))
    places = 0
    for _ in range(20):
        (call,) = await started_calls(worker.add_task(echo, 1))
        if not call.done():
            call.cancel()
            break
        places += 1
    open_gate("last gate")
    return places
