"""A program that the tests kill: it adds, runs and cancels tasks on a durable worker, and logs acknowledgements.

``python -m tests.chaos.crash_worker FILE LOG load|drain``. The log is written without a buffer, so
a kill loses none of it: ``add ID`` and ``cancel ID`` after each acknowledgement, ``run ID`` at each
call of a task's function.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys

from async_task_worker import AsyncTaskWorker, ProgressCallback, task
from async_task_worker.runtime.executor import current_record

CALLERS = 20
log = -1


def log_event(event: str, task_id: str) -> None:
    os.write(log, f"{event} {task_id}\n".encode())


def log_run() -> None:
    record = current_record()
    assert record is not None
    log_event("run", record.id)


@task("chaos.quick")
async def quick(number: int) -> int:
    log_run()
    return number


@task("chaos.slow")
async def slow(seconds: float, progress_callback: ProgressCallback) -> dict[str, float]:
    log_run()
    for step in range(4):
        progress_callback(step / 4)
        await asyncio.sleep(seconds / 4)
    return {"slept": seconds}


@task("chaos.wrong")
async def wrong(text: str) -> None:
    log_run()
    raise ValueError(text)


async def load(worker: AsyncTaskWorker, caller: int) -> None:
    """Add one task after the other, and cancel every fifth."""
    for number in itertools.count(caller):
        match number % 7:
            case 0:
                task_id = await worker.add_task(slow, 0.02, priority=number % 3)
            case 1:
                task_id = await worker.add_task(wrong, f"wrong {number}", metadata={"number": number})
            case _:
                task_id = await worker.add_task(quick, number)
        log_event("add", task_id)
        if number % 5 == 0 and await worker.cancel_task(task_id):
            log_event("cancel", task_id)


async def main(path: str, mode: str) -> None:
    worker = AsyncTaskWorker(max_workers=10, backend=f"sqlite:///{path}", max_history=None)
    async with worker:
        os.write(1, b"ready\n")
        if mode == "load":
            await asyncio.gather(*(load(worker, caller) for caller in range(CALLERS)))
        await worker.drain()


if __name__ == "__main__":
    logging.getLogger("async_task_worker").setLevel(logging.CRITICAL)  # some of its tasks fail on purpose
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    asyncio.run(main(sys.argv[1], sys.argv[3]))
