"""The journal in one SQLite file: callers on the event loop, the file in one thread, commits in groups.

What is added, noted and asked to be durable while a commit is under way makes up the next
one; its end acknowledges everybody at once. There is never more than one under way, so a
note that could not be written is simply part of the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..clock import Clock
from ..exceptions import DuplicateTaskError, ForkedWorkerError, JournalError
from ..loops import still_awaited
from ..record import TaskRecord
from ..registry import is_idempotent
from ..search import TaskPage, TaskQuery
from ..status import NEXT, TaskInfo
from .base import Batch, Committed, Opened
from .cached import CacheChanges, read_rows
from .connection import Connect, connect
from .history import find, search
from .outgoing import Entry
from .place import Place
from .recovery import read_unfinished
from .results import SqliteCacheAdapter
from .rows import Row, added_row, ended_row, moved_row
from .store import Store
from .window import ArgumentWindow

logger = logging.getLogger(__name__)

_NOTES_WAIT: Final = 0.005
"""Seconds that notes wait for company: a task's start and its end, or somebody who adds one."""

_RETRY: Final = 1.0
"""Seconds after which notes that could not be written are tried again."""

_PARTING: Final = 0.25
"""Seconds that closing the file may take for cached results which are not in it yet."""

_CHUNK: Final = 10_000
"""Unfinished tasks read at a time when the file is opened."""


Arrival = tuple[TaskRecord, Row, "asyncio.Future[None]"]


class _Group(NamedTuple):
    """What one commit is about: it is taken back, or told to those who wait for it."""

    added: list[Arrival]
    noted: tuple[TaskRecord, ...]
    waiting: list[asyncio.Future[None]]
    withdrawn: list[int]
    cached: tuple[CacheChanges, list[Entry]] | None


class SqliteJournal:
    """Writes tasks into one file, of which it is the only owner while it is open.

    Args:
        place: Where the file lies and how it is to be kept.
        clock: The source of time.
        retention: Seconds a finished task stays in the file; None for ever.
        max_history: How many finished tasks stay there; None for all.
        connector: Makes the connection.
    """

    def __init__(
        self,
        place: Place,
        clock: Clock,
        retention: float | None,
        max_history: int | None,
        connector: Connect = connect,
    ) -> None:
        self._store = Store(place, connector)
        self._wall = clock.wall
        self._retention = retention
        self._max_history = max_history
        self._window = ArgumentWindow(self.read)
        self._thread: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop
        self._pid = 0
        self._next_seq = self._first_seq = 1
        self._added: list[Arrival] = []
        self._noted: dict[str, TaskRecord] = {}
        self._withdrawn: list[int] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._writing: asyncio.Future[Committed] | None = None
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None  # for notes that nobody waits for
        self._cache: SqliteCacheAdapter | None = None

    def cache(self, max_size: int | None) -> SqliteCacheAdapter:
        """Return a cache of so many results that are kept in this file, too; None for any number."""
        self._cache = SqliteCacheAdapter(self, max_size, self._wall)
        return self._cache

    @property
    def is_open(self) -> bool:
        """Whether the file is open, by this process and on a living loop."""
        return self._thread is not None and self._pid == os.getpid() and not self._loop.is_closed()

    async def open(self) -> Opened:
        """Become the owner of the file; what ran when its last owner died is pending again."""
        self._leave()
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="async_task_worker.journal")
        try:
            found: Opened = await self._call(self._store.open, self._wall())
        except BaseException:
            self._leave()
            raise
        self._next_seq = self._first_seq = found.last_seq + 1
        if self._cache is not None:
            try:
                self._cache.load(await self.read(read_rows))
            except JournalError as error:  # tasks do without it
                self._cache.condemn(error)
        return found

    async def unfinished(self) -> AsyncIterator[list[Row]]:
        """Iterate, in parts, over what is pending, in the order of its turns. Only right after opening."""
        last: tuple[int, int] | None = None
        while rows := await self.read(partial(read_unfinished, after=last, limit=_CHUNK)):
            last = rows[-1][3], rows[-1][0]
            yield rows

    def append(self, record: TaskRecord) -> tuple[int, asyncio.Future[None]]:
        """Write down a new task; return its number, and a future that is done when it is durable.

        If the future is cancelled before, the task is taken out again; later, :meth:`withdraw` does so.

        Raises:
            NotStorableError: Some part of it cannot be written down. That its id is taken is
                told by the future.
        """
        self._require_own_process()
        seq = self._next_seq
        row = added_row(record, seq, not is_idempotent(record.function.name))
        self._next_seq += 1
        future = self._loop.create_future()
        self._added.append((record, row, future))
        self._schedule()
        return seq, future

    def withdraw(self, seq: int) -> None:
        """Take out soon a task that was added, but never acknowledged to anybody."""
        self._withdrawn.append(seq)
        self.write_soon()

    def note(self, record: TaskRecord) -> None:
        """Write down soon how the task is now. Notes of one task are merged."""
        self._noted[record.id] = record
        self.write_soon()

    async def flush(self) -> None:
        """Return when everything noted so far is durable."""
        self._require_own_process()
        cached = self._cache is not None and self._cache.pending
        if not (self._writing or self._noted or self._added or self._withdrawn or cached):
            return
        durable = self._loop.create_future()
        self._waiting.append(durable)
        self._schedule()
        await durable

    async def catch_up(self) -> None:
        """Have everything noted so far written, if that is possible now."""
        with suppress(JournalError):
            await self.flush()

    async def arguments(self, record: TaskRecord) -> tuple[list[Any], dict[str, Any]]:
        """Return what a recovered task is to be called with."""
        return await self._window.of(record)

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is written of a task, or None."""
        found: TaskInfo | None = await self.read(partial(find, task_id=task_id))
        return found

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return a page of what is written, newest first."""
        page: TaskPage = await self.read(partial(search, query=query))
        return page

    async def read(self, query: Callable[[Any], Any]) -> Any:
        """Return what *query* makes of the connection, in the thread of the file."""
        return await self._call(self._store.read, query)

    async def back_up(self, path: Path) -> None:
        """Copy everything durable into a new file."""
        await self._call(self._store.back_up, path)

    async def close(self) -> None:
        """Write down what is left and let go of the file.

        What could not be written is logged: those tasks are run again at the next start.
        """
        if self._thread is None:
            return
        try:
            await self.flush()
        except JournalError:
            logger.exception("The last notes could not be written; tasks that ended just now will run again")
        await self._write_cached()
        try:
            await self._call(partial(self._store.close, clean=True))
        finally:
            self._leave()

    async def _write_cached(self) -> None:
        """Write what is left of cached results, as far as that takes no time worth mentioning."""
        with suppress(JournalError, TimeoutError):
            async with asyncio.timeout(_PARTING):
                while self._cache is not None and self._cache.waits:
                    await self.flush()

    def _leave(self) -> None:
        """Forget everything about an earlier time this was open."""
        thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            thread.submit(self._store.close, clean=False)  # unless it is closed already
            thread.shutdown()
        if self._timer is not None:
            self._timer.cancel()
        for _, _, future in self._added:
            if still_awaited(future):
                future.cancel()
        self._added, self._waiting, self._withdrawn = [], [], []
        self._noted = {}
        self._writing, self._timer, self._scheduled = None, None, False
        self._window.forget()
        if self._cache is not None:
            self._cache.forget()

    def write_soon(self) -> None:
        """Have what waits written in a moment, together with whatever comes until then."""
        if self._timer is None and self._writing is None:
            self._timer = self._loop.call_later(_NOTES_WAIT, self._write)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Hand everything there is to the thread, unless it is at work: then its end does so."""
        if self._writing is not None or self._thread is None or self._pid != os.getpid():
            return
        self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        added = [arrival for arrival in self._added if not arrival[2].cancelled()]
        cached = None if self._cache is None else self._cache.take()
        group = _Group(added, tuple(self._noted.values()), self._waiting, self._withdrawn, cached)
        if not any(group):
            return
        self._added, self._noted, self._waiting, self._withdrawn = [], {}, [], []
        self._writing = self._loop.run_in_executor(self._thread, self._store.commit, self._batch(group))
        self._writing.add_done_callback(partial(self._written, group))
        self._scheduled = True  # until it is done

    def _batch(self, group: _Group) -> Batch:
        return Batch(
            added=[row for _, row, _ in group.added],
            moved=[moved_row(record) for record in group.noted if NEXT[record.status]],
            ended=[ended_row(record) for record in group.noted if not NEXT[record.status]],
            withdrawn=group.withdrawn,
            expired=None if self._retention is None else self._wall() - self._retention,
            keep=self._max_history,
            forgotten_from=self._first_seq,
            cached=None if group.cached is None else group.cached[0],
        )

    def _written(self, group: _Group, writing: asyncio.Future[Committed]) -> None:
        """Begin with the next group, then tell the callers of this one."""
        self._writing, self._scheduled = None, False
        error = writing.exception()
        if self._cache is not None and group.cached is not None:
            self._cache.written(*group.cached, error if error is not None else writing.result().uncached)
        self._withdrawn += [row[0] for _, row, future in group.added if future.cancelled()]
        if error is not None:
            self._take_back(group)
        elif self._noted or self._withdrawn or (self._cache is not None and self._cache.waits):
            self._timer = self._loop.call_later(_NOTES_WAIT, self._write)
        if self._added or self._waiting:
            self._write()
        self._tell(group, error, set() if error is not None else writing.result().taken)

    def _tell(self, group: _Group, error: BaseException | None, taken: set[int]) -> None:
        for record, (seq, *_), future in group.added:
            if not still_awaited(future):
                continue
            if seq in taken:
                future.set_exception(DuplicateTaskError(repr(record.id), task_id=record.id))
            else:
                _tell(future, error)
        for future in group.waiting:
            if still_awaited(future):
                _tell(future, error)

    def _take_back(self, group: _Group) -> None:
        """Keep for the next group what nobody is told the failure of."""
        for record in group.noted:
            self._noted.setdefault(record.id, record)
        self._withdrawn[:0] = group.withdrawn
        self._timer = self._loop.call_later(_RETRY, self._write)

    def _require_own_process(self) -> None:
        if self._thread is None:
            raise JournalError("It is not open")
        if self._pid != os.getpid():
            raise ForkedWorkerError

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        self._require_own_process()
        return await self._loop.run_in_executor(self._thread, function, *args)


def _tell(future: asyncio.Future[None], error: BaseException | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
