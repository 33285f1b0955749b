"""Cached results as rows of the file of tasks: what the journal's thread does about them. Everything here blocks."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from async_cache import CorruptError
from async_cache.adapters.serializers import ENTRY, Sealer

_SEALER: Final = Sealer()
_COLUMNS: Final = "number, key, used, expires_at, size, entry_id, alias"
_INSERT: Final = f"INSERT INTO cached ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - names of ours


class CachedRow(NamedTuple):
    """All about a cached result but its value."""

    number: int
    key: bytes
    used: int
    expires_at: float | None
    size: int
    entry_id: bytes | None
    alias: bytes | None


@dataclass(slots=True)
class CacheChanges:
    """What one transaction is to change about cached results, in this order.

    Attributes:
        cleared: Whether all there are go.
        gone: Numbers of those that go.
        stored: New ones, each with its value.
        used: Numbers of those that were used, behind their new place in the order of use.
    """

    cleared: bool = False
    gone: list[int] = field(default_factory=list)
    stored: list[tuple[CachedRow, bytes]] = field(default_factory=list)
    used: list[tuple[int, int]] = field(default_factory=list)


def write(connection: Any, changes: CacheChanges) -> None:
    """Make the changes. Within a transaction."""
    if changes.cleared:
        connection.execute("DELETE FROM cached")
        connection.execute("DELETE FROM cached_value")
    for number in changes.gone:
        connection.execute("DELETE FROM cached WHERE number = ?", [number])
        connection.execute("DELETE FROM cached_value WHERE number = ?", [number])
    for row, value in changes.stored:
        connection.execute(_INSERT, row)
        sealed = _SEALER.seal(ENTRY, row.key, value)
        connection.execute("INSERT INTO cached_value (number, value) VALUES (?, ?)", [row.number, sealed])
    for place in changes.used:
        connection.execute("UPDATE cached SET used = ? WHERE number = ?", place)


def read_rows(connection: Any) -> list[CachedRow]:
    """Return all there are, the least recently used first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM cached ORDER BY used, number").fetchall()  # noqa: S608 - names of ours
    return [CachedRow(*row) for row in found]


def read_value(connection: Any, number: int, key: bytes) -> bytes:
    """Return the value stored under this number for this key; CorruptError if there is anything else, or nothing."""
    try:
        row = connection.execute("SELECT value FROM cached_value WHERE number = ?", [number]).fetchone()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode"):  # text that is no UTF-8
            raise
        raise CorruptError(str(error)) from error
    return _SEALER.unseal(ENTRY, key, None if row is None else row[0])
