"""Rows of a commit participant are written with the tasks' own commits, and their errors affect no task."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, StorageError
from async_task_worker.journal.commit_participant import Read
from tests.support.tasks import echo
from tests.unit.durable import in_file


class Statement:
    """A participant, and the only part it ever writes: one statement."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.has_pending = False
        self.is_urgent = False
        self.ends: list[BaseException | None] = []
        self.calls: list[str] = []

    async def open(self, read: Read) -> None:
        """Read from the file, as a participant may when it is opened."""
        assert await read(lambda connection: connection.execute("SELECT count(*) FROM task").fetchone()) == (0,)
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")

    def next_part(self) -> Statement | None:
        if not self.has_pending:
            return None
        self.has_pending = self.is_urgent = False
        return self

    def write(self, connection: Any) -> None:
        connection.execute(self.statement)

    def finish(self, error: BaseException | None) -> None:
        self.ends.append(error)


def worker_with(participant: Statement, path: Path) -> AsyncTaskWorker:
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process")
    worker._backend._journal.register(participant)  # type: ignore[attr-defined]
    return worker


async def test_a_part_is_committed_together_with_a_task(path: Path) -> None:
    participant = Statement("INSERT INTO fact SELECT 'tasks', count(*) FROM task")
    async with worker_with(participant, path) as worker:
        participant.has_pending = True
        await worker.add_task(echo, 1)
        assert participant.ends == [None]
    assert in_file(path, "SELECT value FROM fact WHERE name = 'tasks'") == [(1,)]


async def test_a_part_that_fails_is_left_out_and_the_task_is_committed(path: Path) -> None:
    participant = Statement("INSERT INTO missing VALUES (1)")
    async with worker_with(participant, path) as worker:
        participant.has_pending = True
        task_id = await worker.add_task(echo, 1)
        assert await worker.get_task_future(task_id) == 1
        (error,) = participant.ends
        with pytest.raises(StorageError, match="no such table: missing"):
            raise error or AssertionError
        assert isinstance(error and error.__cause__, sqlite3.OperationalError)
    assert in_file(path, "SELECT id FROM task") == [(task_id,)]


async def test_urgent_rows_are_written_before_the_file_is_closed(path: Path) -> None:
    participant = Statement("INSERT INTO fact VALUES ('urgent', 1)")
    async with worker_with(participant, path):
        assert participant.calls[-1] == "open"
        participant.has_pending = participant.is_urgent = True
    assert participant.calls[-1] == "close"
    assert in_file(path, "SELECT value FROM fact WHERE name = 'urgent'") == [(1,)]
