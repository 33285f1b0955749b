"""A program that fills its disk: it adds tasks to a durable worker until nothing more fits, makes room and continues.

``python -m tests.chaos.disk_filler stay|leave FOLDER [BYTES]``. Either the folder is on a small file
system, or no file may become larger than BYTES. Room is made while the worker runs (``stay``), or
after it has stopped (``leave``). The counts are printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from async_task_worker import AsyncTaskWorker, StorageError, TaskStatus, task
from tests.chaos import crash_report
from tests.chaos.crash_report import FINAL

CALLERS = 5
PAYLOAD = "x" * 1000
BALLAST = 500_000
"""Size in bytes of the file that is deleted to make room."""


@task("chaos.fill")
async def fill(payload: str) -> int:
    return len(payload)


def occupy(folder: Path) -> Callable[[], None]:
    """Occupy a part of the disk; return a function that frees it."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(BALLAST))
    return ballast.unlink


def limit(size: int) -> Callable[[], None]:
    """Limit the files of this process to *size* bytes; return a function that removes the limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Filler:
    """Callers that add tasks, and the outcomes of their calls."""

    def __init__(self, worker: AsyncTaskWorker) -> None:
        self.worker = worker
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.errors: set[str] = set()

    async def add_until_refused(self, caller: int) -> None:
        """Add tasks one after the other until three calls in a row have failed."""
        number = in_a_row = 0
        while in_a_row < 3:
            number += 1
            in_a_row = 0 if await self.add(f"{caller}.{number}") else in_a_row + 1

    async def add(self, task_id: str) -> bool:
        try:
            await self.worker.add_task(fill, PAYLOAD, task_id=task_id)
        except StorageError as error:
            self.refused.append(task_id)
            self.errors.add(str(error))
            return False
        self.acknowledged.append(task_id)
        return True


def durable(path: Path, **options: str) -> AsyncTaskWorker:
    given = "&".join(f"{name}={value}" for name, value in options.items())
    return AsyncTaskWorker(max_workers=3, backend=f"sqlite:///{path}?{given}")


async def fill_up(worker: AsyncTaskWorker) -> Filler:
    """Add tasks until nothing more fits; the acknowledged ones run nevertheless."""
    filler = Filler(worker)
    await asyncio.gather(*(filler.add_until_refused(caller) for caller in range(CALLERS)))
    await worker.wait_for_tasks(filler.acknowledged)
    return filler


async def stay(path: Path, make_room: Callable[[], None]) -> Filler:
    """Continue with the same worker once there is room."""
    async with durable(path) as worker:
        filler = await fill_up(worker)
        make_room()
        for number in range(10):
            assert await filler.add(f"later.{number}"), filler.errors
        await worker.drain()
        assert all(worker.get_task_info(task_id) is None for task_id in filler.refused)
    return filler


async def leave(path: Path, make_room: Callable[[], None]) -> Filler:
    """Stop while there is no room, try to start, and start again once there is some."""
    async with durable(path) as worker:
        filler = await fill_up(worker)
    with suppress(StorageError):
        async with durable(path):
            pass
    make_room()
    async with durable(path) as worker:
        await worker.drain()
    return filler


async def found_again(path: Path) -> set[str]:
    """Return the completed tasks that a new worker finds, after it has checked the file for damage."""
    async with durable(path, check="yes") as worker:
        page = await worker.search_tasks(TaskStatus.COMPLETED, limit=1_000_000)
    return {info.id for info in page.tasks}


def main() -> None:
    mode, folder, *size = sys.argv[1:]
    path = Path(folder) / "tasks.db"
    make_room = limit(int(size[0])) if size else occupy(path.parent)
    filler = asyncio.run({"stay": stay, "leave": leave}[mode](path, make_room))
    left, acknowledged = crash_report.read_tasks(path), set(filler.acknowledged)
    counted = {
        "acknowledged": len(acknowledged),
        "refused": len(filler.refused),
        "errors": sorted(filler.errors),
        "lost": len(acknowledged - left.keys()),
        "never_acknowledged": len(left.keys() - acknowledged),
        "unfinished": sum(row.status != FINAL for row in left.values()),
        "found_again": len(acknowledged & asyncio.run(found_again(path))),
    }
    os.write(1, json.dumps(counted).encode())


if __name__ == "__main__":
    main()
