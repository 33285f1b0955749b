"""The journal: tasks in one SQLite file, used from the event loop without blocking it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..exceptions import StorageError, WorkerNotRunningError
from ..model.clock import Clock
from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.status import TaskInfo
from .argument_prefetch import ArgumentPrefetch
from .backup import Backups
from .batch import Batch
from .commit_participant import CommitPart, CommitParticipant
from .commit_queue import CommitGroup
from .connection import Connector, connect
from .database import Database
from .database_thread import DatabaseThread
from .group_commit import GroupCommit
from .history import find
from .location import DatabaseLocation
from .paging import PageSearch
from .recovery import OpenResult
from .rows import insert_row, update_rows
from .unfinished_rows import UnfinishedRows, read_unfinished

logger = SafeLogger(__name__)

_CLOSE_GRACE: Final = 0.25
"""Seconds that closing the file waits for rows of participants that are not written yet."""

Appended = tuple[int, asyncio.Future[None]]
"""The sequence number of a new task, and the future that is resolved when it is committed."""


class Journal:
    """Writes tasks to one file, and reads them back. While it is open it is the only owner of the file.

    Args:
        location: The file and its options.
        clock: The source of time.
        retention: Seconds a finished task stays in the file; None for ever.
        max_history: Number of finished tasks that stay in the file; None for all.
        connector: Opens the connection.
    """

    def __init__(
        self,
        location: DatabaseLocation,
        clock: Clock,
        retention: float | None,
        max_history: int | None,
        connector: Connector = connect,
    ) -> None:
        self.wall_time = clock.wall
        self._retention = retention
        self._max_history = max_history
        self._thread = DatabaseThread()
        self._database = Database(location, connector)
        self._commits = GroupCommit(self._thread, self._database.commit, self._make_batch)
        self._arguments = ArgumentPrefetch(self.read)
        self._backups = Backups(self._thread, self._database.read, connector)
        self._next_seq = self._first_seq = 1
        self._is_closing = False

    def register(self, participant: CommitParticipant) -> None:
        """Let *participant* write rows of its own in each commit. Only while the file is closed."""
        self._commits.participants.append(participant)

    @property
    def is_open(self) -> bool:
        """Whether the file is open, in this process and on a loop that is not closed, and not being closed."""
        return self._thread.is_usable and not self._is_closing

    @property
    def is_forked(self) -> bool:
        """Whether the file was opened by another process, of which this one is a fork."""
        return self._thread.is_forked

    def storage_error(self) -> StorageError | None:
        """Return an error if the file or its lock file was deleted or replaced since it was opened."""
        return self._database.storage_error()

    # Open and close

    async def open(self) -> OpenResult:
        """Take ownership of the file and recover the tasks that ran when its last owner died.

        Raises:
            StorageInUseError: Another worker owns the file.
            StorageDamagedError: It is not an intact database of this package.
            StorageError: It cannot be opened or created.
        """
        self._reset()
        self._thread.start()
        try:
            opened: OpenResult = await self._thread.run(self._database.open, self.wall_time())
        except BaseException:
            self._reset()
            raise
        self._next_seq = self._first_seq = opened.last_seq + 1
        self._backups.open()
        for participant in self._commits.participants:
            await participant.open(self.read)
        return opened

    async def close(self, *, clean: bool = True) -> None:
        """Write what is left and close the file.

        Updates that cannot be written are logged: those tasks run again after the next start.

        Args:
            clean: Whether no task in the file can be what killed an earlier process; else the next
                owner also finds an unclean shutdown.
        """
        if not self._thread.is_started:
            return
        self._is_closing = True
        await self._backups.stop()
        try:
            await self.flush_quietly()  # one failed commit is retried by the next line
            await self.flush()
        except StorageError:
            logger.exception("The last updates could not be written; tasks that ended just now will run again")
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(_CLOSE_GRACE):
                await self._commits.flush_participants()
        self._commits.acknowledge_all()
        try:
            self._thread.check()
            await self._thread.run(partial(self._database.close, clean=clean))
        finally:
            self._reset()

    def _reset(self) -> None:
        """Discard all state of an earlier opening, and close the file if it is still open."""
        self._backups.discard()
        self._thread.stop(partial(self._database.close, clean=False))
        self._commits.reset()
        self._arguments.clear()
        for participant in self._commits.participants:
            participant.close()
        self._is_closing = False

    # Write

    def append(self, record: TaskRecord, *, at_most_once: bool) -> Appended:
        """Queue a new task to be written.

        Args:
            record: The task.
            at_most_once: Whether it must not run again after its process died.

        Returns:
            Its sequence number, and a future that is resolved when it is committed. That raises
            DuplicateTaskError if the id exists in the file, and StorageError if the commit failed.
            A caller that stops waiting for it has to :meth:`withdraw` the task.

        Raises:
            NotStorableError: Some part of the task cannot be stored.
        """
        self._thread.check()
        seq = self._next_seq
        row = insert_row(record, seq, at_most_once)
        self._next_seq = seq + 1
        return seq, self._commits.insert(record, row)

    def withdraw(self, seq: int) -> None:
        """Delete a task that was appended but never acknowledged, before a task of the same id is written."""
        self._commits.queue.withdraw(seq)
        self._commits.schedule_write()

    def record_change(self, record: TaskRecord) -> None:
        """Write the current state of a task within milliseconds. Several changes of one task are merged."""
        self._commits.update(record)

    def has_written(self, record: TaskRecord) -> bool:
        """Whether every recorded change of the task is committed."""
        return self._commits.is_committed(record)

    def schedule_write(self) -> None:
        """Start a commit within milliseconds, for the pending rows of a participant."""
        self._commits.schedule_write()

    async def flush(self) -> None:
        """Return when everything recorded so far is committed.

        Raises:
            StorageError: The file is not open, or a commit failed.
        """
        self._thread.check()
        await self._commits.flush()

    async def flush_quietly(self) -> None:
        """Commit everything recorded so far if that is possible now; a failure is ignored."""
        with suppress(StorageError):
            await self.flush()

    def _make_batch(self, group: CommitGroup, parts: list[CommitPart]) -> Batch:
        updated, finished = update_rows(group.updates)
        return Batch(
            inserted=[row for _, row, _ in group.inserts],
            updated=updated,
            finished=finished,
            withdrawn=group.withdrawn,
            finished_before=None if self._retention is None else self.wall_time() - self._retention,
            max_history=self._max_history,
            first_seq=self._first_seq,
            parts=parts,
        )

    # Read

    async def read(self, query: Callable[[Any], Any]) -> Any:
        """Call *query* with the database connection in the journal's thread and return its result."""
        self._thread.check()
        return await self._thread.run(self._database.read, query)

    async def read_unfinished(self, consume: Callable[[UnfinishedRows], None]) -> None:
        """Pass all pending tasks to *consume*, in chunks, in the order they are to start. Only right after opening.

        *consume* is called in the journal's thread: passing a million rows on to the thread of the
        event loop would take a quarter longer.
        """
        is_wanted = True

        def consume_until_cancelled(rows: UnfinishedRows) -> bool:
            consume(rows)
            return is_wanted

        try:
            await self.read(partial(read_unfinished, consume=consume_until_cancelled))
        except BaseException:
            is_wanted = False  # cancelling this does not stop the thread, which has to close the file soon
            raise

    async def load_arguments(self, record: TaskRecord) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments of a restored task."""
        return await self._arguments.load(record)

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return the stored snapshot of a task, or None if there is no such task."""
        info: TaskInfo | None = await self.read(partial(find, task_id=task_id))
        return info

    async def search(self, query: TaskQuery, cursors: Cursors, known: Callable[[str], TaskInfo | None]) -> TaskPage:
        """Return a page of stored tasks, newest first.

        Args:
            query: The filters, the limit and the cursor.
            cursors: Decodes the cursor and makes the next one.
            known: Returns the snapshot of a task that is in memory, by its id; else None.
        """
        search = PageSearch(query, cursors)
        while not await self.read(search.find):  # between two calls, the thread does other work
            pass
        if search.take_known(known):
            while not await self.read(search.read):
                pass
        return search.page()

    async def backup(self, path: Path) -> None:
        """Copy everything committed so far into a new file.

        Raises:
            StorageError: The file exists, or the copy cannot be written.
            WorkerNotRunningError: The worker stopped before the copy was complete.
        """
        self._thread.check()
        if not await self._backups.make(path):
            raise WorkerNotRunningError("The worker stopped before the backup was complete. No backup was written")
