"""Copying the file while it is in use: some pages at a time, on the connection that writes.

SQLite passes on to a copy what the same connection writes in between. From another
connection, each commit would make the copy begin anew, and under load it would never end.
So between two steps, the thread of the file does whatever else it was asked to.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageError
from .connection import Connector, explained

PAGES: Final = 64
"""Pages (256 KiB) that are copied at a time: less than a millisecond."""

_SYNC_EVERY: Final = 8
"""Steps (2 MiB) after which the copy is written to the disk: a commit may have to wait for what is not."""

Run = Callable[[Callable[[Any], Any]], "asyncio.Future[Any]"]
"""Calls a function with the connection, in the thread of the file."""


class Backups:
    """Makes backups, one after another; for one event loop at a time.

    Args:
        connect: Makes a connection to a copy.
    """

    def __init__(self, connect: Connector) -> None:
        self._connect = connect
        self._current: Backup | None = None
        self._copying: asyncio.Future[bool] | None = None
        self._is_open = False
        self._rest: asyncio.Future[Any] | None = None

    def open(self) -> None:
        """Begin to take orders on the running event loop."""
        self._turn = asyncio.Lock()
        self._is_open = True

    def executor(self, thread: Executor | None) -> Any:
        """Return what runs calls in the thread of the file: *thread*, or the copy that is using it."""
        return thread if self._current is None else self._current

    async def make(self, path: Path, run: Run) -> bool:
        """Make a backup; return False if none was made because the file is about to be closed.

        Raises:
            StorageError: There is a file already, or the copy cannot be written.
        """
        async with self._turn:
            if not self._is_open:
                return False
            backup = Backup(path, self._connect)
            try:
                if not await self._copied(backup, run):
                    return False
                await _to_the_end(asyncio.get_running_loop().run_in_executor(None, backup.publish))
            finally:
                backup.discard()
        return True

    async def stop(self) -> None:
        """Give up a copy that is under way and take no more orders."""
        self._is_open = False
        if self._current is not None and self._copying is not None:
            self._current.stop()
            await asyncio.wait([self._copying])

    def forget(self) -> None:
        """Leave what is left to the thread: the event loop may be closed."""
        self._is_open = False
        if self._current is not None:
            self._current.stop()
        self._current = self._copying = None

    async def _copied(self, backup: Backup, run: Run) -> bool:
        def hand_over(_: object) -> None:
            if self._current is backup:
                self._current = self._copying = None
                self._rest = run(lambda _: backup.run_submitted())  # what was submitted after the last step

        self._copying = copying = run(backup.copy)
        self._current = backup
        copying.add_done_callback(hand_over, context=Context())
        return bool(await _to_the_end(copying, backup.stop))


async def _to_the_end(work: asyncio.Future[Any], stop: Callable[[], None] = lambda: None) -> Any:
    """Return the result of work in a thread; if this is cancelled, wait for that to end, since it cannot be cut off."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # nobody is told
        raise


class Backup:
    """A copy of the file that is being made. It is found at its path when it is complete, and not before.

    Args:
        path: Where the copy is to be, and nothing is yet.
        connect: Makes a connection to it.

    Raises:
        StorageError: There is a file already, or none can be made.
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
            descriptor, self._partial = tempfile.mkstemp(".partial", f".{path.name}.", path.parent)
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            raise explained(error, path) from error
        os.close(descriptor)

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Call the function in the thread of the file before the next step."""
        future: Future[Any] = Future()
        self._calls.append((future, function, args))
        return future

    def stop(self) -> None:
        """Have the copy given up before the next step. May be called from any thread."""
        self._is_stopped = True

    def copy(self, source: Any) -> bool:
        """Copy everything, and do what is submitted between the steps; return False if it was stopped."""
        target = None
        try:
            target = self._connect(Path(self._partial))
            target.execute("PRAGMA synchronous = OFF").fetchall()  # it is written to the disk when it is whole
            target.execute("PRAGMA journal_mode = OFF").fetchall()
            source.backup(target, pages=PAGES, progress=self._between, sleep=0)
        except _Stopped:
            return False
        except (OSError, sqlite3.Error) as error:  # OSError: the copy was deleted, or does not reach the disk
            raise explained(error, self._path) from error
        finally:
            if target is not None:
                target.close()
        return True

    def run_submitted(self) -> None:
        """Do what was submitted, in the thread of the file."""
        while self._calls:
            future, function, args = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)
            else:
                future.set_result(result)

    def publish(self) -> None:
        """Write the copy to the disk and give it its name, unless a file of that name has appeared."""
        try:
            _synchronize(self._partial)
            _rename(self._partial, self._path)
            with suppress(OSError):  # not every system opens folders
                _synchronize(self._path.parent, os.O_RDONLY)
        except FileExistsError:
            raise _exists(self._path) from None
        except OSError as error:
            raise explained(error, self._path) from error

    def discard(self) -> None:
        """Delete what there is of the copy, unless it has been published."""
        with suppress(OSError):
            os.unlink(self._partial)  # noqa: PTH108

    def _between(self, _status: int, _remaining: int, _total: int) -> None:
        self._steps += 1
        if not self._steps % _SYNC_EVERY:
            self.run_submitted()
            _synchronize(self._partial)
        self.run_submitted()
        if self._is_stopped:
            raise _Stopped


class _Stopped(Exception):  # noqa: N818 - it is no error
    """Ends a copy that is given up."""


def _exists(path: Path) -> StorageError:
    return StorageError(f"{path} exists already, and a backup overwrites nothing. Choose another name")


def _synchronize(name: str | Path, flags: int = os.O_RDWR) -> None:
    descriptor = os.open(name, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(name: str, path: Path) -> None:
    """Give the file its name; FileExistsError if another has it."""
    if os.name == "nt":
        os.rename(name, path)  # noqa: PTH104 - there it overwrites nothing
        return
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        os.rename(name, path)  # noqa: PTH104
    else:
        os.unlink(name)  # noqa: PTH108
