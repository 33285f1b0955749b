"""Backups of a running worker: complete or absent, and made without delaying other calls."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio

from async_task_worker import AsyncTaskWorker, StorageError, WorkerNotRunningError, task
from async_task_worker.backends.sqlite import SqliteBackend
from async_task_worker.journal import backup
from async_task_worker.journal.location import DatabaseLocation
from tests.chaos.disk import Disk, Fault
from tests.support.tasks import echo


@task("make_text")
async def make_text(length: int) -> str:
    return "x" * length


class Steps:
    """Holds each copy after its first step, where it runs submitted calls, until it may continue."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.may_continue = threading.Event()

    def connect(self, path: Path) -> sqlite3.Connection:
        steps = self

        class Connection(sqlite3.Connection):
            def backup(self, target: sqlite3.Connection, **options: Any) -> None:
                between: Callable[[int, int, int], None] = options.pop("progress")

                def progress(*state: int) -> None:
                    steps.reached.set()
                    between(*state)
                    while not steps.may_continue.wait(0.001):
                        between(*state)

                super().backup(target, progress=progress, **options)

        return sqlite3.connect(path, timeout=0, isolation_level=None, factory=Connection)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    monkeypatch.setattr(backup, "PAGES", 1)
    made = Steps()
    yield made
    made.may_continue.set()


@pytest_asyncio.fixture
async def worker(folder: Path, steps: Steps) -> AsyncIterator[AsyncTaskWorker]:
    """A worker whose file has many pages."""
    location = DatabaseLocation(folder / "tasks.db", survives_power_cuts=False)
    async with AsyncTaskWorker(backend=SqliteBackend(location, steps.connect)) as worker:
        await worker.get_task_future(await worker.add_task(make_text, 100_000, task_id="before"))
        yield worker
        steps.may_continue.set()


def start_backup(worker: AsyncTaskWorker, path: Path) -> asyncio.Task[None]:
    return asyncio.ensure_future(worker.backup(path))


async def reached(steps: Steps) -> None:
    await asyncio.get_running_loop().run_in_executor(None, steps.reached.wait)


def files_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if not file.name.startswith("tasks.db")}


async def ids_in(path: Path) -> set[str]:
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?check=yes&durability=process") as copy:
        return {info.id for info in (await copy.search_tasks()).tasks}


async def test_tasks_are_acknowledged_run_and_found_during_a_backup(
    worker: AsyncTaskWorker, steps: Steps, folder: Path
) -> None:
    copying = start_backup(worker, folder / "copy.db")
    await reached(steps)
    for number in range(3):
        task_id = await worker.add_task(echo, number, task_id=f"during {number}")
        assert await worker.get_task_future(task_id) == number
    assert len((await worker.search_tasks()).tasks) == 4
    assert not copying.done()
    assert "copy.db" not in files_in(folder)
    steps.may_continue.set()
    await copying
    assert files_in(folder) == {"copy.db"}
    assert (folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert await ids_in(folder / "copy.db") == {"before", "during 0", "during 1", "during 2"}


async def test_a_cancelled_backup_leaves_no_file(worker: AsyncTaskWorker, steps: Steps, folder: Path) -> None:
    copying = start_backup(worker, folder / "copy.db")
    await reached(steps)
    copying.cancel()
    await asyncio.sleep(0)
    steps.may_continue.set()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert not files_in(folder)
    await worker.backup(folder / "next.db")
    assert await ids_in(folder / "next.db") == {"before"}


async def test_a_stop_ends_running_backups(worker: AsyncTaskWorker, steps: Steps, folder: Path) -> None:
    copying = [start_backup(worker, folder / f"copy {number}.db") for number in range(2)]
    await reached(steps)
    stop = asyncio.ensure_future(worker.stop())
    await stop  # although nothing else would end the copy
    for outcome in await asyncio.gather(*copying, return_exceptions=True):
        assert isinstance(outcome, WorkerNotRunningError)
    assert not files_in(folder)


async def test_a_backup_does_not_overwrite_a_file_that_appears_during_it(
    worker: AsyncTaskWorker, steps: Steps, folder: Path
) -> None:
    copying = start_backup(worker, folder / "copy.db")
    await reached(steps)
    (folder / "copy.db").write_text("of another program")
    steps.may_continue.set()
    with pytest.raises(StorageError, match=r"copy\.db exists already"):
        await copying
    assert (folder / "copy.db").read_text() == "of another program"
    assert files_in(folder) == {"copy.db"}


async def test_two_backups_are_made_one_after_another(worker: AsyncTaskWorker, steps: Steps, folder: Path) -> None:
    steps.may_continue.set()
    await asyncio.gather(*(worker.backup(folder / f"copy {number}.db") for number in range(2)))
    for number in range(2):
        assert await ids_in(folder / f"copy {number}.db") == {"before"}


async def test_a_backup_into_a_missing_folder_names_it_in_the_error(worker: AsyncTaskWorker, folder: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/copy\.db"):
        await worker.backup(folder / "missing" / "copy.db")


async def test_a_backup_to_an_invalid_name_raises(worker: AsyncTaskWorker, folder: Path) -> None:
    for name in ("null\0.db", "long" * 100):
        with pytest.raises(StorageError, match=name[:4]):
            await worker.backup(folder / name)


async def test_a_backup_whose_copy_is_deleted_during_it_raises(
    worker: AsyncTaskWorker, steps: Steps, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_SYNC_EVERY", 1)
    copying = start_backup(worker, folder / "copy.db")
    await reached(steps)
    for name in files_in(folder):
        (folder / name).unlink()
    with pytest.raises(StorageError, match=r"copy\.db: No such file"):
        await copying
    steps.may_continue.set()
    await worker.backup(folder / "next.db")


async def test_a_backup_that_cannot_be_written_leaves_no_file_and_the_worker_continues(folder: Path) -> None:
    disk = Disk()
    location = DatabaseLocation(folder / "tasks.db")
    async with AsyncTaskWorker(backend=SqliteBackend(location, disk.connect)) as worker:
        await worker.add_task(echo, 1, task_id="before")
        await worker.drain()
        await worker._backend._journal.flush()  # type: ignore[attr-defined]
        disk.inject(Fault("write", 1, apsw.FullError, times=1))
        with pytest.raises(StorageError, match=r"copy\.db"):
            await worker.backup(folder / "copy.db")
        assert not files_in(folder)
        disk.heal()
        await worker.backup(folder / "copy.db")
    assert await ids_in(folder / "copy.db") == {"before"}
