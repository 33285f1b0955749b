"""Tasks that survive their process: they run like those in memory, and a journal in an SQLite file restores them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Final

from uuid_utils import uuid7

from ..caching.lookup import lookup_of
from ..exceptions import DuplicateTaskError, ForkedWorkerError, NotRegisteredError, StorageError, WorkerNotRunningError
from ..journal.connection import Connector, connect
from ..journal.journal import Appended, Journal
from ..journal.location import DatabaseLocation, parse_url
from ..journal.restore import RestoredRecords, gc_paused
from ..model.event_loop import spawn
from ..model.functions import unregistered
from ..model.outcome import Outcome, completed
from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.registry import find_registration, registered_function
from ..model.safe_logger import SafeLogger
from ..model.status import PENDING, RUNNING, TaskInfo
from ..runtime.capacity import Capacity
from ..runtime.runner import Runner, Runtime
from ..state.events import CREATED
from .durable_calls import DurableCalls
from .unregistered_tasks import Unregistered

logger = SafeLogger(__name__)

_UNFINISHED: Final = frozenset({PENDING, RUNNING})

_CALLER_TURNS: Final = 50
"""Turns of the event loop that a stop gives calls whose tasks are committed; those that are resumed need one."""

_CALLER_TURN: Final = 0.005
"""Seconds of one such turn, at least."""


class SqliteBackend:
    """Runs tasks on the worker's own event loop and stores each in a file before it is acknowledged.

    What waits when the worker stops, or when its process dies, runs after the next start.

    Args:
        location: The file.
        connector: Makes the connection to it.
    """

    def __init__(self, location: DatabaseLocation, connector: Connector = connect) -> None:
        self._location = location
        self._connector = connector
        self._uncommitted: dict[str, Appended] = {}  # by id: tasks added but not acknowledged yet
        self._cancelling: set[object] = set()  # calls of cancel() that have not returned
        self._stopping = 0  # calls of stop() that wait for running tasks
        self._open_close_lock = asyncio.Lock()
        self._lock_loop: asyncio.AbstractEventLoop | None = None  # a lock serves one event loop
        self._closing: set[asyncio.Task[None]] = set()  # after tasks that stopped the worker and went on

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides."""
        self._consume = runtime.consume
        self._ledger = ledger = runtime.ledger
        ledger.cursors = Cursors(os.fsencode(os.path.realpath(self._location.path)), lasting=True)
        self._journal = Journal(self._location, *ledger.retention_settings, self._connector)
        ledger.results.may_drop = self._journal.has_written
        self._calls = DurableCalls(self._journal, ledger, runtime.progress)
        self._runner = runner = Runner(runtime, ledger.admit_prepared, self._calls.requeue_or_fail, self._uncommitted)
        self._capacity = runner.capacity
        self._coalescing = runner.coalescing
        self._unregistered = Unregistered(self._location.path, ledger, self._enqueue_registered)
        self.new_id: Callable[[], object] = uuid7
        self.watch = ledger.get
        runtime.events.subscribe_records(self._on_event)

    @property
    def is_draining(self) -> bool:
        """Whether the file is still open after a stop, because a task that called it goes on or has just ended."""
        return bool(self._closing) or (self._journal.is_open and not self._runner.is_open and not self._stopping)

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks did not stop within their grace period and still run."""
        return self._runner.pool.abandoned_tasks

    def storage_error(self) -> StorageError | None:
        """Return an error if the file was deleted or replaced; None if it is there, or is not open."""
        return self._journal.storage_error() if self._journal.is_open else None

    def unregistered_tasks(self) -> dict[str, int]:
        """Return how many tasks wait for a function that is not registered, by its name."""
        return self._unregistered.counts()

    async def start(self) -> None:
        """Open the file, restore the tasks in it, and begin to run them on the running event loop."""
        if self._lock_loop is not asyncio.get_running_loop():
            self._lock_loop, self._open_close_lock = asyncio.get_running_loop(), asyncio.Lock()
        async with self._open_close_lock:
            if not self._journal.is_open:
                await self._open_and_restore()
            elif not self._runner.is_open:
                self._requeue_interrupted()
        await self._runner.start()

    async def stop(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Give running tasks *timeout* seconds, requeue the rest for the next start, and close the file.

        What must not run twice ends failed instead, if its function was called.
        """
        self._runner.pause()
        self._stopping += 1
        try:
            await self._runner.drain(timeout, exclude)
        finally:
            self._stopping -= 1
        self._coalescing.dissolve()
        await self._close_if_idle()

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Store the task and queue it; what is left to await is that it is durable."""
        self._require_registered(record)
        self._check_unique(record)
        if record.cache_lookup is not None:
            hit, result = lookup_of(record).lookup_nowait()
            if hit:
                return self._add(record, completed(result))
            if self._coalescing.has_leader(record):  # a follower takes no capacity
                return self._add(record)
        if self._capacity is None:
            return self._add(record)
        return self._add_with_capacity(self._capacity, record, queue_timeout)

    async def cancel(self, task_id: str) -> bool:
        """End a pending task at once, or interrupt a running one; return when its end is durable."""
        record = self._ledger.get(task_id)
        if record is None:
            return False
        self._require_open()
        call = object()
        self._cancelling.add(call)  # until its end is written, the file stays open
        try:
            cancelled = await self._runner.cancel(record)
            record = self._ledger.get(task_id)
            if record is not None and record.status is PENDING:  # requeued by a stop that came first
                cancelled = await self._runner.cancel(record)
            if cancelled:
                await self._journal.flush()
        finally:
            self._cancelling.discard(call)
        return cancelled

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, or written in the file, or None."""
        info = self._ledger.info(task_id)
        if (info is not None and not info.result_dropped) or not self._journal.is_open:
            return info
        written = await self._journal.fetch(task_id)
        return written if info is None or written is None else _with_result_of(info, written)

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest tasks of all times that match, from the cursor on."""
        written = query.statuses is None or not query.statuses <= _UNFINISHED
        if written and self._journal.is_open:
            await self._journal.flush_quietly()
        if written and self._journal.is_open:  # it may have been closed since
            try:
                return await self._search_file(query)
            except StorageError:
                if self._journal.is_open:
                    raise
        return self._ledger.search(query)

    def result_storage(self, max_size: int | None) -> object:
        """Return a cache adapter that keeps results in the same file, where they survive the process."""
        from ..journal.result_cache.adapter import SqliteCacheAdapter  # noqa: PLC0415 - the cache is for those who use it

        cache = SqliteCacheAdapter(self._journal, max_size)
        self._journal.register(cache)
        return cache

    async def backup(self, path: Path) -> None:
        """Write a copy of all that is durable into a new file."""
        self._require_open()
        await self._journal.flush_quietly()
        self._require_open()  # the worker may have stopped since
        await self._journal.backup(path)

    def _require_open(self) -> None:
        """Raise unless the file can be used."""
        if self._journal.is_forked:
            raise ForkedWorkerError
        if not self._journal.is_open:
            raise WorkerNotRunningError("The file of the tasks is open only while the worker runs")

    def _require_registered(self, record: TaskRecord) -> None:
        """Raise NotRegisteredError unless the function is stored under its own name."""
        registered = registered_function(record.function.name)
        if registered is record.func or registered == record.func:
            return
        if record.func is unregistered and not self._consume:
            return  # by its name, for a worker that has it
        name = record.function.name
        what = f"{name!r}" if registered is None else f"and {name!r} is the name of another function"
        raise NotRegisteredError(f"A durable task is stored by the name of its function, {what}")

    async def _search_file(self, query: TaskQuery) -> TaskPage:
        """Return a page of what is written, with the snapshots of this moment of tasks that are known."""
        dropped: dict[str, TaskInfo] = {}

        def known(task_id: str) -> TaskInfo | None:
            info = self._ledger.info(task_id)
            if info is None or not info.result_dropped:
                return info
            dropped[task_id] = info
            return None

        page = await self._journal.search(query, self._ledger.cursors, known)
        if not dropped:
            return page
        tasks = [_with_result_of(dropped.get(info.id, info), info) for info in page.tasks]
        return TaskPage(tasks, page.next_cursor)

    async def _add_with_capacity(self, capacity: Capacity, record: TaskRecord, timeout: float | None) -> None:
        await capacity.acquire(timeout)
        try:
            self._check_unique(record)  # another task may have taken the id while this waited
            await self._add(record)
        except BaseException:
            capacity.grant_waiting()
            raise

    async def _add(self, record: TaskRecord, known: Outcome | None = None) -> None:
        """Store a new task; when that is durable, queue it, or end it as it is *known* to end.

        If its caller is cancelled, the task is withdrawn.

        Raises:
            WorkerNotRunningError: The worker stopped, and this was not resumed in time; see :meth:`_await_callers`.
        """
        self._ledger.set_created(record)
        at_most_once = not record.function.idempotent
        if at_most_once:
            self._ledger.rebind(record, self._calls.at_most_once(record.func))
        appended = self._journal.append(record, at_most_once=at_most_once)
        self._uncommitted[record.id] = appended
        seq, durable = appended
        try:
            await durable
        except asyncio.CancelledError:
            if self._acknowledge(record, appended):
                self._journal.withdraw(seq)
            raise
        except BaseException:
            self._acknowledge(record, appended)
            raise
        if not self._acknowledge(record, appended):
            raise WorkerNotRunningError
        if known is not None:
            self._end_as_known(record, known)
        elif record.cache_lookup is None or not self._try_follow(record):
            self._ledger.admit_prepared(record)
            self._runner.enqueue(record)

    def _acknowledge(self, record: TaskRecord, appended: Appended) -> bool:
        """Forget that a task is not acknowledged yet; return False if a stop has withdrawn it."""
        if self._uncommitted.get(record.id) is not appended:  # numbers of withdrawn tasks are given again
            return False
        del self._uncommitted[record.id]
        return True

    def _end_as_known(self, record: TaskRecord, outcome: Outcome) -> None:
        self._ledger.admit_prepared(record)
        if self._runner.is_open:  # else its end would not be written any more
            self._ledger.settle(record, outcome)

    def _try_follow(self, record: TaskRecord) -> bool:
        """Let a new task follow another of the same cache key; if there is none, others may follow it."""
        if self._coalescing.has_leader(record) and self._coalescing.follow(record):
            if self._capacity is not None:
                self._capacity.grant_waiting()
            return True
        self._coalescing.lead(record)
        return False

    def _check_unique(self, record: TaskRecord) -> None:
        if record.id in self._uncommitted:
            raise DuplicateTaskError(repr(record.id), task_id=record.id)
        self._ledger.check_unique(record.id)

    def _on_event(self, kind: str, record: TaskRecord) -> None:
        if kind is not CREATED:
            self._journal.record_change(record)
            if not self._runner.is_open and self.is_draining and record.status is not RUNNING:
                closing = spawn(self._close_if_idle())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard, context=Context())

    async def _open_and_restore(self) -> None:
        """Open the file and make records of the unfinished tasks in it."""
        self._runner.queue.clear()  # before priorities are changed back: there is no file to write that into
        self._coalescing.dissolve()  # of what a closed loop left behind
        for leftover in (self._runner.queue, self._uncommitted, self._cancelling, self._closing):
            leftover.clear()
        self._unregistered.forget()
        found = await self._journal.open()
        self._runner.settle_orphans()  # before there are other records of the same tasks
        try:
            self._calls.after_crash = found.unclean_shutdown
            with gc_paused():
                self._enqueue_restored(await self._read_unfinished())
        except BaseException:
            await self._journal.close(clean=not found.unclean_shutdown)  # no task has run since
            raise

    def _requeue_interrupted(self) -> None:
        """Queue what the last stop interrupted, each in its turn; the file stayed open for a task that goes on."""
        newest_first = self._ledger.select({PENDING})
        waiting = [record for record in reversed(newest_first) if record.func is not None]
        self._runner.requeue_all(sorted(waiting, key=_priority))

    async def _read_unfinished(self) -> list[TaskRecord]:
        """Add the unfinished tasks of the file to the ledger; return them in the order of their turns."""
        restored = RestoredRecords(self._calls.call_restored, self._ledger.wall_offset)
        await self._journal.read_unfinished(restored.add)
        ended = self._ledger.restore(restored.in_creation_order())
        for record in ended:
            self._journal.record_change(record)  # its end could not be written at the time
        return [record for record in restored.records.values() if not ended or self._ledger.owns(record)]

    def _enqueue_restored(self, records: list[TaskRecord]) -> None:
        unknown = [record for record in records if record.func is None] if self._consume else []
        if unknown:
            records = [record for record in records if record.func is not None]
        self._runner.requeue_all(records)
        self._unregistered.hold(unknown)

    def _enqueue_registered(self, name: str, records: list[TaskRecord]) -> None:
        """Queue tasks whose function has been registered."""
        entry = find_registration(name)
        if entry is None:
            return
        for record in records:
            strict = entry.function.idempotent and not record.function.idempotent
            function = entry.function.named(name, idempotent=False) if strict else entry.function
            self._ledger.rebind(record, self._calls.call_restored, function)
            self._runner.enqueue(record)

    async def _close_if_idle(self) -> None:
        """Close the file, unless a task that stopped the worker goes on: its end is to be written, too."""
        async with self._open_close_lock:
            if self._journal.is_open and not (self._runner.is_open or self._runner.pool.running):
                self._unregistered.forget()
                await self._await_callers()
                await self._journal.close(clean=self._consume or not self._calls.after_crash)

    async def _await_callers(self) -> None:
        """Wait until every call that adds or cancels a task has returned: a cancelled one withdraws its task.

        A coroutine that its caller does not resume never returns. When no call has returned for
        :data:`_CALLER_TURNS` turns, the tasks of those that are left are withdrawn.
        """
        turns = 0
        while turns < _CALLER_TURNS and (calls := self._open_calls()):
            await self._journal.flush_quietly()
            await asyncio.sleep(_CALLER_TURN if turns else 0)
            turns = turns + 1 if self._open_calls() == calls else 0
        for seq, _ in self._uncommitted.values():
            self._journal.withdraw(seq)
        self._uncommitted.clear()

    def _open_calls(self) -> int:
        return len(self._uncommitted) + len(self._cancelling)


_priority: Final = attrgetter("priority")


def _with_result_of(info: TaskInfo, written: TaskInfo) -> TaskInfo:
    """Return *info*, with the result that is in the file if it was dropped from memory."""
    return replace(info, result=written.result, result_dropped=False) if info.result_dropped else info


def open_sqlite(url: str) -> SqliteBackend:
    """Return the backend for the file that a ``sqlite://`` URL names."""
    return SqliteBackend(parse_url(url))
