"""What one transaction writes, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .commit_participant import CommitPart
    from .rows import Row


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
        parts: What commit participants write.
    """

    added: list[Row] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    ended: list[Row] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)
    expired: float | None = None
    keep: int | None = None
    forgotten_from: int = 0
    parts: Sequence[CommitPart] = ()


class CommitResult(NamedTuple):
    """What a commit did.

    Attributes:
        duplicate_seqs: Numbers of added tasks that were left out, because their id is taken.
        parts_error: Why the participants' parts were left out; None if they were written.
    """

    duplicate_seqs: set[int]
    parts_error: Exception | None
