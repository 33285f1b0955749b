"""The file itself, as its one thread sees it: whole batches in, pages out. Everything here blocks."""

from __future__ import annotations

import os
import sqlite3
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from ..exceptions import StorageError
from ..model.status import COMPLETED
from .batch import Batch, CommitResult
from .connection import Connector, connect, explained, opened, owned
from .location import DatabaseLocation
from .ownership import Ownership
from .recovery import OpenResult, recover
from .rows import CODES, DONE, ENDED, MOVED, PIECES, REPORTED, Row, Statement, insertion, update

_PURGED_AT_ONCE: Final = 500
"""Rows that one commit deletes at most, so that nobody waits for a large clearing."""

_write_moved: Final = update(MOVED)
_completed: Final = f"status = {CODES[COMPLETED]}, phase = NULL, "
_write_ended: Final[dict[int, Statement]] = {
    len(DONE) - 1: update(DONE[:-1], f"{_completed}attempt = 1, "),
    len(DONE): update(DONE, f"{_completed}attempt = 1, "),
    len(REPORTED): update(REPORTED, _completed),
    len(ENDED): update(ENDED),
}
_open: Final[weakref.WeakSet[Store]] = weakref.WeakSet()


class Store:
    """A file of tasks, opened and used by one thread.

    Args:
        place: Where it lies and how it is to be kept.
        connector: Makes the connection.
    """

    def __init__(self, place: DatabaseLocation, connector: Connector = connect) -> None:
        self._place = place
        self._connect = connector
        self._connection: Any = None
        self._ownership: Ownership | None = None
        self._refused: list[int] = []  # numbers of tasks that got into the file after it had been moved away
        self._finished = 0

    def open(self, now: float) -> OpenResult:
        """Open the file, make it if there is none, and give back what was running when its owner died.

        Args:
            now: The wall-clock time.
        """
        self._ownership = ownership = owned(self._place)
        self._refused = []
        try:
            self._connection = opened(self._place, ownership.database, self._connect)
            _open.add(self)
            with self._transaction():
                found = recover(self._connection, self._place.max_recoveries, now)
            ownership.watch(ownership.database)
            ownership.watch(f"{ownership.database}-wal")  # which another program deletes if it does not know of us
        except BaseException:
            self.close(clean=False)
            raise
        self._finished = found.finished
        return found

    def commit(self, batch: Batch) -> CommitResult:
        """Write all of a batch or nothing. If it fails with participants' parts, it is written without them.

        Raises:
            StorageError: It could not be written, or the file is not where it was.
        """
        if self._ownership is not None and self._ownership.is_lost:  # it may have been put back
            self._ownership.check()
        if self._refused:
            batch = replace(batch, withdrawn=[*self._refused, *batch.withdrawn])
        finished = self._finished
        try:
            result = CommitResult(self._commit(batch), None)
        except StorageError as error:
            self._finished = finished
            if not batch.parts:
                raise
            result = CommitResult(self._commit(replace(batch, parts=())), error)
        self._refused.clear()
        self._require_same_file(batch)
        return result

    def _require_same_file(self, batch: Batch) -> None:
        """Raise StorageError if the batch went into a file that nobody finds any more."""
        try:
            if self._ownership is not None:
                self._ownership.check()
        except StorageError:
            self._refused = [row[0] for row in batch.added]
            self._finished -= len(batch.ended)  # the next commit writes and counts them again
            raise

    def loss(self) -> StorageError | None:
        """Return an error if the file was deleted or replaced. May be called from any thread."""
        ownership = self._ownership
        return None if ownership is None else ownership.loss()

    def _commit(self, batch: Batch) -> set[int]:
        with self._transaction():
            for seqs in _pieces(batch.withdrawn):
                self._run(f"DELETE FROM task WHERE seq IN ({','.join('?' * len(seqs))})", seqs)  # noqa: S608
            taken = self._add(batch)
            self._write(_write_moved, batch.moved)
            for width, rows in _by_width(batch.ended):
                self._write(_write_ended[width], rows)
            purged = self._purge(batch)
            for part in batch.parts:
                part.write(self._connection)
        self._finished += len(batch.ended) - purged
        return taken

    def read(self, query: Callable[[Any], Any]) -> Any:
        """Return what *query* makes of the connection."""
        with self._faults():
            return query(self._connection)

    def close(self, *, clean: bool) -> None:
        """Close the file; *clean* notes that nothing was running."""
        connection, self._connection = self._connection, None
        ownership, self._ownership = self._ownership, None
        _open.discard(self)
        try:
            if connection is not None and clean:
                with suppress(sqlite3.Error):  # the next owner is then more careful than it would have to be
                    connection.execute("DELETE FROM fact WHERE name = 'in use'")
        finally:
            if connection is not None:
                connection.close()
            if ownership is not None:
                ownership.release()

    def abandon(self) -> None:
        """Let go of the connection for good without closing it: it is the parent process's."""
        if self._connection is not None:
            import ctypes  # noqa: PLC0415 - after a fork only

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None

    def _add(self, batch: Batch) -> set[int]:
        added = sum(self._write(insertion(width), rows) for width, rows in _by_width(batch.added))
        if added == len(batch.added):
            return set()
        return {row[0] for row in batch.added if not self._has(row[0]) and not self._replace(row, batch)}

    def _has(self, seq: int) -> bool:
        return self._connection.execute("SELECT 1 FROM task WHERE seq = ?", [seq]).fetchone() is not None

    def _replace(self, row: Row, batch: Batch) -> bool:
        """Put a new task in the place of one of the same id that should have been forgotten by now."""
        gone = self._run(
            "DELETE FROM task WHERE id = ? AND status >= 2 AND (seq >= ? OR ended_at <= ?)",
            [row[1], batch.forgotten_from, batch.expired],
        )
        self._finished -= gone
        return bool(gone) and self._run(insertion(len(row))(1), row) > 0

    def _purge(self, batch: Batch) -> int:
        excess = 0 if batch.keep is None else self._finished + len(batch.ended) - batch.keep
        purged = 0
        if excess > 0:
            purged = self._purge_where("status >= 2", [], min(excess, _PURGED_AT_ONCE))
        if batch.expired is not None:
            purged += self._purge_where("status >= 2 AND ended_at <= ?", [batch.expired], _PURGED_AT_ONCE)
        return purged

    def _purge_where(self, condition: str, values: list[float], limit: int) -> int:
        oldest = f"SELECT seq FROM task WHERE {condition} ORDER BY ended_at LIMIT {limit}"  # noqa: S608
        return self._run(f"DELETE FROM task WHERE seq IN ({oldest})", values)  # noqa: S608 - conditions of ours

    def _write(self, statement: Statement, rows: Sequence[Row]) -> int:
        return sum(self._run(statement(len(piece)), _flat(piece)) for piece in _pieces(rows))

    def _run(self, statement: str, values: Sequence[Any]) -> int:
        """Execute a statement that changes something and return how many rows it changed."""
        return int(self._connection.execute(statement, values).rowcount)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):  # what went wrong first is what counts
                        self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if self._connection is None:
            raise StorageError(f"{self._place.path} is not open")
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, self._place.path) from error


def _pieces(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut the rows into pieces of the few sizes there are statements for.

    What is left is filled up with one of them: to add or to change the same once more comes to nothing.
    """
    for start in range(0, len(rows), PIECES[-1]):
        piece = rows[start : start + PIECES[-1]]
        missing = PIECES[bisect_left(PIECES, len(piece))] - len(piece)
        yield [*piece, *[piece[-1]] * missing] if missing else piece


def _by_width(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Part the rows by how long they are. Most often all are the same."""
    widths = set(map(len, rows))
    for width in widths:
        yield width, rows if len(widths) == 1 else [row for row in rows if len(row) == width]


def _flat(rows: Sequence[Row]) -> list[Any]:
    return list(chain.from_iterable(rows))


def _abandon_all() -> None:
    for store in tuple(_open):
        store.abandon()


if hasattr(os, "register_at_fork"):
    # Closing the connection in a child would write into the file its parent goes on with.
    os.register_at_fork(after_in_child=_abandon_all)
