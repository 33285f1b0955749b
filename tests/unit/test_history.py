"""Searches of the file: each uses an index, so that none of them scans all tasks."""

from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.journal import paging
from async_task_worker.journal.paging import PageSearch
from async_task_worker.model.query import Cursors, TaskQuery
from async_task_worker.model.status import CANCELLED, COMPLETED, FAILED
from tests.support.tasks import echo


@pytest.fixture
def history() -> Iterator[sqlite3.Connection]:
    """A thousand tasks of one type, most of them completed, and a few tasks of another type."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(files("async_task_worker.journal").joinpath("schema.sql").read_text("utf-8"))
    connection.executemany(
        "INSERT INTO task (id, name, status, created_at, ended_at) VALUES (?, 'resize', ?, ?, ?)",
        [(str(number), 2 + (number % 100 == 7) + (number == 8), number, number) for number in range(1000)],
    )
    connection.executemany(
        "INSERT INTO task (id, name, status, created_at, ended_at) VALUES (?, 'rare', 3, ?, ?)",
        [(f"rare {number}", number, number) for number in range(5)],
    )
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "task_created"),
        ({"statuses": {FAILED}}, "task_finished"),
        ({"statuses": {CANCELLED, FAILED}}, "task_finished"),
        ({"statuses": {FAILED}, "task_type": "resize"}, "task_finished"),
        ({"statuses": {FAILED}, "task_type": "rare"}, "task_name"),
        ({"statuses": {COMPLETED}, "task_type": "resize"}, "task_name"),
        ({"task_type": "resize"}, "task_name"),
    ],
    ids=[
        "all",
        "failed",
        "failed or cancelled",
        "failed of a type",
        "failed of a rare type",
        "completed of a type",
        "of a type",
    ],
)
def test_a_search_uses_the_fastest_index(history: sqlite3.Connection, asked: dict[str, Any], index: str) -> None:
    statements: list[str] = []
    history.set_trace_callback(statements.append)
    search = PageSearch(TaskQuery(**asked), Cursors(b"a file", lasting=True))
    assert search.find(history)
    history.set_trace_callback(None)

    assert not search.take_known(lambda _: None)  # their results are small
    assert search.page().tasks
    plan = [row[3] for row in history.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    assert f"USING INDEX {index}" in plan[0]


LARGE = 1_000_000


@pytest.fixture
def path(folder: Path) -> Path:
    """A file of 40 tasks whose results are large; each tenth is found by the text "needle"."""
    path = folder / "tasks.db"
    asyncio.run(_make(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO task (id, name, status, created_at, ended_at, result) VALUES (?, 'dig', 2, ?, ?, zeroblob(?))",
            [(f"{'needle' if not number % 10 else 'hay'} {number}", number, 2e9, LARGE) for number in range(40)],
        )
    return path


async def _make(path: Path) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process"):
        pass


def test_a_text_search_reads_the_results_of_the_page_only(path: Path) -> None:
    """Finding one result among 40 MB takes little more memory than that result."""
    with closing(sqlite3.connect(path)) as connection:
        search = PageSearch(TaskQuery(text="needle 10"), Cursors(b"a file", lasting=True))
        tracemalloc.start()
        while not search.find(connection):
            pass
        found = tracemalloc.get_traced_memory()[1]
        search.take_known(lambda _: None)
        while not search.read(connection):
            pass
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert [info.id for info in search.page().tasks] == ["needle 10"]
    assert found < LARGE
    assert read < 10 * LARGE


def test_tasks_that_are_in_memory_are_not_read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        search = PageSearch(TaskQuery(text="needle"), Cursors(b"a file", lasting=True))
        while not search.find(connection):
            pass
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        assert not search.take_known({f"needle {number}": number for number in (0, 10, 20, 30)}.get)  # type: ignore[arg-type]
        assert search.read(connection)
    assert not statements
    assert search.page().tasks == [30, 20, 10, 0]


@pytest.mark.parametrize("text", [None, "needle"])
async def test_other_calls_run_between_the_steps_of_a_search(
    path: Path, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task is added, run and committed before the search has scanned all tasks."""
    for constant in ("_MAX_STEP", "_MAX_CHUNK_BYTES"):
        monkeypatch.setattr(paging, constant, 0)
    monkeypatch.setattr(paging, "_TEXT_CHUNK", 1)
    monkeypatch.setattr(paging, "_ROW_CHUNK", 1)
    expected = [f"{'needle' if not number % 10 else 'hay'} {number}" for number in reversed(range(40))]
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process") as worker:
        search = asyncio.ensure_future(worker.search_tasks(text=text))
        await asyncio.sleep(0)
        await worker.get_task_future(await worker.add_task(echo, 1))
        assert not search.done()
        found = [info.id for info in (await search).tasks if info.name == "dig"]
    assert found == [task_id for task_id in expected if text is None or text in task_id]


async def test_a_search_in_steps_returns_complete_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_TEXT_CHUNK", 3)
    monkeypatch.setattr(paging, "_MAX_TEXT_SCANNED", 7)
    found: list[str] = []
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process") as worker:
        cursor = None
        for _ in range(40):
            page = await worker.search_tasks(text="needle", limit=2, cursor=cursor)
            found += [info.id for info in page.tasks]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert found == ["needle 30", "needle 20", "needle 10", "needle 0"]
