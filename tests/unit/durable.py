"""Durable workers for tests: task functions, and helpers that read and change their files."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from async_task_worker import (
    AsyncTaskWorker,
    TaskInfo,
    task,
)
from tests.support import tasks
from tests.support.tasks import (
    open_gate,
)

OpenWorker = Callable[..., Awaitable[AsyncTaskWorker]]


class Unwritable:
    """A class whose instances the codec cannot encode."""


@task("make_unwritable")
async def make_unwritable() -> Unwritable:
    return Unwritable()


@task("make_bytes")
async def make_bytes(count: int) -> bytes:
    return bytes(count)


@task("only_once", idempotent=False)
async def only_once() -> None:
    await asyncio.sleep(3600)


@task("wait_once", idempotent=False)
async def wait_once(what: str) -> str:
    open_gate("called")
    return await tasks.note(what, gate="gate")


@task("refuse_to_stop_once", idempotent=False)
async def refuse_to_stop_once(gate: str) -> None:
    await tasks.stubborn(gate)


@task("count_once", idempotent=False)
async def count_once(items: list[str]) -> int:
    return len(items)


@task("do_nothing")
async def do_nothing() -> None:
    """Return at once."""


async def info_of(worker: AsyncTaskWorker, task_id: str) -> TaskInfo:
    info = await worker.fetch_task_info(task_id)
    assert info is not None
    return info


def in_file(path: Path, statement: str, *values: object) -> list[Any]:
    """Execute a statement on the file while no worker owns it."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def mark_as_crashed(path: Path, task_id: str, times: int = 1) -> None:
    """Change the file to what a process leaves that died while it ran the task."""
    in_file(path, "UPDATE task SET status = 1, attempt = ?, started_at = created_at WHERE id = ?", times, task_id)
    in_file(path, "INSERT OR IGNORE INTO fact VALUES ('in use', 1)")


def insert_pending(path: Path, count: int) -> None:
    """Insert *count* pending tasks into the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = ((f"task {number}", "do_nothing", number) for number in range(count))
        connection.executemany("INSERT INTO task (id, name, created_at) VALUES (?, ?, ?)", rows)


def close_loop_while_running(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *what* on a loop and close that while its asyncio Tasks still run."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(what())
    for left in asyncio.all_tasks(loop):
        left._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    tasks.forget_everything()
