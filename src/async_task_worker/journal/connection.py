"""Open the database: one owner, one connection, configured so that commits are durable."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageDamagedError, StorageError, StorageInUseError
from .file_system_check import foreign_file_system
from .location import DatabaseLocation
from .ownership import Ownership
from .schema import check_version, migrate

Connector = Callable[[Path], Any]
"""Opens a connection: ``sqlite3.connect``, or a replacement whose connections have the same methods."""

_WAL_PAGES: Final = 4000
"""Pages in the write-ahead log after which a commit moves them to the database."""
_CACHE_KIB: Final = 8 * 1024


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself and waits for no lock."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, cached_statements=256)


def take_ownership(location: DatabaseLocation) -> Ownership:
    """Lock the database for this process and return the lock. The file is created if it does not exist.

    Raises:
        StorageInUseError: Another worker owns the file.
        StorageError: Its path or file system cannot be used, or it cannot be opened or created.
    """
    path = location.path
    if location.needs_local_disk and (kind := foreign_file_system(path)):
        raise StorageError(
            f"{path} is on a file system of type {kind!r}, which is not known to be local; on a shared one, locks and "
            "the order of writes cannot be relied on. Use a local disk; or, if this machine alone writes there, add "
            "?filesystem=unchecked to the address"
        )
    _check_accessible(path)
    try:
        _create_private(path)
        return Ownership(path)
    except StorageError:
        raise
    except OSError as error:
        raise translate_error(error, path) from error


def open_database(location: DatabaseLocation, database: str, connect: Connector = connect) -> Any:
    """Return an exclusive connection to the database, migrated to the newest schema.

    Args:
        location: The file and its options.
        database: The path of the file with symbolic links resolved.
        connect: Opens the connection.

    Raises:
        StorageInUseError: Another program uses the file.
        StorageDamagedError: It is not an intact async-task-worker database, or of a later version.
        StorageError: It cannot be opened or created.
    """
    path = location.path
    connection = None
    try:
        connection = connect(Path(database))
        _lock(connection)
        version = check_version(connection, path)
        _configure(connection, location)
        migrate(connection, version)
        if location.checked:
            check_integrity(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError | sqlite3.Error) and not isinstance(error, StorageError):
            raise translate_error(error, path) from error
        raise
    return connection


def translate_error(error: Exception, path: Path) -> StorageError:
    """Return the StorageError that stands for an error of SQLite or the operating system."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageInUseError(str(path))
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageDamagedError(f"{path}: {error}")
    reason = error.strerror if isinstance(error, OSError) else error
    return StorageError(f"{path}: {reason}")


def check_integrity(connection: Any, path: Path) -> None:
    """Raise StorageDamagedError unless every page and index of the file is intact. This reads the whole file."""
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)").fetchall()]
    if problems != ["ok"]:
        raise StorageDamagedError(f"{path}: {'; '.join(problems)}")


def _check_accessible(path: Path) -> None:
    """Raise StorageError with the reason if the path cannot be used: SQLite would only report a disk I/O error."""
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises if the folder cannot be searched
        raise StorageError(f"{path} is a folder")
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):  # noqa: PTH110 - Path.exists, too
        raise StorageError(f"{path}: this process has no permission to read and write it")
    if path.parent.exists() and not os.access(path.parent, os.W_OK | os.X_OK):  # SQLite creates its log beside the file
        raise StorageError(f"{path}: this process has no permission to create files in {path.parent}")


def _create_private(path: Path) -> None:
    """Create the file, readable by its owner only, unless it exists.

    An existing file is not opened: closing it would drop the POSIX locks of another connection
    of this process.
    """
    try:
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StorageError(f"{path}: there is no folder {path.parent}") from None


def _lock(connection: Any) -> None:
    """Lock out other programs before anything is read: SQLite then needs no shared memory for its log."""
    connection.execute("PRAGMA trusted_schema = OFF").fetchall()
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("BEGIN IMMEDIATE")  # takes the lock, which this locking mode keeps
    connection.execute("COMMIT")


def _configure(connection: Any, location: DatabaseLocation) -> None:
    for pragma in (
        "journal_mode = WAL",
        f"synchronous = {'FULL' if location.survives_power_cuts else 'NORMAL'}",
        "fullfsync = ON",  # has an effect on macOS only, where fsync alone does not flush the disk's cache
        "checkpoint_fullfsync = ON",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"cache_size = -{_CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
