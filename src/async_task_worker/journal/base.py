"""Values that the event loop and the journal's thread exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .result_cache.table import CacheChanges
    from .rows import Row


class OpenResult(NamedTuple):
    """What was found in a file when it was opened.

    Attributes:
        last_seq: The highest number given to a task.
        finished: How many finished tasks there are.
        unclean_shutdown: Whether the last owner did not close the file.
    """

    last_seq: int
    finished: int
    unclean_shutdown: bool


class UnfinishedRows(NamedTuple):
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
