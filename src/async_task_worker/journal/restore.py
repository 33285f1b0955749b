"""Rebuild TaskRecords from unfinished rows when the database is opened."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import islice
from math import inf
from operator import lt
from typing import Any, Final

from ..model.functions import TaskFunction, unregistered
from ..model.record import EMPTY_CONTEXT, TaskRecord
from ..model.registry import find_registration
from ..model.status import PENDING
from .recovery import UnfinishedRows
from .rows import Row
from .serialization import decoded_metadata

_NOTHING: Final = TaskFunction(unregistered, "")

_AT_ONCE: Final = 0.0001
"""Seconds within which tasks count as added at the same moment."""


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the interpreter from looking for garbage while records are made: that would take as long again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class RestoredRecords:
    """Makes records of rows that come in the order of their turns.

    Args:
        run: What runs such a task: it finds the arguments and calls the function.
        wall_offset: What the wall clock is ahead of the monotonic one.

    Attributes:
        records: Those made, by id, in the order of their turns; their ``func`` is None if their type is not registered.
    """

    def __init__(self, run: Callable[..., Coroutine[Any, Any, Any]], wall_offset: float) -> None:
        self._run = run
        self._wall_offset = wall_offset
        self._last = -inf
        self._seqs = array("q")
        self.records: dict[str, TaskRecord] = {}
        self._functions: dict[str, tuple[TaskFunction, Callable[..., Any] | None]] = {}
        self._once: dict[str, TaskFunction] = {}

    def add(self, found: UnfinishedRows) -> None:  # noqa: PLR0915 - a call per record would cost as much again
        """Make records of unfinished tasks. All in one loop: there can be a million of them."""
        wall_offset, last, last_name = self._wall_offset, self._last, None
        function, func = _NOTHING, None
        new, context, pending, records = TaskRecord.__new__, EMPTY_CONTEXT, PENDING, self.records
        for seq, task_id, name, priority, created, longer in found.rows:
            if name != last_name:
                last_name = name
                function, func = self._functions.get(name) or self._look_up(name)
            record = new(TaskRecord)
            record.id = task_id
            record.function = function
            record.func = func
            record.args = ()
            record.kwargs = record.timeout = record.metadata = record.phase = record.ticket = record.slot = None
            record.priority = priority
            record.context = context
            record.status = pending
            record.progress = 0.0
            record.attempt = record.updates = 0
            record.wall_offset = wall_offset
            if not 0 <= created - wall_offset - last < _AT_ONCE:
                last = created - wall_offset
            record.created = last  # one object for tasks added at the same moment
            records[task_id] = record
            if longer:
                self._complete(record, found.more[seq])
        self._last = last
        self._seqs.extend([row[0] for row in found.rows])

    def in_creation_order(self) -> dict[str, TaskRecord]:
        """Return the records by id, in the order in which the tasks were added. To be asked once."""
        seqs, self._seqs = self._seqs, array("q")
        if all(map(lt, seqs, islice(seqs, 1, None))):
            return self.records
        listed = list(self.records.items())
        return dict([listed[place] for place in sorted(range(len(seqs)), key=seqs.__getitem__)])

    def _complete(self, record: TaskRecord, more: Row) -> None:
        """Add what is not so of most tasks."""
        phase, attempt, changes, progress, timeout, metadata, started, once = more
        record.phase = phase
        record.attempt = attempt
        record.updates = changes
        record.progress = progress or 0.0
        record.timeout = timeout
        record.metadata = decoded_metadata(metadata)
        if started is not None:
            record.started = started - self._wall_offset
        if once and record.function.idempotent:  # it was added as one that must not run twice, and stays one
            record.function = self._strict(record.function)

    def _strict(self, function: TaskFunction) -> TaskFunction:
        found = self._once.get(function.name)
        if found is None:
            found = self._once[function.name] = function.named(function.name, idempotent=False)
        return found

    def _look_up(self, name: str) -> tuple[TaskFunction, Callable[..., Any] | None]:
        entry = find_registration(name)
        found = (TaskFunction(unregistered, name), None) if entry is None else (entry.function, self._run)
        self._functions[name] = found
        return found
