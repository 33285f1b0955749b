"""Owning a database: a lock file beside it, and the certainty that both are still where they were.

SQLite's own locks are POSIX locks, which a process loses as soon as it opens and closes the
database for any other reason, such as a checksum. The lock on a descriptor of its own is kept
until that descriptor is closed, or the process is gone however it died.

The lock file is never deleted: a process that waits for the old one and a process that makes
a new one would both own the database.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import lock_descriptor

from ..exceptions import StorageError, StorageInUseError

logger = logging.getLogger(__name__)

SUFFIX: Final = ".lock"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LONGEST_PID: Final = 20

_held: Final[set[int]] = set()  # descriptors of lock files
_guard = threading.RLock()  # no fork between the opening of one and its place in the set


class Ownership:
    """The lock that makes this process the only owner of a database, held until it is released.

    Args:
        path: The database, as users know it.

    Attributes:
        database: The file itself: *path* with symbolic links followed.
        is_lost: Whether the last check found that a file was deleted or replaced.

    Raises:
        StorageInUseError: Another worker owns it, in this process or in another.
        StorageError: It has several names, or the lock file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        self.is_lost = False
        self.database = os.path.realpath(path)
        self._lock_file = self.database + SUFFIX
        self._watched: list[tuple[str, int, int]] = []
        self._refuse_second_name()
        self._descriptor: int | None = self._locked()
        with suppress(OSError):  # as on a full disk; the number only helps to find the owner
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        self.watch(self._lock_file)

    def watch(self, name: str) -> None:
        """From now on, look whether this file is still the same one."""
        found = os.stat(name)  # noqa: PTH116 - a Path would cost as much again with each commit
        self._watched.append((name, found.st_ino, found.st_dev))

    def check(self) -> None:
        """Raise StorageError if a watched file was deleted or replaced. That is logged once."""
        loss = self.loss()
        if loss is not None and not self.is_lost:
            logger.error("%s", loss)
        self.is_lost = loss is not None
        if loss is not None:
            raise loss

    def loss(self) -> StorageError | None:
        """Return an error if a watched file was deleted or replaced, else None."""
        for name, inode, device in self._watched:
            try:
                found = os.stat(name)  # noqa: PTH116
            except OSError as error:
                return _lost(name, f"cannot be found any more ({error.strerror})")
            if found.st_ino != inode or found.st_dev != device:
                return _lost(name, "was replaced by another file")
        return None

    def release(self) -> None:
        """Let others own the database. The lock file stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._process != os.getpid():  # in a fork it is closed already
            return
        with _guard:
            _held.discard(descriptor)
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _refuse_second_name(self) -> None:
        """Raise StorageError if there are hard links: by another name, there would be another lock file."""
        names = os.stat(self.database).st_nlink  # noqa: PTH116
        if names > 1:
            raise StorageError(
                f"{self._path} has {names} names (hard links), and a worker that opens it by another one would not "
                f"notice this one. Delete the other names, or make a copy of the file and open that"
            )

    def _locked(self) -> int:
        """Return a descriptor of the lock file that holds the lock."""
        descriptor = _opened(self._lock_file)
        try:
            self._lock(descriptor)
        except BaseException as error:
            with _guard:
                _held.discard(descriptor)
                os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise StorageError(f"{self._lock_file}: {error.strerror}") from error
            raise
        return descriptor

    def _lock(self, descriptor: int) -> None:
        if not lock_descriptor(descriptor, blocking=False):
            raise StorageInUseError(f"{self._path}{_owner(descriptor)}")
        if not os.path.samestat(os.fstat(descriptor), os.stat(self._lock_file)):  # noqa: PTH116
            raise StorageInUseError(f"{self._path} (its lock file was replaced a moment ago)")


def _opened(name: str) -> int:
    with _guard:
        try:
            descriptor = os.open(name, _FLAGS, 0o600)
        except OSError as error:
            reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise StorageError(f"the lock file {name}: {reason}") from error
        _held.add(descriptor)
    return descriptor


def _owner(descriptor: int) -> str:
    """Return which process has written that it holds the lock, or nothing if that cannot be read."""
    try:
        written = os.read(descriptor, _LONGEST_PID).strip()
    except OSError:
        return ""
    return f" (process {written.decode()})" if written.isdigit() else ""


def _lost(name: str, what: str) -> StorageError:
    return StorageError(
        f"{name} {what}, so what is written now would be lost. Stop the worker, put the file back or restore a backup, "
        "and start it again"
    )


def _after_fork() -> None:
    """Close the descriptors in the child, or it would keep the lock when its parent is dead. That releases nothing."""
    while _held:
        os.close(_held.pop())
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_after_fork)
