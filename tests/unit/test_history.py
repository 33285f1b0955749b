"""Searches of the file: each goes by an index, so none of them looks at every task there ever was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from async_task_worker.journal.history import search
from async_task_worker.search import Cursors, TaskQuery
from async_task_worker.status import CANCELLED, COMPLETED, FAILED


@pytest.fixture
def history() -> Iterator[sqlite3.Connection]:
    """Hold a thousand tasks of one type, most of them completed, and a few of another."""
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
def test_a_search_goes_by_the_index_that_leads_there_soonest(
    history: sqlite3.Connection, asked: dict[str, Any], index: str
) -> None:
    statements: list[str] = []
    history.set_trace_callback(statements.append)
    page = search(history, TaskQuery(**asked), Cursors(b"a file", lasting=True))
    history.set_trace_callback(None)

    assert page.tasks
    plan = [row[3] for row in history.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    assert f"USING INDEX {index}" in plan[0]
