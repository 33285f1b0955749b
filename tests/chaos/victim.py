"""A program that is killed: it adds, runs and cancels tasks on a durable worker, and logs what it was promised.

``python -m tests.chaos.victim FILE LOG load|drain``. The log is appended to by plain writes,
which a kill cannot take back: ``add ID`` and ``cancel ID`` once acknowledged, ``run ID`` at
each start of a task's function.
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


def write_down(event: str, task_id: str) -> None:
    os.write(log, f"{event} {task_id}\n".encode())


def write_down_run() -> None:
    record = current_record()
    assert record is not None
    write_down("run", record.id)


@task("chaos.quick")
async def quick(number: int) -> int:
    write_down_run()
    return number


@task("chaos.slow")
async def slow(seconds: float, progress_callback: ProgressCallback) -> dict[str, float]:
    write_down_run()
    for step in range(4):
        progress_callback(step / 4)
        await asyncio.sleep(seconds / 4)
    return {"slept": seconds}


@task("chaos.wrong")
async def wrong(text: str) -> None:
    write_down_run()
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
        write_down("add", task_id)
        if number % 5 == 0 and await worker.cancel_task(task_id):
            write_down("cancel", task_id)


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
