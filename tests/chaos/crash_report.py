"""Read what a crashed worker left: the tasks in its file, and its log."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import NamedTuple

FINAL = 2
"""The lowest number of a terminal status in the file."""


class Row(NamedTuple):
    """A task in the file."""

    status: int
    attempt: int
    recoveries: int
    ended_at: float | None


def read_tasks(path: Path) -> dict[str, Row]:
    """Check the integrity of the file and return its tasks by id."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'task'").fetchall():
            return {}  # the schema was lost, too
        rows = connection.execute("SELECT id, status, attempt, recoveries, ended_at FROM task")
        return {task_id: Row(*rest) for task_id, *rest in rows}
    finally:
        connection.close()


def read_log(path: Path) -> dict[str, Counter[str]]:
    """Return the number of logged events by kind and task id."""
    found: dict[str, Counter[str]] = {"add": Counter(), "cancel": Counter(), "run": Counter()}
    for line in path.read_text().splitlines():
        event, _, task_id = line.partition(" ")
        found[event][task_id] += 1
    return found
