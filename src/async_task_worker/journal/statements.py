"""SQL statements that insert or update many rows at once.

One statement takes many rows, because after each statement the thread may have to wait for the
interpreter's lock. There are a few fixed numbers of rows, so that each statement is prepared once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from .rows import INSERT_COLUMNS

CHUNK_SIZES: Final = (1, 4, 16, 64, 128, 256, 512)
"""Numbers of rows that one statement can take."""

StatementFor = Callable[[int], str]
"""Returns the statement for a number of rows out of :data:`CHUNK_SIZES`."""


@cache
def insert_statement(width: int) -> StatementFor:
    """Return the statements that insert rows of the first *width* columns, except those whose id exists."""
    names = ",".join(INSERT_COLUMNS[:width])

    @cache
    def statement(count: int) -> str:
        return f"INSERT INTO task ({names}) VALUES {_placeholders(width, count)} ON CONFLICT DO NOTHING"  # noqa: S608 - constants

    return statement


def update_statement(columns: tuple[str, ...], constants: str = "") -> StatementFor:
    """Return the statements that update tasks, found by the first column.

    Args:
        columns: The names of the columns in a row.
        constants: Assignments that are the same for all rows, as SQL that ends with a comma.
    """
    key, *changed = columns
    assignments = ",".join(f"{column} = new.{column}" for column in changed)

    @cache
    def statement(count: int) -> str:
        return (
            f"WITH new ({','.join(columns)}) AS (VALUES {_placeholders(len(columns), count)}) "  # noqa: S608 - constants
            f"UPDATE task SET {constants}{assignments} FROM new WHERE task.{key} = new.{key}"
        )

    return statement


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split rows into chunks of :data:`CHUNK_SIZES`.

    The last chunk is filled up by repeating its last row: inserting, updating or deleting the
    same row again changes nothing.
    """
    for start in range(0, len(rows), CHUNK_SIZES[-1]):
        chunk = rows[start : start + CHUNK_SIZES[-1]]
        missing = CHUNK_SIZES[bisect_left(CHUNK_SIZES, len(chunk))] - len(chunk)
        yield [*chunk, *[chunk[-1]] * missing] if missing else chunk


def _placeholders(width: int, count: int) -> str:
    return ",".join([f"({','.join('?' * width)})"] * count)
