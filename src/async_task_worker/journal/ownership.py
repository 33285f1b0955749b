"""Ownership of a database: a lock file beside it, and a check that both files are still in place.

SQLite's own locks are POSIX locks, which a process loses as soon as it opens and closes the
database for any other reason, such as a checksum. The lock on the lock file's own descriptor is
kept until that descriptor is closed, or until the process ends in any way.

The lock file is never deleted: otherwise a process that waits for the old one and a process that
creates a new one would both own the database.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import lock_descriptor

from ..exceptions import StorageError, StorageInUseError
from ..model.safe_logger import SafeLogger

logger = SafeLogger(__name__)

SUFFIX: Final = ".lock"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_MAX_PID_LENGTH: Final = 20

_lock_descriptors: Final[set[int]] = set()  # open descriptors of lock files
_fork_guard = threading.RLock()  # no fork may come between the opening of one and its insertion into the set


class Ownership:
    """The lock that makes this process the only owner of a database, held until it is released.

    Args:
        path: The database, as the user named it.

    Attributes:
        database: *path* with symbolic links resolved.
        is_lost: Whether the last check found that a file was deleted or replaced.

    Raises:
        StorageInUseError: Another worker owns the database, in this process or in another.
        StorageError: It has hard links, or the lock file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        self.is_lost = False
        self.database = os.path.realpath(path)
        self._lock_file = self.database + SUFFIX
        self._watched: list[tuple[str, int, int]] = []
        self._refuse_hard_links()
        self._descriptor: int | None = self._open_locked()
        with suppress(OSError):  # for example on a full disk; the process id is only for error messages
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        self.watch(self._lock_file)

    def watch(self, name: str) -> None:
        """Include a file in the checks from now on."""
        stat = os.stat(name)  # noqa: PTH116 - this runs for each commit, and Path.stat takes twice as long
        self._watched.append((name, stat.st_ino, stat.st_dev))

    def check(self) -> None:
        """Raise StorageError if a watched file was deleted or replaced. The first such check is logged."""
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
                stat = os.stat(name)  # noqa: PTH116 - as in watch()
            except OSError as error:
                return _lost(name, f"cannot be found any more ({error.strerror})")
            if stat.st_ino != inode or stat.st_dev != device:
                return _lost(name, "was replaced by another file")
        return None

    def release(self) -> None:
        """Release the lock, so that others can own the database. The lock file stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._process != os.getpid():  # after a fork, _after_fork has closed it
            return
        with _fork_guard:
            _lock_descriptors.discard(descriptor)
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _refuse_hard_links(self) -> None:
        """Raise StorageError if the database has hard links: each name would have a lock file of its own."""
        names = Path(self.database).stat().st_nlink
        if names > 1:
            raise StorageError(
                f"{self._path} has {names} names (hard links). A worker that opens it by another name would not "
                f"find the lock of this one. Delete the other names, or copy the file and open the copy"
            )

    def _open_locked(self) -> int:
        """Open the lock file, lock it and return its descriptor."""
        descriptor = _open(self._lock_file)
        try:
            self._lock(descriptor)
        except BaseException as error:
            with _fork_guard:
                _lock_descriptors.discard(descriptor)
                os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise StorageError(f"{self._lock_file}: {error.strerror}") from error
            raise
        return descriptor

    def _lock(self, descriptor: int) -> None:
        if not lock_descriptor(descriptor, blocking=False):
            raise StorageInUseError(f"{self._path}{_owner(descriptor)}")
        if not os.path.samestat(os.fstat(descriptor), Path(self._lock_file).stat()):
            raise StorageInUseError(f"{self._path} (its lock file was replaced while it was being locked)")


def _open(name: str) -> int:
    with _fork_guard:
        try:
            descriptor = os.open(name, _FLAGS, 0o600)
        except OSError as error:
            reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise StorageError(f"the lock file {name}: {reason}") from error
        _lock_descriptors.add(descriptor)
    return descriptor


def _owner(descriptor: int) -> str:
    """Return the process id in the lock file, as a part of a message; empty if there is none."""
    try:
        written = os.read(descriptor, _MAX_PID_LENGTH).strip()
    except OSError:
        return ""
    return f" (process {written.decode()})" if written.isdigit() else ""


def _lost(name: str, what: str) -> StorageError:
    return StorageError(
        f"{name} {what}, so anything written now would be lost. Stop the worker, put the file back or restore a "
        "backup, and start the worker again"
    )


def _after_fork() -> None:
    """Close the descriptors in the child, which would otherwise hold the lock after its parent has ended.

    That does not release the lock: the parent has a descriptor of the same open file.
    """
    while _lock_descriptors:
        os.close(_lock_descriptors.pop())
    _fork_guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_fork_guard.acquire, after_in_parent=_fork_guard.release, after_in_child=_after_fork)
