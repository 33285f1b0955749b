"""Take a census that outlives its process: the tasks are in a file.

    python examples/census_durable.py FILE WORKERS [SOURCES]

SOURCES is a JSON file with what is to be counted: lists of path, name and size. It adds a task for
each, and runs them together with whatever an earlier process has left in the FILE of tasks. What it
has to tell are lines of JSON, each with a kind and a content:

* ``found``: what was in the file when it was opened, a :class:`Found`;
* ``acknowledged``: the id of a task that was added, and so will not be lost;
* ``news``: what happened to a task.

It ends when everything is counted, or at once when whoever started it lets go of its standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from census_tasks import ENDED, SourceFile, add_file, news_of

from async_task_worker import AsyncTaskWorker, TaskInfo

PAGE = 1000


class Found(NamedTuple):
    """The contents of the file when a process opens it.

    Attributes:
        ended: How each task ended that has: its id, and its :func:`ending`.
        waiting: How many tasks have not.
        interrupted: How many of these ran when their process died.
    """

    ended: dict[str, str]
    waiting: int
    interrupted: int


def open_file(file: Path, workers: int = 1) -> AsyncTaskWorker:
    """Return a worker that keeps its tasks in this file, however many there are."""
    return AsyncTaskWorker(workers, backend=f"sqlite:///{file}", max_history=None)


async def history(worker: AsyncTaskWorker) -> list[TaskInfo]:
    """Return all tasks in the file that have ended."""
    page = await worker.search_tasks(ENDED, limit=PAGE)
    tasks = page.tasks
    while page.next_cursor is not None:
        page = await worker.search_tasks(ENDED, limit=PAGE, cursor=page.next_cursor)
        tasks += page.tasks
    return tasks


def ending(info: TaskInfo) -> str:
    """Return the part of a task that must not change after its end."""
    return f"{info.status} at {info.completed_at}, attempt {info.attempt}: {info.error or info.result}"


async def take_census(file: Path, workers: int, sources: list[SourceFile]) -> None:
    """Count these files and those left in *file*, and report on it."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(workers))
    began = datetime.now(UTC)
    worker = open_file(file, workers)
    worker.events.listen(lambda event: tell("news", news_of(event)))
    async with worker:
        left = worker.get_all_tasks()
        earlier = [info for info in await history(worker) if info.completed_at and info.completed_at < began]
        interrupted = [info for info in left if info.phase == "recovered"]
        tell("found", Found({info.id: ending(info) for info in earlier}, len(left), len(interrupted)))
        await asyncio.gather(*(add_and_tell(worker, source) for source in sources))
        await worker.drain()


async def add_and_tell(worker: AsyncTaskWorker, source: SourceFile) -> None:
    """Add the task of one file, and pass on the promise that it will not be lost."""
    tell("acknowledged", await add_file(worker, source))


def tell(kind: str, content: object) -> None:
    """Write a line that a kill cannot take back."""
    print(json.dumps([kind, content]), flush=True)


def end_with_parent() -> None:
    """Wait until the other end of standard input is closed, then exit as in a crash."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    """Take the census that the command line asks for."""
    file, workers, *rest = sys.argv[1:]
    logging.getLogger("async_task_worker").setLevel(logging.CRITICAL)  # the table lists what failed
    threading.Thread(target=end_with_parent, daemon=True).start()
    sources = [read for path in rest for read in json.loads(Path(path).read_text(encoding="ascii"))]
    asyncio.run(
        take_census(Path(file), int(workers), [SourceFile(Path(path), name, size) for path, name, size in sources])
    )


if __name__ == "__main__":
    main()
