"""Backups: copies of the database made while it is in use, a few pages at a time.

SQLite applies to a copy what the same connection writes in the meantime. A commit on another
connection would make the copy start again, and under load it would never end. So the journal's
thread copies on its own connection, and does other calls between two steps.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageError
from .connection import Connector, translate_error
from .database_thread import DatabaseThread

PAGES: Final = 64
"""Pages (256 KiB) that one step copies: that takes less than a millisecond."""

_SYNC_EVERY: Final = 8
"""Steps (2 MiB) after which the copy is flushed to the disk: a commit may have to wait for unflushed data."""


class Backups:
    """Makes backups, one after another; for one event loop at a time.

    Args:
        thread: The journal's thread.
        read: Calls a function with the connection; called in the thread.
        connect: Opens a connection to a copy.
    """

    def __init__(self, thread: DatabaseThread, read: Callable[[Callable[[Any], Any]], Any], connect: Connector) -> None:
        self._thread = thread
        self._read = read
        self._connect = connect
        self._current: Backup | None = None
        self._copying: asyncio.Future[bool] | None = None
        self._remaining_calls: asyncio.Future[Any] | None = None
        self._is_open = False

    def open(self) -> None:
        """Accept backups on the running event loop."""
        self._turn = asyncio.Lock()
        self._is_open = True

    async def make(self, path: Path) -> bool:
        """Make a backup; return False if none was made because the file is about to be closed.

        Raises:
            StorageError: *path* exists, or the copy cannot be written.
        """
        async with self._turn:
            if not self._is_open:
                return False
            backup = Backup(path, self._connect)
            try:
                if not await self._copy(backup):
                    return False
                await _finish(asyncio.get_running_loop().run_in_executor(None, backup.publish))
            finally:
                backup.discard()
        return True

    async def stop(self) -> None:
        """Stop the backup that is being made and accept no more."""
        self._is_open = False
        if self._current is not None and self._copying is not None:
            self._current.stop()
            await asyncio.wait([self._copying])

    def discard(self) -> None:
        """Stop the backup that is being made, without waiting for it: the event loop may be closed."""
        self._is_open = False
        if self._current is not None:
            self._current.stop()
        self._current = self._copying = self._thread.delegate = None

    async def _copy(self, backup: Backup) -> bool:
        def end(_: object) -> None:
            if self._current is backup:
                self._current = self._copying = self._thread.delegate = None
                self._remaining_calls = self._thread.run(self._read, lambda _: backup.run_calls())

        self._copying = copying = self._thread.run(self._read, backup.copy)
        self._current = self._thread.delegate = backup
        copying.add_done_callback(end, context=Context())
        return bool(await _finish(copying, backup.stop))


async def _finish(work: asyncio.Future[Any], stop: Callable[[], None] = lambda: None) -> Any:
    """Return the result of work in a thread. If this is cancelled, call *stop* and wait until the work has ended."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # marks an error as retrieved: the caller gets the cancellation instead
        raise


class Backup:
    """A copy of the database. It appears at its path when it is complete, and not before.

    While the copy is made, this is the executor of other calls in the same thread.

    Args:
        path: The path of the copy, where no file exists.
        connect: Opens a connection to the copy.

    Raises:
        StorageError: The path exists, or a file cannot be created beside it.
    """

    def __init__(self, path: Path, connect: Connector) -> None:
        self._path = path
        self._connect = connect
        self._calls: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._is_stopped = False
        self._steps = 0
        if os.path.lexists(path):
            raise _exists(path)
        try:
            descriptor, partial = tempfile.mkstemp(".partial", f".{path.name}.", path.parent)
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            raise translate_error(error, path) from error
        os.close(descriptor)
        self._partial = Path(partial)

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Call the function in the journal's thread before the next step."""
        future: Future[Any] = Future()
        self._calls.append((future, function, args))
        return future

    def stop(self) -> None:
        """Stop before the next step. May be called from any thread."""
        self._is_stopped = True

    def copy(self, source: Any) -> bool:
        """Copy all pages, and run submitted calls between the steps; return False if it was stopped."""
        target = None
        try:
            target = self._connect(self._partial)
            target.execute("PRAGMA synchronous = OFF").fetchall()  # publish() flushes the complete copy
            target.execute("PRAGMA journal_mode = OFF").fetchall()
            source.backup(target, pages=PAGES, progress=self._progress, sleep=0)
        except _Stopped:
            return False
        except (OSError, sqlite3.Error) as error:  # OSError: the copy was deleted, or does not reach the disk
            raise translate_error(error, self._path) from error
        finally:
            if target is not None:
                target.close()
        return True

    def run_calls(self) -> None:
        """Run the submitted calls, in the journal's thread."""
        while self._calls:
            future, function, args = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)

    def publish(self) -> None:
        """Flush the copy to the disk and rename it to its path, unless a file exists there by now."""
        try:
            _sync(self._partial)
            _rename(self._partial, self._path)
            with suppress(OSError):  # not every system can open folders
                _sync(self._path.parent, os.O_RDONLY)
        except FileExistsError:
            raise _exists(self._path) from None
        except OSError as error:
            raise translate_error(error, self._path) from error

    def discard(self) -> None:
        """Delete the copy unless it was published."""
        with suppress(OSError):
            self._partial.unlink()

    def _progress(self, _status: int, _remaining: int, _total: int) -> None:
        self._steps += 1
        if not self._steps % _SYNC_EVERY:
            self.run_calls()
            _sync(self._partial)
        self.run_calls()
        if self._is_stopped:
            raise _Stopped


class _Stopped(Exception):  # noqa: N818 - it is not an error
    """Ends a copy that was stopped."""


def _exists(path: Path) -> StorageError:
    return StorageError(f"{path} exists already, and a backup does not overwrite files. Choose another name")


def _sync(path: Path, flags: int = os.O_RDWR) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(partial: Path, path: Path) -> None:
    """Rename a file; raise FileExistsError if the new name exists."""
    if os.name == "nt":
        partial.rename(path)  # does not overwrite on Windows
        return
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        partial.rename(path)
    else:
        partial.unlink()
