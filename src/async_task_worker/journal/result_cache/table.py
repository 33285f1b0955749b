"""The tables of cached results: read and written in the journal's thread, since everything here blocks."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from async_cache import CorruptError
from async_cache.adapters.serializers import ENTRY, Signer

_SIGNER: Final = Signer()
_COLUMNS: Final = "number, key, used, expires_at, size, entry_id, alias"
_INSERT: Final = f"INSERT INTO cached ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants


class CachedRow(NamedTuple):
    """A cached result without its value: one row of the table ``cached``."""

    number: int
    key: bytes
    used: int
    expires_at: float | None
    size: int
    entry_id: bytes | None
    alias: bytes | None


@dataclass(slots=True)
class CacheChanges:
    """What one transaction changes about cached results, in this order.

    Attributes:
        clear: Whether all entries are deleted.
        deleted: Numbers of entries to delete.
        stored: New entries, each with its value.
        used: Entries that were used, each as its new place in the order of use and its number.
    """

    clear: bool = False
    deleted: list[int] = field(default_factory=list)
    stored: list[tuple[CachedRow, bytes]] = field(default_factory=list)
    used: list[tuple[int, int]] = field(default_factory=list)


def write_changes(connection: Any, changes: CacheChanges) -> None:
    """Write the changes. The caller has begun a transaction."""
    if changes.clear:
        connection.execute("DELETE FROM cached")
        connection.execute("DELETE FROM cached_value")
    for number in changes.deleted:
        connection.execute("DELETE FROM cached WHERE number = ?", [number])
        connection.execute("DELETE FROM cached_value WHERE number = ?", [number])
    for row, value in changes.stored:
        connection.execute(_INSERT, row)
        signed = _SIGNER.sign(ENTRY, row.key, value)
        connection.execute("INSERT INTO cached_value (number, value) VALUES (?, ?)", [row.number, signed])
    for use in changes.used:
        connection.execute("UPDATE cached SET used = ? WHERE number = ?", use)


def read_rows(connection: Any) -> list[CachedRow]:
    """Return all entries, the least recently used first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM cached ORDER BY used, number").fetchall()  # noqa: S608 - constants
    return [CachedRow(*row) for row in rows]


def read_value(connection: Any, number: int, key: bytes) -> bytes:
    """Return the encoded value of an entry.

    Raises:
        CorruptError: There is no value, or it was not stored for this key.
    """
    try:
        row = connection.execute("SELECT value FROM cached_value WHERE number = ?", [number]).fetchone()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode"):  # a value of type TEXT that is not valid UTF-8
            raise
        raise CorruptError(str(error)) from error
    return _SIGNER.verify(ENTRY, key, None if row is None else row[0])
