"""The hook through which rows of other kinds take part in the journal's commits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Read = Callable[[Callable[[Any], Any]], Awaitable[Any]]
"""Call a function with the database connection in the journal's thread and return its result."""


class CommitPart(Protocol):
    """What one participant writes in one commit."""

    def write(self, connection: Any) -> None:
        """Write the rows, within the commit's transaction, in the journal's thread.

        An error rolls the transaction back; the commit is then repeated without any participant's part.
        """

    def finish(self, error: BaseException | None) -> None:
        """Handle the end of the commit, on the event loop: *error* is why this part was not committed."""


class CommitParticipant(Protocol):
    """Owner of rows that are committed together with tasks. All methods run on the event loop.

    A participant's failures never keep a task from being written.
    """

    @property
    def has_pending(self) -> bool:
        """Whether anything is left to write, however unimportant."""
        ...

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to write that is worth a commit of its own."""
        ...

    async def open(self, read: Read) -> None:
        """Load the rows, right after the file was opened."""

    def next_part(self) -> CommitPart | None:
        """Return what the next commit writes, or None for nothing."""
        ...

    def close(self) -> None:
        """Discard all state: the file is closed or given up."""
