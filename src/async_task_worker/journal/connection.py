"""Opening the file: one owner, one connection, set up so that what is committed stays."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageDamagedError, StorageError, StorageInUseError
from .file_systems import foreign_file_system
from .location import DatabaseLocation
from .ownership import Ownership

Connector = Callable[[Path], Any]
"""Makes a connection. It is sqlite3's, or a stand-in with the same methods."""

APPLICATION_ID: Final = 0x41_54_57_31  # "ATW1", for file(1) and for us to know our own
MIGRATIONS: Final = ("schema.sql", "schema_2.sql")
"""Files that lead from one version to the next: the first makes version 1 of an empty file."""

_CREATED: Final = re.compile(r"^CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)", re.MULTILINE)
_WAL_PAGES: Final = 4000
_CACHE_KIB: Final = 8 * 1024


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that leaves transactions to us and waits for no lock."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, cached_statements=256)


def owned(place: DatabaseLocation) -> Ownership:
    """Return the ownership of the file, which is made unless it is there.

    Raises:
        StorageInUseError: Another worker owns it.
        StorageError: It is in the wrong place, or cannot be opened or made.
    """
    path = place.path
    if place.needs_local_disk and (kind := foreign_file_system(path)):
        raise StorageError(
            f"{path} is on a file system of type {kind!r}, which is not known to be local; on a shared one, locks and "
            "the order of writes cannot be relied on. Use a local disk; or, if this machine alone writes there, add "
            "?filesystem=unchecked to the address"
        )
    _refuse_at_sight(path)
    try:
        _make_private(path)
        return Ownership(path)
    except StorageError:
        raise
    except OSError as error:
        raise explained(error, path) from error


def opened(place: DatabaseLocation, database: str, connect: Connector = connect) -> Any:
    """Return a connection to the file, of the newest version, which keeps other programs out until it is closed.

    Args:
        place: The file and how it is to be kept.
        database: It, with symbolic links followed.
        connect: Makes the connection.

    Raises:
        StorageInUseError: Another program uses it.
        StorageDamagedError: It is none of ours, of a later version, not whole, or does not pass the check.
        StorageError: It cannot be opened or made.
    """
    path = place.path
    connection = None
    try:
        connection = connect(Path(database))
        _lock(connection)
        version = _version(connection, path)
        _set_up(connection, place)
        _migrate(connection, version)
        if place.checked:
            check(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError | sqlite3.Error) and not isinstance(error, StorageError):
            raise explained(error, path) from error
        raise
    return connection


def explained(error: Exception, path: Path) -> StorageError:
    """Return the error of ours that tells what a failure of the file's means."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageInUseError(str(path))
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageDamagedError(f"{path}: {error}")
    reason = error.strerror if isinstance(error, OSError) else error
    return StorageError(f"{path}: {reason}")


def check(connection: Any, path: Path) -> None:
    """Raise StorageDamagedError unless every page and index of the file is sound."""
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)").fetchall()]
    if found != ["ok"]:
        raise StorageDamagedError(f"{path}: {'; '.join(found)}")


def _refuse_at_sight(path: Path) -> None:
    """Say of what cannot be the file why; of some of it SQLite says "disk I/O error" only."""
    if os.path.isdir(path):  # noqa: PTH112 - Path's raises if it may not look
        raise StorageError(f"{path} is a folder")
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):  # noqa: PTH110
        raise StorageError(f"{path}: this process may not read and write it")
    if path.parent.exists() and not os.access(path.parent, os.W_OK | os.X_OK):  # for the log beside the file
        raise StorageError(f"{path}: this process may not make files in {path.parent}")


def _make_private(path: Path) -> None:
    """Make the file, for its owner's eyes only, unless it is there.

    One that is there is not opened: closing it again would drop the locks of another
    connection of this process.
    """
    try:
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StorageError(f"{path}: there is no folder {path.parent}") from None


def _lock(connection: Any) -> None:
    """Become the one owner, before anything is read: then no memory is shared, and nobody else gets in."""
    connection.execute("PRAGMA trusted_schema = OFF").fetchall()
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("BEGIN IMMEDIATE")  # takes the lock, which is then kept
    connection.execute("COMMIT")


def _version(connection: Any, path: Path) -> int:
    """Return the version of the file, 0 for a new one; StorageDamagedError if it is none of ours, or not whole."""
    version = _pragma(connection, "user_version")
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema").fetchall()}
    if (found or version) and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StorageDamagedError(f"{path} is another program's database")
    if version > len(MIGRATIONS):
        raise StorageDamagedError(f"{path} was written by a later version of this package")
    if version < 0 or not found.isdisjoint(_made_by(*MIGRATIONS[version:])):
        raise StorageDamagedError(f"{path} does not say which version of this package wrote it")
    if version and (missing := _made_by(MIGRATIONS[0]) - found):  # without what came later, tasks still run
        raise StorageDamagedError(f"{path} lacks {', '.join(sorted(missing))}")
    return version


def _made_by(*migrations: str) -> set[str]:
    """Return the names of the tables and indexes that these migrations make."""
    return {name for migration in migrations for name in _CREATED.findall(_script(migration))}


def _set_up(connection: Any, place: DatabaseLocation) -> None:
    for pragma in (
        "journal_mode = WAL",
        f"synchronous = {'FULL' if place.survives_power_cuts else 'NORMAL'}",
        "fullfsync = ON",  # heard on macOS only, where a plain fsync does not reach the disk
        "checkpoint_fullfsync = ON",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"cache_size = -{_CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _migrate(connection: Any, version: int) -> None:
    """Bring the file to the newest version, in one transaction."""
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in MIGRATIONS[version:]:
        for statement in _statements(_script(name)):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _script(migration: str) -> str:
    return Path(__file__).with_name(migration).read_text(encoding="utf-8")


def _pragma(connection: Any, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _statements(script: str) -> list[str]:
    bare = "\n".join(line.partition("--")[0] for line in script.splitlines())
    return [statement for statement in map(str.strip, bare.split(";")) if statement]
