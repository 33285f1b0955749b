"""The journal in one SQLite file: callers on the event loop, the file in one thread, commits in groups.

What is added, noted and asked to be durable while a commit is under way makes up the next
one; its end acknowledges everybody at once. There is never more than one under way, so a
note that could not be written is simply part of the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..exceptions import ForkedWorkerError, StorageError, WorkerNotRunningError
from ..model.clock import Clock
from ..model.event_loop import is_waiting
from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.status import TaskInfo
from .acknowledgements import Telling
from .argument_prefetch import ArgumentWindow
from .backup import Backups
from .batch import Batch, CommitResult
from .commit_participant import CommitPart, CommitParticipant
from .commit_queue import Backlog, Group
from .connection import Connector, connect
from .database import Store
from .history import find
from .location import DatabaseLocation
from .paging import PageSearch
from .recovery import OpenResult, UnfinishedRows, read_unfinished
from .rows import added_row, noted_rows
from .switch_interval import ShortTurns

logger = logging.getLogger(__name__)

_NOTES_WAIT: Final = 0.005
"""Seconds that notes wait for company: a task's start and its end, or somebody who adds one."""

_RETRY: Final = 1.0
"""Seconds after which notes that could not be written are tried again."""

_PARTING: Final = 0.25
"""Seconds that closing the file may take for cached results which are not in it yet."""


_forks = 0
"""How often this process is a fork of another that had this module."""


class Journal:
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
        place: DatabaseLocation,
        clock: Clock,
        retention: float | None,
        max_history: int | None,
        connector: Connector = connect,
    ) -> None:
        self._store = Store(place, connector)
        self.wall_time = clock.wall
        self._retention = retention
        self._max_history = max_history
        self._window = ArgumentWindow(self.read)
        self._thread: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop
        self._forks = _forks
        self._next_seq = self._first_seq = 1
        self._backlog = Backlog()
        self._telling = Telling()
        self._writing: Group | None = None  # one at a time
        self._scheduled = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None  # for notes that nobody waits for
        self._participants: list[CommitParticipant] = []
        self._backups = Backups(connector)

    def register(self, participant: CommitParticipant) -> None:
        """Let *participant* write rows of its own with each commit. Only while the file is closed."""
        self._participants.append(participant)

    @property
    def is_open(self) -> bool:
        """Whether the file is open, by this process and on a living loop, and not about to be closed."""
        is_open = self._thread is not None and self._forks == _forks and not self._loop.is_closed()
        return is_open and not self._closing

    @property
    def is_forked(self) -> bool:
        """Whether another process, of which this one is a fork, has opened the file."""
        return self._thread is not None and self._forks != _forks

    def storage_error(self) -> StorageError | None:
        """Return an error if the file or its lock file was deleted or replaced since it was opened."""
        return self._store.loss()

    async def open(self) -> OpenResult:
        """Become the owner of the file; what ran when its last owner died is pending again."""
        self._leave()
        self._loop, self._forks = asyncio.get_running_loop(), _forks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="async_task_worker.journal")
        try:
            found: OpenResult = await self._call(self._store.open, self.wall_time())
        except BaseException:
            self._leave()
            raise
        self._next_seq = self._first_seq = found.last_seq + 1
        self._backups.open()
        for participant in self._participants:
            await participant.open(self.read)
        return found

    async def read_unfinished(self, take: Callable[[UnfinishedRows], None]) -> None:
        """Hand *take* what is pending, in parts and in the order of its turns. Only right after opening.

        It is called in the thread of the file: a million rows that went from one processor to
        another would take a quarter longer.
        """
        wanted = True

        def take_on(found: UnfinishedRows) -> bool:
            take(found)
            return wanted

        try:
            await self.read(partial(read_unfinished, take=take_on))
        except BaseException:
            wanted = False  # the thread goes on by itself: have it free soon, to close the file
            raise

    def append(self, record: TaskRecord, *, at_most_once: bool) -> tuple[int, asyncio.Future[None]]:
        """Write down a new task; return its number, and a future that is done when it is durable.

        Who does not wait for that is to :meth:`withdraw` the task.

        Args:
            record: The task.
            at_most_once: Whether it must not run again after its process died.

        Raises:
            NotStorableError: Some part of it cannot be written down. That its id is taken is
                told by the future.
        """
        if self._thread is None or self._forks != _forks:
            self._require_own_process()
        seq = self._next_seq
        row = added_row(record, seq, at_most_once)
        self._next_seq = seq + 1
        durable: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self._backlog.added.append((record, row, durable))
        if not self._scheduled:
            self._schedule()
        return seq, durable

    def withdraw(self, seq: int) -> None:
        """Take out a task that was added, but never acknowledged to anybody: before its id is written anew."""
        self._backlog.withdraw(seq)
        self.schedule_write()

    def record_change(self, record: TaskRecord) -> None:
        """Write down soon how the task is now. Notes of one task are merged."""
        self._backlog.noted[record.id] = record
        if self._timer is None and self._writing is None:
            self.schedule_write()

    def has_written(self, record: TaskRecord) -> bool:
        """Whether nothing that was noted of the task is still to be written."""
        under_way = () if self._writing is None else self._writing.noted
        return record.id not in self._backlog.noted and not any(noted is record for noted in under_way)

    async def flush(self) -> None:
        """Return when everything noted so far is durable."""
        self._require_own_process()
        if not (self._writing or self._backlog or any(one.has_pending for one in self._participants)):
            return
        durable = self._loop.create_future()
        self._backlog.wait(durable)
        self._schedule()
        await durable

    async def flush_quietly(self) -> None:
        """Have everything noted so far written, if that is possible now."""
        with suppress(StorageError):
            await self.flush()

    async def load_arguments(self, record: TaskRecord) -> tuple[list[Any], dict[str, Any]]:
        """Return what a recovered task is to be called with."""
        return await self._window.of(record)

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is written of a task, or None."""
        found: TaskInfo | None = await self.read(partial(find, task_id=task_id))
        return found

    async def search(self, query: TaskQuery, cursors: Cursors, known: Callable[[str], TaskInfo | None]) -> TaskPage:
        """Return a page of what is written, newest first.

        Args:
            query: What is wanted.
            cursors: Reads its cursor, and makes the next one.
            known: Returns the snapshot of a task that need not be read, by its id.
        """
        search = PageSearch(query, cursors)
        while not await self.read(search.find):  # others get their turn in between
            pass
        if search.take_known(known):
            while not await self.read(search.read):
                pass
        return search.page()

    async def read(self, query: Callable[[Any], Any]) -> Any:
        """Return what *query* makes of the connection, in the thread of the file."""
        return await self._call(self._store.read, query)

    async def backup(self, path: Path) -> None:
        """Copy everything durable into a new file."""
        self._require_own_process()
        if not await self._backups.make(path, partial(self._in_thread, self._store.read)):
            raise WorkerNotRunningError("The worker stopped before the backup was complete, so there is none")

    async def close(self) -> None:
        """Write down what is left and let go of the file.

        What could not be written is logged: those tasks are run again at the next start.
        """
        if self._thread is None:
            return
        self._closing = True
        await self._backups.stop()
        try:
            await self.flush_quietly()  # it may fail once
            await self.flush()
        except StorageError:
            logger.exception("The last notes could not be written; tasks that ended just now will run again")
        await self._flush_participants()
        self._telling.finish()
        try:
            await self._call(partial(self._store.close, clean=True))
        finally:
            self._leave()

    async def _flush_participants(self) -> None:
        """Write what participants have left, for a quarter of a second at most."""
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(_PARTING):
                while any(one.is_urgent for one in self._participants):
                    await self.flush()

    def _leave(self) -> None:
        """Forget everything about an earlier time this was open."""
        thread, self._thread = self._thread, None
        self._backups.forget()
        if thread is not None and self._forks == _forks:
            thread.submit(self._store.close, clean=False)  # unless it is closed already
            thread.shutdown()
        if self._timer is not None:
            self._timer.cancel()
        for future in self._backlog.forget():
            if is_waiting(future):
                future.set_exception(StorageError("It was closed before that was written"))
        self._telling.forget()
        self._writing, self._timer, self._scheduled, self._closing = None, None, False, False
        self._window.forget()
        for participant in self._participants:
            participant.close()

    def schedule_write(self) -> None:
        """Have what waits written in a moment, together with whatever comes until then."""
        if self._timer is None and self._writing is None:
            self._timer = self._loop.call_later(_NOTES_WAIT, self._write, context=Context())

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write, context=Context())

    def _write(self) -> None:
        """Hand the thread as much as one commit takes, unless it is at work: then its end does so."""
        if self._writing is not None or self._thread is None or self._forks != _forks:
            return
        self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        parts = [part for one in self._participants if (part := one.next_part()) is not None]
        group = self._backlog.take()
        if not (parts or any(group)):
            return
        self._writing = group
        self._scheduled = True  # until it is done
        commit = self._in_thread(self._store.commit, self._batch(group, parts))
        commit.add_done_callback(partial(self._written, group, parts), context=Context())

    def _batch(self, group: Group, parts: list[CommitPart]) -> Batch:
        moved, ended = noted_rows(group.noted)
        return Batch(
            added=[row for _, row, _ in group.added],
            moved=moved,
            ended=ended,
            withdrawn=group.withdrawn,
            expired=None if self._retention is None else self.wall_time() - self._retention,
            keep=self._max_history,
            forgotten_from=self._first_seq,
            parts=parts,
        )

    def _written(self, group: Group, parts: list[CommitPart], commit: asyncio.Future[CommitResult]) -> None:
        """Begin with the next group, then tell the callers of this one."""
        error = commit.exception()
        if self._writing is group:  # else the file was closed meanwhile
            self._writing, self._scheduled = None, False
            for part in parts:
                part.finish(error if error is not None else commit.result().parts_error)
            if error is not None:
                self._backlog.take_back(group)
            self._go_on(error)
        self._telling.tell(self._loop, group, error, set() if error is not None else commit.result().duplicate_seqs)

    def _go_on(self, error: BaseException | None) -> None:
        """Write what somebody waits for; leave the rest some time for company, and more of it after a failure."""
        if self._backlog.is_awaited or (error is None and self._backlog.is_long):
            self._write()
        elif error is not None:
            self._timer = self._loop.call_later(_RETRY, self._write, context=Context())
        elif self._backlog or any(one.is_urgent for one in self._participants):
            self._timer = self._loop.call_later(_NOTES_WAIT, self._write, context=Context())

    def _require_own_process(self) -> None:
        if self._thread is None:
            raise StorageError("It is not open")
        if self._forks != _forks:
            raise ForkedWorkerError

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        self._require_own_process()
        return await self._in_thread(function, *args)

    def _in_thread(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run what blocks in the thread of the file, which a busy loop shall not keep waiting."""
        turns = ShortTurns()
        try:
            thread = self._backups.executor(self._thread)
            work = Context().run(self._loop.run_in_executor, thread, _in_short_turns, turns, function, args)
        except BaseException:
            turns.end()
            raise
        # it may have been called off before it began
        work.add_done_callback(lambda _: turns.end(), context=Context())
        return work


def _in_short_turns(turns: ShortTurns, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return function(*args)
    finally:
        turns.end()


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - it is about the process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)
