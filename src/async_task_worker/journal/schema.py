"""The schema of the database: its version, the checks of an existing file, and migrations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageDamagedError

APPLICATION_ID: Final = 0x41_54_57_31  # "ATW1"; shown by file(1), and identifies files of this package
MIGRATIONS: Final = ("schema.sql", "schema_2.sql")
"""SQL files, each of which leads from one version to the next: the first from an empty file to version 1."""

_CREATED: Final = re.compile(r"^CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)", re.MULTILINE)


def check_version(connection: Any, path: Path) -> int:
    """Return the schema version of the file, 0 for an empty one.

    Raises:
        StorageDamagedError: It is not an async-task-worker database, is of a later version, or lacks a table or index.
    """
    version = _pragma(connection, "user_version")
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema").fetchall()}
    if (found or version) and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StorageDamagedError(f"{path} is not an async-task-worker database; another program created it")
    if version > len(MIGRATIONS):
        raise StorageDamagedError(f"{path} was written by a later version of this package. Upgrade the package")
    if version < 0 or not found.isdisjoint(_objects_of(*MIGRATIONS[version:])):
        raise StorageDamagedError(f"{path}: its schema version, {version}, does not match its tables")
    if version and (missing := _objects_of(MIGRATIONS[0]) - found):  # tasks run without what later versions added
        raise StorageDamagedError(f"{path} lacks {', '.join(sorted(missing))}")
    return version


def migrate(connection: Any, version: int) -> None:
    """Bring the file from *version* to the newest one, in one transaction."""
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in MIGRATIONS[version:]:
        for statement in _statements(_script(name)):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _objects_of(*migrations: str) -> set[str]:
    """Return the names of the tables and indexes that these migrations create."""
    return {name for migration in migrations for name in _CREATED.findall(_script(migration))}


def _script(migration: str) -> str:
    return Path(__file__).with_name(migration).read_text(encoding="utf-8")


def _statements(script: str) -> list[str]:
    without_comments = "\n".join(line.partition("--")[0] for line in script.splitlines())
    return [statement for statement in map(str.strip, without_comments.split(";")) if statement]


def _pragma(connection: Any, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
