"""What a journal promises: acknowledged tasks survive a crash, and their history can be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..model.query import Cursors, TaskPage, TaskQuery
from ..model.status import TaskInfo

if TYPE_CHECKING:
    from ..model.record import TaskRecord
    from .result_cache.table import CacheChanges
    from .rows import Row


class Opened(NamedTuple):
    """What was found in a file when it was opened.

    Attributes:
        last_seq: The highest number given to a task.
        finished: How many finished tasks there are.
        died: Whether the last owner did not close the file.
    """

    last_seq: int
    finished: int
    died: bool


class Unfinished(NamedTuple):
    """Some of the tasks that are pending.

    Attributes:
        rows: What there is to know of each in the order of their turns: number, id, type, priority,
            when it was added, whether there is more.
        more: That, by number: phase, attempt, changes, progress, timeout, metadata, its last start.
    """

    rows: list[Row]
    more: dict[int, Row]


@dataclass(slots=True)
class Batch:
    """What is written in one transaction.

    Attributes:
        added: New tasks.
        moved: Tasks that are to run, run, or report.
        ended: Tasks that ended.
        withdrawn: Numbers of tasks whose caller left before they were acknowledged.
        expired: Tasks that ended at this moment or before may go; None for none.
        keep: How many finished tasks may stay; None for all.
        forgotten_from: From this number on, finished tasks whose id comes again have been forgotten.
        cached: What changes about cached results; None for nothing.
    """

    added: list[Row] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    ended: list[Row] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)
    expired: float | None = None
    keep: int | None = None
    forgotten_from: int = 0
    cached: CacheChanges | None = None


class Committed(NamedTuple):
    """What a commit did.

    Attributes:
        taken: Numbers of added tasks that were left out, because their id is taken.
        uncached: What kept the changes of cached results out; None if they are in.
    """

    taken: set[int]
    uncached: Exception | None


class Journal(Protocol):
    """Where tasks are written down, so that they outlive their process."""

    async def open(self) -> Opened:
        """Become the owner of what is written; running tasks of an owner that died are pending again."""
        ...

    async def read_unfinished(self, take: Callable[[Unfinished], None]) -> None:
        """Hand *take* what is pending, in parts and in the order of its turns."""

    def append(self, record: TaskRecord, *, once: bool) -> tuple[int, asyncio.Future[None]]:
        """Write down a new task; return its number, and a future that is done when it is durable."""
        ...

    def withdraw(self, seq: int) -> None:
        """Take out soon a task that was added, but never acknowledged to anybody."""

    def note(self, record: TaskRecord) -> None:
        """Write down soon how the task is now. Notes of one task are merged."""

    async def flush(self) -> None:
        """Return when everything noted so far is durable."""

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is written of a task, or None."""
        ...

    async def search(self, query: TaskQuery, cursors: Cursors, known: Callable[[str], TaskInfo | None]) -> TaskPage:
        """Return a page of what is written, newest first; of tasks that are *known*, their snapshots."""
        ...

    async def back_up(self, path: Path) -> None:
        """Copy everything durable into a new file."""

    async def close(self) -> None:
        """Write down what is left and let go of the file."""
