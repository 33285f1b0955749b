"""Connections to a file that answer slowly, or with an error, when a test says so. Everything else is SQLite's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from async_task_worker.journal.connection import connect


class Disk:
    """Makes connections, and holds up or fails what they do.

    Attributes:
        fails: What every statement fails with from now on; None for nothing.
    """

    def __init__(self) -> None:
        self.fails: sqlite3.Error | None = None
        self._commits = threading.Event()
        self._commits.set()
        self.held = threading.Event()

    def connect(self, path: Path) -> Any:
        """Return a connection, for the journal to use."""
        return _Connection(self, connect(path))

    @contextmanager
    def commits_held_up(self) -> Iterator[None]:
        """Let no commit get through inside of this."""
        self._commits.clear()
        try:
            yield
        finally:
            self._commits.set()

    def pass_on(self, statement: str) -> None:
        """Wait or raise, as it was asked for."""
        if self.fails is not None:
            raise self.fails
        if statement == "COMMIT" and not self._commits.is_set():
            self.held.set()
            self._commits.wait(timeout=30)


class _Connection:
    def __init__(self, disk: Disk, connection: sqlite3.Connection) -> None:
        self._disk = disk
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> Any:
        self._disk.pass_on(statement)
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
