"""Looking at a file of tasks whose owner is gone."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import NamedTuple

FINAL = 2
"""The lowest status that is final, as it is written in the file."""


class Row(NamedTuple):
    """What is left of a task."""

    status: int
    attempt: int
    recoveries: int
    ended_at: float | None


def read(path: Path) -> dict[str, Row]:
    """Return the tasks in the file by id, once its integrity is checked."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'task'").fetchall():
            return {}  # not even that was kept
        rows = connection.execute("SELECT id, status, attempt, recoveries, ended_at FROM task")
        return {task_id: Row(*rest) for task_id, *rest in rows}
    finally:
        connection.close()


def read_log(path: Path) -> dict[str, Counter[str]]:
    """Return how often which event was logged of which task."""
    found: dict[str, Counter[str]] = {"add": Counter(), "cancel": Counter(), "run": Counter()}
    for line in path.read_text().splitlines():
        event, _, task_id = line.partition(" ")
        found[event][task_id] += 1
    return found
