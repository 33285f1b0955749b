"""Tasks that run in this process and survive it: the queue in memory schedules, a journal remembers."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from uuid_utils import uuid7

from ..caching.lookup import Ticket
from ..exceptions import (
    DuplicateTaskError,
    ForkedWorkerError,
    NotRegisteredError,
    StorageDamagedError,
    StorageError,
    TaskInterruptedError,
    WorkerNotRunningError,
)
from ..journal.connection import Connector, connect
from ..journal.journal import Journal
from ..journal.location import DatabaseLocation, parse_url
from ..journal.restore import RestoredRecords, gc_paused
from ..model.event_loop import spawn
from ..model.outcome import GIVEN_BACK, Outcome, completed, failed
from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.record_factory import requested
from ..model.registry import (
    find_registration,
    function_of,
    is_idempotent,
    registered_function,
)
from ..model.signatures import PROGRESS_PARAMETER
from ..model.status import PENDING, RUNNING, TaskInfo
from ..runtime.capacity import Room
from ..runtime.coalescing import Coalescing
from ..runtime.executor import CALLS, current_record
from ..runtime.pool import WorkerPool
from ..runtime.queue import TaskQueue
from ..state.events import CREATED
from .base import Requested, Runtime
from .memory import LocalBackend
from .unregistered import Unregistered

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_UNFINISHED: Final = frozenset({PENDING, RUNNING})

_PATIENCE: Final = 1.0
"""Seconds between two tries to write down that a task runs, or to read what it is called with."""

_CALLED: Final = object()
"""In place of the function of a record: that was called, and must not be called once more."""


class DurableBackend(LocalBackend):
    """Runs tasks on the worker's own event loop and writes them into a file before they are acknowledged.

    What waits when the worker stops, or when its process dies, runs after the next start.

    Args:
        place: The file.
        connector: Makes the connection to it.
    """

    requested: Requested = staticmethod(partial(requested, new_id=uuid7))

    def __init__(self, place: DatabaseLocation, connector: Connector = connect) -> None:
        self._place = place
        self._connector = connector
        self._arriving: set[str] = set()  # ids of tasks added but not durable yet
        self._cancelling: set[object] = set()  # calls of cancel() that are under way
        self._cautious = False
        self._stopping = 0  # calls of stop() that wait for running tasks
        self._door = asyncio.Lock()  # opening and closing the file take turns
        self._door_of: asyncio.AbstractEventLoop | None = None  # a lock serves one event loop
        self._closing: set[asyncio.Task[None]] = set()  # after tasks that stopped the worker and went on

    @property
    def lingers(self) -> bool:  # type: ignore[override]
        """Whether the file is still open after a stop, because a task that called it goes on or has just ended."""
        return bool(self._closing) or (self._journal.is_open and not self._pool.is_open and not self._stopping)

    def storage_error(self) -> StorageError | None:
        """Return an error if the file was deleted or replaced; None if it is there, or is not open."""
        return self._journal.storage_error() if self._journal.is_open else None

    def unregistered_tasks(self) -> dict[str, int]:
        """Return how many tasks wait for a function that is not registered, by its name."""
        return self._unregistered.counts()

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides."""
        self._ledger = runtime.ledger
        self._ledger.cursors = Cursors(os.fsencode(os.path.realpath(self._place.path)), lasting=True)
        self._queue = TaskQueue()
        self._pool = WorkerPool(
            self._queue,
            runtime.executor,
            runtime.max_workers,
            ledger=runtime.ledger,
            stopped=_cut_off,
            waits=runtime.waits,
        )
        self._coalescing = Coalescing(self._ledger, self._queue, self._pool, self._ledger.enlist)
        self._unregistered = Unregistered(self._place.path, runtime.ledger, self._adopt)
        self._journal = Journal(self._place, *self._ledger.keeping, self._connector)
        self._ledger.results.may_drop = self._journal.has_written
        self._room = None
        if runtime.max_queue_size is not None:
            waiting = _Waiting(self._queue, self._arriving)
            self._room = Room(runtime.max_queue_size, runtime.on_full, waiting, self._pool, runtime.events)
        runtime.events.tap(self._note)

    async def start(self) -> None:
        """Own the file, take up what is left in it, and begin to run tasks on the running event loop."""
        if self._door_of is not asyncio.get_running_loop():
            self._door_of, self._door = asyncio.get_running_loop(), asyncio.Lock()
        async with self._door:
            if not self._journal.is_open:
                await self._take_up()
            elif not self._pool.is_open:
                self._take_back()
        if self._room is not None:
            self._room.open()
        await self._pool.start()

    async def stop(self, timeout: float | None, spare: set[TaskRecord]) -> None:
        """Give running tasks *timeout* seconds, put the rest back among what waits, let go of the file.

        What must not run twice ends failed instead, if its function was called.
        """
        self._pool.close()
        if self._room is not None:
            self._room.close()
        self._stopping += 1
        try:
            await self._pool.finish(timeout, spare)
        finally:
            self._stopping -= 1
        self._coalescing.let_go()
        await self._close_if_idle()

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Write the task down and queue it; what is left to await is that it is durable."""
        registered = registered_function(record.function.name)
        if registered is not record.func and registered != record.func:
            what = "is not registered" if registered is None else "is the name of another function"
            raise NotRegisteredError(
                f"A durable task is stored by the name of its function, and {record.function.name!r} {what}"
            )
        self._refuse_duplicate(record)
        if (ticket := record.ticket) is not None:
            hit, result = ticket.lookup_nowait()
            if hit:
                return self._add(record, completed(result))
            if self._coalescing.is_under_way(ticket):  # who follows takes no room
                return self._add(record)
        return self._add(record) if self._room is None else self._add_into(self._room, record, queue_timeout)

    async def cancel(self, task_id: str) -> bool:
        """End a pending task at once, or tell a running one to stop; return when that is durable."""
        self._require_open()
        call = object()
        self._cancelling.add(call)  # until this one is written, the file stays open
        try:
            cancelled = await super().cancel(task_id)
            record = self._ledger.get(task_id)
            if record is not None and record.status is PENDING:  # given back by a stop that came first
                cancelled = await super().cancel(task_id)
            if cancelled:
                await self._journal.flush()
        finally:
            self._cancelling.discard(call)
        return cancelled

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, or written in the file, or None."""
        record = self._ledger.get(task_id)
        info = None if record is None else record.info()
        if (info is not None and not info.result_dropped) or not self._journal.is_open:
            return info
        written = await self._journal.fetch(task_id)
        return written if info is None or written is None else _with_result_of(info, written)

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest tasks of all times that match, from the cursor on."""
        written = query.statuses is None or not query.statuses <= _UNFINISHED
        if written and self._journal.is_open:
            await self._journal.flush_quietly()
        if written and self._journal.is_open:  # it may have been closed meanwhile
            try:
                return await self._search_file(query)
            except StorageError:
                if self._journal.is_open:
                    raise
        return await super().search(query)

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
        self._require_open()  # the worker may have stopped meanwhile
        await self._journal.backup(path)

    def _require_open(self) -> None:
        """Say why, if the file cannot be used."""
        if self._journal.is_forked:
            raise ForkedWorkerError
        if not self._journal.is_open:
            raise WorkerNotRunningError("The file of the tasks is open only while the worker runs")

    async def _search_file(self, query: TaskQuery) -> TaskPage:
        """Return a page of what is written, with the snapshots of this moment of tasks that are known."""
        dropped: dict[str, TaskInfo] = {}

        def known(task_id: str) -> TaskInfo | None:
            record = self._ledger.get(task_id)
            info = None if record is None else record.info()
            if info is None or not info.result_dropped:
                return info
            dropped[task_id] = info
            return None

        page = await self._journal.search(query, self._ledger.cursors, known)
        if not dropped:
            return page
        tasks = [_with_result_of(dropped.get(info.id, info), info) for info in page.tasks]
        return TaskPage(tasks, page.next_cursor)

    async def _add_into(self, room: Room, record: TaskRecord, timeout: float | None) -> None:
        await room.enter(timeout)
        try:
            self._refuse_duplicate(record)  # somebody may have taken the id meanwhile
            await self._add(record)
        except BaseException:
            room.look_again()
            raise

    async def _add(self, record: TaskRecord, known: Outcome | None = None) -> None:
        """Write a new task down; when that is durable, queue it, or end it as it is *known* to end.

        If its caller is called off, it is taken out again.
        """
        self._ledger.stamp(record)
        once = not record.function.idempotent
        if once:
            record.func = self._begun(record.func)
        seq, durable = self._journal.append(record, at_most_once=once)
        self._arriving.add(record.id)
        try:
            await durable
        except asyncio.CancelledError:
            self._journal.withdraw(seq)  # its caller was called off
            raise
        finally:
            self._arriving.discard(record.id)
        if known is not None:
            self._end_as_known(record, known)
        elif record.ticket is None or not self._joins(record, record.ticket):
            self._ledger.enlist(record)
            self._queue.put(record)
            if self._pool.hungry:
                self._pool.wake()

    def _end_as_known(self, record: TaskRecord, outcome: Outcome) -> None:
        self._ledger.enlist(record)
        if self._pool.is_open:  # else its end would not be written any more
            self._ledger.settle(record, outcome)

    def _joins(self, record: TaskRecord, ticket: Ticket) -> bool:
        """Whether a new task waits for another that does the same; if not, others may wait for it."""
        if self._coalescing.is_under_way(ticket) and self._coalescing.follow(record, ticket):
            if self._room is not None:
                self._room.look_again()
            return True
        self._coalescing.lead(record, ticket)
        return False

    def _refuse_duplicate(self, record: TaskRecord) -> None:
        if record.id in self._arriving:
            raise DuplicateTaskError(repr(record.id), task_id=record.id)
        self._ledger.refuse_duplicate(record.id)

    def _note(self, kind: str, record: TaskRecord) -> None:
        if kind is not CREATED:
            self._journal.record_change(record)
            if not self._pool.is_open and self.lingers and record.status is not RUNNING:
                closing = spawn(self._close_if_idle())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard, context=Context())

    async def _take_up(self) -> None:
        """Open the file and make records of what is left in it."""
        self._queue.clear()  # before priorities are changed back: there is no file to write that into
        self._coalescing.let_go()  # of what a closed loop left behind
        self._queue.clear()
        self._arriving.clear()
        self._cancelling.clear()
        self._closing.clear()
        self._unregistered.forget()
        found = await self._journal.open()
        self._pool.bury()  # before there are other records of the same tasks
        self._pool.close()
        try:
            self._cautious = found.unclean_shutdown
            with gc_paused():
                self._queue_up(await self._read_unfinished())
        except BaseException:
            await self._journal.close()
            raise

    def _take_back(self) -> None:
        """Queue what the last stop cut off, each in its place; the file stayed open for a task that goes on."""
        self._queue.clear()
        newest_first = self._ledger.select({PENDING})
        waiting = [record for record in reversed(newest_first) if record.func is not None]
        self._queue.fill(sorted(waiting, key=_priority))

    async def _read_unfinished(self) -> list[TaskRecord]:
        """Make what is left in the file known to the ledger; return it in the order of its turns."""
        restored = RestoredRecords(self._resume, self._ledger.epoch)
        await self._journal.read_unfinished(restored.add)
        ended = self._ledger.restore(restored.in_creation_order())
        for record in ended:
            self._journal.record_change(record)  # its end could not be written at the time
        return [record for record in restored.records.values() if not ended or self._ledger.owns(record)]

    def _queue_up(self, records: list[TaskRecord]) -> None:
        unregistered = [record for record in records if record.func is None]
        if unregistered:
            records = [record for record in records if record.func is not None]
        self._queue.fill(records)
        self._unregistered.hold(unregistered)

    async def _resume(self, **progress: Any) -> Any:
        """Run a task from an earlier life of the worker: find its arguments and its function."""
        record = current_record()
        if record is None:
            raise RuntimeError("this runs as a task only")
        name = record.function.name
        if record.function.idempotent and not is_idempotent(name):  # it was registered anew since
            record.function = record.function.named(name, idempotent=False)
            self._journal.record_change(record)
        once = not record.function.idempotent
        if self._cautious or once:  # a task that kills its process is found out
            await self._begin()
        args, kwargs = await self._patiently(partial(self._journal.load_arguments, record))
        function: Any = registered_function(name)  # today's: it may have been registered anew
        if not function_of(function).wants_progress(tuple(args), kwargs):
            progress.pop(PROGRESS_PARAMETER, None)
        elif not progress:
            progress = {PROGRESS_PARAMETER: self._ledger.reporter(record)}
        if once:
            record.func = _CALLED
        return await function(*args, **kwargs, **progress)

    def _begun(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return what calls a function that must not run twice, as soon as it is written down that it runs."""

        async def begun(*args: Any, **kwargs: Any) -> Any:
            await self._begin()
            if (record := current_record()) is not None:
                record.func = _CALLED
            return await function(*args, **kwargs)

        setattr(begun, CALLS, function)
        return begun

    async def _begin(self) -> None:
        """Return when it is durable that the task runs."""
        await self._patiently(self._journal.flush)

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Return what *ask* does. While the disk gives or takes nothing, the task waits for that."""
        while True:
            try:
                return await ask()
            except StorageError as error:
                if isinstance(error, StorageDamagedError) or not self._journal.is_open:
                    raise
                await asyncio.sleep(_PATIENCE)

    def _adopt(self, name: str, records: list[TaskRecord]) -> None:
        """Queue tasks whose function is registered by now."""
        entry = find_registration(name)
        if entry is None:
            return
        for record in records:
            once = entry.function.idempotent and not record.function.idempotent
            record.function = entry.function.named(name, idempotent=False) if once else entry.function
            record.func = self._resume
            self._queue.put(record)
        self._pool.wake()

    async def _close_if_idle(self) -> None:
        """Let go of the file, unless a task that stopped the worker goes on: its end is to be written, too."""
        async with self._door:
            if self._journal.is_open and not (self._pool.is_open or self._pool.running):
                self._unregistered.forget()
                await self._see_callers_off()
                await self._journal.close()

    async def _see_callers_off(self) -> None:
        """Wait until all who add or cancel a task have heard of it: one who was called off takes a task back."""
        while self._arriving or self._cancelling:
            await self._journal.flush_quietly()
            await asyncio.sleep(0)


_priority: Final = attrgetter("priority")


def _with_result_of(info: TaskInfo, written: TaskInfo) -> TaskInfo:
    """Return *info*, with the result that is in the file if it was dropped from memory."""
    return replace(info, result=written.result, result_dropped=False) if info.result_dropped else info


def _cut_off(record: TaskRecord) -> Outcome:
    """Return how a task ends that does not before the worker stops: given back, unless that were to run it twice."""
    return failed(TaskInterruptedError(task_id=record.id)) if record.func is _CALLED else GIVEN_BACK


class _Waiting:
    """What counts as waiting where a queue is bounded: also what is about to be durable."""

    def __init__(self, queue: TaskQueue, arriving: set[str]) -> None:
        self._queue = queue
        self._arriving = arriving

    def __len__(self) -> int:
        return len(self._queue) + len(self._arriving)


def open_sqlite(url: str) -> DurableBackend:
    """Return the backend of the file a ``sqlite://`` address names."""
    return DurableBackend(parse_url(url))
