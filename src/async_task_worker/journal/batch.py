"""The contents of one transaction, and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .commit_participant import CommitPart
    from .rows import Row


@dataclass(slots=True)
class Batch:
    """What one transaction writes.

    Attributes:
        inserted: Rows of new tasks.
        updated: Rows of tasks that are pending or running.
        finished: Rows of tasks that have finished.
        withdrawn: Sequence numbers of tasks to delete, since they were never acknowledged.
        finished_before: Tasks that finished at this time or before are deleted; None to keep them.
            In seconds since the epoch.
        max_history: Number of finished tasks to keep; None for all.
        first_seq: First sequence number since the file was opened. A finished task from there on whose id
            is added again is replaced, because memory does not know it any more.
        parts: What commit participants write.
    """

    inserted: list[Row] = field(default_factory=list)
    updated: list[Row] = field(default_factory=list)
    finished: list[Row] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)
    finished_before: float | None = None
    max_history: int | None = None
    first_seq: int = 0
    parts: Sequence[CommitPart] = ()


class CommitResult(NamedTuple):
    """What a commit did.

    Attributes:
        duplicate_seqs: Sequence numbers of new tasks that were not inserted, because their ids exist.
        parts_error: Why the participants' parts were not written; None if they were.
    """

    duplicate_seqs: set[int]
    parts_error: Exception | None
