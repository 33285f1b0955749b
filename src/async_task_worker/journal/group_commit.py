"""Group commit: everything that is queued while one commit runs is written by the next one.

There is at most one commit at a time, so an update that could not be written simply becomes
part of a later one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final

from ..exceptions import StorageError
from ..model.event_loop import is_waiting
from ..model.record import TaskRecord
from .acknowledgements import Acknowledgements
from .batch import Batch, CommitResult
from .commit_participant import CommitPart, CommitParticipant
from .commit_queue import CommitGroup, CommitQueue
from .database_thread import DatabaseThread

if TYPE_CHECKING:
    from .rows import Row

_COALESCE_DELAY: Final = 0.005
"""Seconds that updates wait for others: for the end of a task after its start, or for a caller who adds a task."""

_RETRY_INTERVAL: Final = 1.0
"""Seconds until updates are tried again after a failed commit that no caller waits for."""


class GroupCommit:
    """Schedules commits and acknowledges them; for one event loop at a time.

    Args:
        thread: The thread that commits.
        commit: Writes a batch; called in the thread.
        make_batch: Makes the batch of what one commit writes, on the event loop.

    Attributes:
        queue: What the next commits write.
        participants: Owners of other rows that are written in the same transactions.
    """

    def __init__(
        self,
        thread: DatabaseThread,
        commit: Callable[[Batch], CommitResult],
        make_batch: Callable[[CommitGroup, list[CommitPart]], Batch],
    ) -> None:
        self._thread = thread
        self._commit = commit
        self._make_batch = make_batch
        self.queue = CommitQueue()
        self.participants: list[CommitParticipant] = []
        self._acknowledgements = Acknowledgements()
        self._current: CommitGroup | None = None
        self._is_scheduled = False  # True also while a commit runs: its end starts the next one
        self._timer: asyncio.TimerHandle | None = None  # for updates that no caller waits for

    def insert(self, record: TaskRecord, row: Row) -> asyncio.Future[None]:
        """Queue the row of a new task; return a future that is resolved when it is committed."""
        durable: asyncio.Future[None] = asyncio.Future(loop=self._thread.loop)
        self.queue.inserts.append((record, row, durable))
        if not self._is_scheduled:
            self._schedule()
        return durable

    def update(self, record: TaskRecord) -> None:
        """Queue the state of a task. Several updates of one task are merged."""
        self.queue.updates[record.id] = record
        if self._timer is None and self._current is None:
            self.schedule_write()

    def is_committed(self, record: TaskRecord) -> bool:
        """Whether no update of the task is left to commit."""
        current = () if self._current is None else self._current.updates
        return record.id not in self.queue.updates and not any(updated is record for updated in current)

    async def flush(self) -> None:
        """Return when everything that is queued now is committed; raise the error of a commit that failed."""
        if not (self._current or self.queue or any(one.has_pending for one in self.participants)):
            return
        committed = self._thread.loop.create_future()
        self.queue.add_waiter(committed)
        self._schedule()
        await committed

    async def flush_participants(self) -> None:
        """Commit what participants have to write soon."""
        while any(one.is_urgent for one in self.participants):
            await self.flush()

    def acknowledge_all(self) -> None:
        """Resolve the futures of all commits that have ended."""
        self._acknowledgements.send_all()

    def reset(self) -> None:
        """Discard everything that is queued; the callers that wait for it get an error."""
        if self._timer is not None:
            self._timer.cancel()
        for future in self.queue.clear():
            if is_waiting(future):
                future.set_exception(StorageError("The database was closed before this could be written"))
        self._acknowledgements.discard()
        self._current, self._timer, self._is_scheduled = None, None, False

    def schedule_write(self) -> None:
        """Start a commit in a few milliseconds, together with what is queued until then."""
        if self._timer is None and self._current is None:
            self._timer = self._thread.loop.call_later(_COALESCE_DELAY, self._write, context=Context())

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._thread.loop.call_soon(self._write, context=Context())

    def _write(self) -> None:
        """Start the next commit, unless one runs: then its end does so."""
        if self._current is not None or not self._thread.is_started or self._thread.is_forked:
            return
        self._is_scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        parts = [part for one in self.participants if (part := one.next_part()) is not None]
        group = self.queue.take()
        if not (parts or any(group)):
            return
        self._current = group
        self._is_scheduled = True
        commit = self._thread.run(self._commit, self._make_batch(group, parts))
        commit.add_done_callback(partial(self._on_committed, group, parts), context=Context())

    def _on_committed(self, group: CommitGroup, parts: list[CommitPart], commit: asyncio.Future[CommitResult]) -> None:
        """Start the next commit, then acknowledge this one."""
        error = commit.exception()
        if self._current is group:  # otherwise the file was closed during the commit
            self._current, self._is_scheduled = None, False
            for part in parts:
                part.finish(error if error is not None else commit.result().parts_error)
            if error is not None:
                self.queue.requeue(group)
            self._continue(error)
        duplicates = set() if error is not None else commit.result().duplicate_seqs
        self._acknowledgements.send(self._thread.loop, group, error, duplicates)

    def _continue(self, error: BaseException | None) -> None:
        """Commit at once what callers wait for; delay the rest, and after a failure delay it longer."""
        if self.queue.is_awaited or (error is None and self.queue.fills_batch):
            self._write()
        elif error is not None:
            self._timer = self._thread.loop.call_later(_RETRY_INTERVAL, self._write, context=Context())
        elif self.queue or any(one.is_urgent for one in self.participants):
            self._timer = self._thread.loop.call_later(_COALESCE_DELAY, self._write, context=Context())
