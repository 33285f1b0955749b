"""A simulated disk that records all writes, can fail, and can lose power.

SQLite accesses files through a VFS, and ``apsw`` allows to write one in Python. :class:`Disk`
passes all operations on to real files and records each write, sync, truncation and deletion.
:meth:`Disk.after_power_cut` makes from the record the files that a power cut would have left.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

_numbers = itertools.count()

CHECKPOINT = "PRAGMA wal_autocheckpoint"
CHECKPOINT_EVERY = 7
"""Commits from one checkpoint to the next: few, so that a short run has many checkpoints.

SQLite's automatic checkpoints fail silently, but apsw would raise the errors of this module's
faults. So the automatic ones are off, and :class:`Connection` makes checkpoints itself.
"""


class Change(NamedTuple):
    """An operation on a file. A ``sync`` makes all earlier operations on the same file durable."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class Fault(NamedTuple):
    """The *nth* operation of this kind fails with *error*, and so do those after it, *times* in all."""

    kind: str
    nth: int
    error: type[apsw.Error]
    times: int = 3


class Disk(apsw.VFS):
    """A VFS that records the operations on its files."""

    def __init__(self) -> None:
        self.name = f"disk {next(_numbers)}"
        self.changes: list[Change] = []
        self.fault: Fault | None = None
        self._seen = 0
        super().__init__(self.name, base="")

    def connect(self, path: Path) -> Connection:
        """Return a connection to a file on this disk, for the journal to use."""
        return Connection(str(path), self.name)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw defines these names
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self.record(Change("delete", Path(filename).name))

    def record(self, change: Change) -> None:
        """Record a change."""
        self.changes.append(change)

    def fail_if_due(self, kind: str) -> None:
        """Raise the error of the fault if this operation is to fail."""
        fault = self.fault
        if fault is None or fault.kind != kind:
            return
        self._seen += 1
        if self._seen >= fault.nth + fault.times:
            self.heal()
        elif self._seen >= fault.nth:
            raise fault.error("injected fault")

    def inject(self, fault: Fault) -> None:
        """Begin to count operations up to a fault."""
        self.fault, self._seen = fault, 0

    def heal(self) -> None:
        """End the fault."""
        self.fault = None

    def after_power_cut(self, at: int, folder: Path, chance: random.Random, kept: float) -> None:
        """Write to *folder* the files that a power cut after *at* changes leaves.

        Args:
            at: Number of changes before the power cut.
            folder: An empty folder.
            chance: Decides which of the changes that were not synced have reached the disk.
            kept: The part of them that has, from 0 to 1. A write may be torn.
        """
        files: dict[str, bytearray] = {}
        unsynced: dict[str, list[Change]] = {}
        for change in self.changes[:at]:
            if change.kind == "delete":
                files.pop(change.file, None)
                unsynced.pop(change.file, None)
            elif change.kind == "sync":
                for earlier in unsynced.pop(change.file, ()):
                    _apply(earlier, files)
            else:
                unsynced.setdefault(change.file, []).append(change)
                files.setdefault(change.file, bytearray())
        for change in itertools.chain.from_iterable(unsynced.values()):
            if chance.random() < kept:
                torn = change.data and kept < 1 and chance.random() < 0.2
                length = chance.randrange(len(change.data)) // 512 * 512 if torn else len(change.data)
                _apply(change._replace(data=change.data[:length]), files)
        for name, content in files.items():
            (folder / name).write_bytes(content)


def _apply(change: Change, files: dict[str, bytearray]) -> None:
    content = files.setdefault(change.file, bytearray())
    if change.kind == "truncate":
        del content[change.offset :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary").name
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.fail_if_due("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.fail_if_due("write")
        super().xWrite(data, offset)
        self._disk.record(Change("write", self._name, offset, bytes(data)))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.fail_if_due("sync")
        super().xSync(flags)
        self._disk.record(Change("sync", self._name))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._disk.record(Change("truncate", self._name, size))


class Connection:
    """An apsw connection with the methods and errors of sqlite3 that the journal uses."""

    def __init__(self, path: str, vfs: str) -> None:
        with _translated():
            self._connection = apsw.Connection(path, vfs=vfs)
        self._commits = 0

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, values: Any = ()) -> Result:
        if statement.startswith(CHECKPOINT):
            statement = f"{CHECKPOINT} = 0"
        with _translated():
            rows = self._connection.execute(statement, values).fetchall()
        if statement == "COMMIT":
            self._commits += 1
            if not self._commits % CHECKPOINT_EVERY:
                with suppress(apsw.Error):
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return Result(rows, self._connection.changes())

    def backup(
        self, target: Connection, *, pages: int, progress: Callable[[int, int, int], None], sleep: float
    ) -> None:
        """Copy the file, *pages* at a time."""
        del sleep  # no other connection could hold a lock
        with _translated(), target._connection.backup("main", self._connection, "main") as copy:
            while not copy.done:
                copy.step(pages)
                progress(0, copy.remaining, copy.page_count)

    def close(self) -> None:
        """Close the file. As with sqlite3, a failure of the last checkpoint raises nothing."""
        with suppress(apsw.Error):
            self._connection.close()


class Result:
    """The rows of an executed statement."""

    def __init__(self, rows: Sequence[Any], changed: int) -> None:
        self._rows: Iterator[Any] = iter(rows)
        self.rowcount = changed

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        made = sqlite3.OperationalError(str(error))
        code = {apsw.FullError: 13, apsw.IOError: 10, apsw.BusyError: 5}.get(type(error), 0)
        made.sqlite_errorcode = getattr(error, "extendedresult", code)  # an injected fault has no code
        raise made from error


ERRORS: dict[str, type[apsw.Error]] = {"disk full": apsw.FullError, "I/O error": apsw.IOError, "busy": apsw.BusyError}
