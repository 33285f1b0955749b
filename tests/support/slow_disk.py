"""SQLite connections whose commits can be held back, or whose statements can be made to fail."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from async_task_worker.journal.connection import connect


class Disk:
    """Opens connections whose statements can be delayed or fail.

    Attributes:
        fails: The error that every statement raises from now on; None for none.
        held: Set when a commit is held back.
    """

    def __init__(self) -> None:
        self.fails: sqlite3.Error | None = None
        self._commits = threading.Event()
        self._commits.set()
        self.held = threading.Event()

    def connect(self, path: Path) -> Any:
        """Open a connection; this is the connector of a backend."""
        return _Connection(self, connect(path))

    @contextmanager
    def commits_held_back(self) -> Iterator[None]:
        """Hold back all commits until the end of the context."""
        self._commits.clear()
        try:
            yield
        finally:
            self._commits.set()

    def before(self, statement: str) -> None:
        """Wait or raise before a statement is executed, if a test has asked for it."""
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
        self._disk.before(statement)
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
