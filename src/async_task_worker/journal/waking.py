"""Tasks from an earlier life of the worker, as records again."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Coroutine
from itertools import islice
from math import inf
from operator import lt
from typing import Any, Final

from ..record import NO_CONTEXT, TaskRecord
from ..registry import TaskFunction, get_task_function
from ..status import PENDING
from .payload import decoded_metadata
from .rows import Row

_ABSENT: Final[Callable[..., Any]] = lambda *_args, **_kwargs: None  # noqa: E731

_AT_ONCE: Final = 0.0001
"""Seconds within which tasks count as added at the same moment."""


class Waking:
    """Makes records of rows that come in the order of their turns.

    Args:
        run: What runs such a task: it finds the arguments and calls the function.
        epoch: What the wall clock is ahead of the monotonic one.
        direct: Whether a task without arguments may be called without *run*.

    Attributes:
        records: Those made; their ``func`` is None if their type is not registered.
    """

    def __init__(self, run: Callable[..., Coroutine[Any, Any, Any]], epoch: float, *, direct: bool) -> None:
        self._run = run
        self._epoch = epoch
        self._direct = direct
        self._last = -inf
        self._seqs = array("q")
        self.records: list[TaskRecord] = []
        self._functions: dict[str, tuple[TaskFunction, Callable[..., Any] | None]] = {}

    def take(self, rows: list[Row]) -> None:
        """Make records of unfinished tasks. Looking for garbage meanwhile would take as long again."""
        collects = gc.isenabled()
        gc.disable()
        try:
            self.records += [self._record_of(row) for row in rows]
            self._seqs.extend([row[0] for row in rows])
        finally:
            if collects:
                gc.enable()

    def by_arrival(self) -> list[TaskRecord]:
        """Return the records in the order in which the tasks were added."""
        seqs, records = self._seqs, self.records
        if all(map(lt, seqs, islice(seqs, 1, None))):
            return records
        return [records[place] for place in sorted(range(len(seqs)), key=seqs.__getitem__)]

    def _record_of(self, row: Row) -> TaskRecord:
        _, task_id, name, priority, phase, attempt, changes, progress, timeout, created, metadata, called, started = row
        function, func = self._functions.get(name) or self._look_up(name)
        record = TaskRecord.__new__(TaskRecord)
        record.id = task_id
        record.function = function
        record.func = func if func is None or (self._direct and not called) else self._run
        record.args = ()
        record.kwargs = None
        record.priority = priority
        record.timeout = timeout
        record.metadata = None if metadata is None else decoded_metadata(metadata)
        record.context = NO_CONTEXT
        record.status = PENDING
        record.phase = phase
        record.created = self._moment(created)
        record.epoch = self._epoch
        record.ticket = None
        record.slot = None
        record.progress = progress or 0.0
        record.attempt = attempt
        if attempt:
            record.started = started - self._epoch
        record.changes = changes
        return record

    def _moment(self, created: float) -> float:
        """Return the monotonic time, the same object for tasks added at once: there can be a million of them."""
        moment = created - self._epoch
        if not 0 <= moment - self._last < _AT_ONCE:
            self._last = moment
        return self._last

    def _look_up(self, name: str) -> tuple[TaskFunction, Callable[..., Any] | None]:
        func = get_task_function(name)
        found = TaskFunction(_ABSENT if func is None else func, name), func
        self._functions[name] = found
        return found
