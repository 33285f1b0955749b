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
from .rows import Row
from .serialization import decode_metadata
from .unfinished_rows import UnfinishedRows

_PLACEHOLDER: Final = TaskFunction(unregistered, "")

_SAME_MOMENT: Final = 0.0001
"""Seconds within which tasks share one creation time."""


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector, which would take as long as making the records does."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class RestoredRecords:
    """Records made of unfinished rows, which are added in the order the tasks are to start.

    Args:
        run: The function that runs a restored task: it loads the arguments and calls the task's function.
        wall_offset: Seconds from the monotonic clock to the wall clock.

    Attributes:
        records: The records by id, in the order they are to start; ``func`` is None if the task type is
            not registered.
    """

    def __init__(self, run: Callable[..., Coroutine[Any, Any, Any]], wall_offset: float) -> None:
        self._run = run
        self._wall_offset = wall_offset
        self._last_created = -inf
        self._seqs = array("q")
        self.records: dict[str, TaskRecord] = {}
        self._functions: dict[str, tuple[TaskFunction, Callable[..., Any] | None]] = {}
        self._at_most_once: dict[str, TaskFunction] = {}

    def add(self, unfinished: UnfinishedRows) -> None:  # noqa: PLR0915 - a call per record would cost as much again
        """Make records of a chunk of rows, in one loop since there can be a million of them."""
        wall_offset, last, last_name = self._wall_offset, self._last_created, None
        function, func = _PLACEHOLDER, None
        new, context, pending, records = TaskRecord.__new__, EMPTY_CONTEXT, PENDING, self.records
        for seq, task_id, name, priority, created, has_details in unfinished.rows:
            if name != last_name:
                last_name = name
                function, func = self._functions.get(name) or self._look_up(name)
            record = new(TaskRecord)
            record.id = task_id
            record.function = function
            record.func = func
            record.args = ()
            record.kwargs = record.timeout = record.metadata = record.phase = record.cache_lookup = record.location = (
                None
            )
            record.priority = priority
            record.context = context
            record.status = pending
            record.progress = 0.0
            record.attempt = record.updates = 0
            record.wall_offset = wall_offset
            if not 0 <= created - wall_offset - last < _SAME_MOMENT:
                last = created - wall_offset
            record.created = last  # one object for tasks added at the same moment
            records[task_id] = record
            if has_details:
                self._set_details(record, unfinished.details[seq])
        self._last_created = last
        self._seqs.extend([row[0] for row in unfinished.rows])

    def in_creation_order(self) -> dict[str, TaskRecord]:
        """Return the records by id, in the order in which the tasks were added. Only once: this discards that order."""
        seqs, self._seqs = self._seqs, array("q")
        if all(map(lt, seqs, islice(seqs, 1, None))):
            return self.records
        items = list(self.records.items())
        return dict([items[index] for index in sorted(range(len(seqs)), key=seqs.__getitem__)])

    def _set_details(self, record: TaskRecord, details: Row) -> None:
        """Set the fields that have their defaults in most tasks."""
        phase, attempt, changes, progress, timeout, metadata, started, at_most_once = details
        record.phase = phase
        record.attempt = attempt
        record.updates = changes
        record.progress = progress or 0.0
        record.timeout = timeout
        record.metadata = decode_metadata(metadata)
        if started is not None:
            record.started = started - self._wall_offset
        if at_most_once and record.function.idempotent:  # added before its type was registered as idempotent
            record.function = self._not_idempotent(record.function)

    def _not_idempotent(self, function: TaskFunction) -> TaskFunction:
        found = self._at_most_once.get(function.name)
        if found is None:
            found = self._at_most_once[function.name] = function.named(function.name, idempotent=False)
        return found

    def _look_up(self, name: str) -> tuple[TaskFunction, Callable[..., Any] | None]:
        entry = find_registration(name)
        found = (TaskFunction(unregistered, name), None) if entry is None else (entry.function, self._run)
        self._functions[name] = found
        return found
