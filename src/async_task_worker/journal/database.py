"""The database file: opened, written and read by the journal's thread. Everything here blocks."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from ..exceptions import StorageError
from .batch import Batch, CommitResult
from .batch_writer import BatchWriter
from .connection import Connector, connect, open_database, take_ownership, translate_error
from .location import DatabaseLocation
from .ownership import Ownership
from .recovery import OpenResult, recover

_open_databases: Final[weakref.WeakSet[Database]] = weakref.WeakSet()


class Database:
    """The database of one journal, used by one thread.

    Args:
        location: The file and its options.
        connector: Opens the connection.
    """

    def __init__(self, location: DatabaseLocation, connector: Connector = connect) -> None:
        self._location = location
        self._connect = connector
        self._connection: Any = None
        self._writer: BatchWriter
        self._ownership: Ownership | None = None
        self._unacknowledged: list[int] = []  # tasks that were committed to a file that had been moved away

    def open(self, now: float) -> OpenResult:
        """Open the file, or create it, and recover the tasks that ran when its last owner died.

        Args:
            now: The time, in seconds since the epoch.
        """
        self._ownership = ownership = take_ownership(self._location)
        self._unacknowledged = []
        try:
            self._connection = open_database(self._location, ownership.database, self._connect)
            _open_databases.add(self)
            with self._transaction():
                opened = recover(self._connection, self._location.max_recoveries, now)
            ownership.watch(ownership.database)
            ownership.watch(f"{ownership.database}-wal")  # a program that does not see our lock would delete it
        except BaseException:
            self.close(clean=False)
            raise
        self._writer = BatchWriter(self._connection, opened.finished)
        return opened

    def commit(self, batch: Batch) -> CommitResult:
        """Write all of a batch, or nothing. If that fails with participants' parts, it is repeated without them.

        Raises:
            StorageError: The batch could not be written, or the file was deleted or replaced.
        """
        if self._ownership is not None and self._ownership.is_lost:  # fails unless the files were put back since
            self._ownership.check()
        if self._unacknowledged:
            batch = replace(batch, withdrawn=[*self._unacknowledged, *batch.withdrawn])
        try:
            result = CommitResult(self._write(batch), None)
        except StorageError as error:
            if not batch.parts:
                raise
            result = CommitResult(self._write(replace(batch, parts=())), error)
        self._unacknowledged.clear()
        self._require_same_file(batch)
        return result

    def read(self, query: Callable[[Any], Any]) -> Any:
        """Call *query* with the connection and return its result."""
        with self._translated_errors():
            return query(self._connection)

    def storage_error(self) -> StorageError | None:
        """Return an error if the file was deleted or replaced. May be called from any thread."""
        ownership = self._ownership
        return None if ownership is None else ownership.loss()

    def close(self, *, clean: bool) -> None:
        """Close the file. *clean* also records that no owner died since a worker last ran its tasks."""
        connection, self._connection = self._connection, None
        ownership, self._ownership = self._ownership, None
        _open_databases.discard(self)
        try:
            if connection is not None and clean:
                with suppress(sqlite3.Error):  # the next owner then only takes more care than it has to
                    connection.execute("DELETE FROM fact WHERE name = 'in use'")
        finally:
            if connection is not None:
                connection.close()
            if ownership is not None:
                ownership.release()

    def abandon(self) -> None:
        """Drop the connection without ever closing it: after a fork, it belongs to the parent process."""
        if self._connection is not None:
            import ctypes  # noqa: PLC0415 - needed after a fork only

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None

    def _write(self, batch: Batch) -> set[int]:
        """Write a batch in one transaction; return the sequence numbers of tasks whose ids exist."""
        finished_count = self._writer.finished_count
        try:
            with self._transaction():
                return self._writer.write(batch)
        except BaseException:
            self._writer.finished_count = finished_count
            raise

    def _require_same_file(self, batch: Batch) -> None:
        """Raise StorageError if the batch went into a file that is not at its path any more."""
        try:
            if self._ownership is not None:
                self._ownership.check()
        except StorageError:
            self._unacknowledged = [row[0] for row in batch.inserted]
            self._writer.finished_count -= len(batch.finished)  # the next commit writes and counts them again
            raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to report
                        self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        if self._connection is None:
            raise StorageError(f"{self._location.path} is not open")
        try:
            yield
        except sqlite3.Error as error:
            raise translate_error(error, self._location.path) from error


def _abandon_all() -> None:
    for database in tuple(_open_databases):
        database.abandon()


if hasattr(os, "register_at_fork"):
    # If the child closed its copy of the connection, that would write to the file its parent still uses.
    os.register_at_fork(after_in_child=_abandon_all)
