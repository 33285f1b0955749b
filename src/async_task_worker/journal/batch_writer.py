"""Write the rows of a batch: deletions, inserts, updates, and the retention of history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from ..model.status import COMPLETED
from .batch import Batch
from .rows import (
    COMPLETED_COLUMNS,
    FINISHED_COLUMNS,
    REPORTED_COLUMNS,
    STATUS_CODES,
    UPDATED_COLUMNS,
    Row,
)
from .statements import StatementFor, chunks, insert_statement, update_statement

_MAX_PURGED: Final = 500
"""Finished tasks that one commit deletes for each of the two limits, so that callers do not wait for a large purge."""

_write_updated: Final = update_statement(UPDATED_COLUMNS)
_completed: Final = f"status = {STATUS_CODES[COMPLETED]}, phase = NULL, "
_write_finished: Final[dict[int, StatementFor]] = {
    len(COMPLETED_COLUMNS) - 1: update_statement(COMPLETED_COLUMNS[:-1], f"{_completed}attempt = 1, "),
    len(COMPLETED_COLUMNS): update_statement(COMPLETED_COLUMNS, f"{_completed}attempt = 1, "),
    len(REPORTED_COLUMNS): update_statement(REPORTED_COLUMNS, _completed),
    len(FINISHED_COLUMNS): update_statement(FINISHED_COLUMNS),
}
"""By the length of a row, which differs for each kind."""


class BatchWriter:
    """Writes batches to one connection; the caller begins and ends the transactions.

    Args:
        connection: The connection.
        finished_count: Number of finished tasks in the file.

    Attributes:
        finished_count: The same, kept up to date. After a rollback the caller has to set it back.
    """

    def __init__(self, connection: Any, finished_count: int) -> None:
        self._connection = connection
        self.finished_count = finished_count

    def write(self, batch: Batch) -> set[int]:
        """Write a batch; return the sequence numbers of new tasks that were not inserted, because their ids exist."""
        for seqs in chunks(batch.withdrawn):
            self._run(f"DELETE FROM task WHERE seq IN ({','.join('?' * len(seqs))})", seqs)  # noqa: S608 - placeholders
        duplicate_seqs = self._insert(batch)
        self._write(_write_updated, batch.updated)
        for width, rows in _by_width(batch.finished):
            self._write(_write_finished[width], rows)
        self.finished_count += len(batch.finished)
        self._purge(batch)
        for part in batch.parts:
            part.write(self._connection)
        return duplicate_seqs

    def _insert(self, batch: Batch) -> set[int]:
        inserted = sum(self._write(insert_statement(width), rows) for width, rows in _by_width(batch.inserted))
        if inserted == len(batch.inserted):
            return set()
        return {row[0] for row in batch.inserted if not self._exists(row[0]) and not self._replace(row, batch)}

    def _exists(self, seq: int) -> bool:
        return self._connection.execute("SELECT 1 FROM task WHERE seq = ?", [seq]).fetchone() is not None

    def _replace(self, row: Row, batch: Batch) -> bool:
        """Insert a new task in place of a finished one of the same id, if that one's retention is over."""
        deleted = self._run(
            "DELETE FROM task WHERE id = ? AND status >= 2 AND (seq >= ? OR ended_at <= ?)",
            [row[1], batch.first_seq, batch.finished_before],
        )
        self.finished_count -= deleted
        return bool(deleted) and self._run(insert_statement(len(row))(1), row) > 0

    def _purge(self, batch: Batch) -> None:
        excess = 0 if batch.max_history is None else self.finished_count - batch.max_history
        if excess > 0:
            self._delete_oldest("status >= 2", [], min(excess, _MAX_PURGED))
        if batch.finished_before is not None:
            self._delete_oldest("status >= 2 AND ended_at <= ?", [batch.finished_before], _MAX_PURGED)

    def _delete_oldest(self, condition: str, values: list[float], limit: int) -> None:
        oldest = f"SELECT seq FROM task WHERE {condition} ORDER BY ended_at LIMIT {limit}"  # noqa: S608 - constants
        self.finished_count -= self._run(f"DELETE FROM task WHERE seq IN ({oldest})", values)  # noqa: S608 - constants

    def _write(self, statement: StatementFor, rows: Sequence[Row]) -> int:
        return sum(self._run(statement(len(chunk)), list(chain.from_iterable(chunk))) for chunk in chunks(rows))

    def _run(self, statement: str, values: Sequence[Any]) -> int:
        """Execute a statement and return the number of rows it changed."""
        return int(self._connection.execute(statement, values).rowcount)


def _by_width(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Group the rows by their length. Usually all are of the same length."""
    widths = set(map(len, rows))
    for width in widths:
        yield width, rows if len(widths) == 1 else [row for row in rows if len(row) == width]
