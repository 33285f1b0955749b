"""Who drives the loop: what the worker asks of a backend, and which there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..events import EventBus
from ..exceptions import StorageError
from ..executor import TaskExecutor
from ..ledger import Ledger
from ..record import TaskRecord
from ..room import OnFull
from ..search import TaskPage, TaskQuery
from ..status import TaskInfo
from ..waits import Waits

Requested = Callable[..., TaskRecord]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the worker hands its backend to work with.

    Attributes:
        ledger: Where the state of tasks is kept.
        executor: What runs a task.
        events: Where changes are published.
        max_workers: How many tasks may run at once.
        max_queue_size: How many may wait; None for any number.
        on_full: Whether a caller waits for room or is refused.
        waits: Which running tasks wait for others: those may be run beyond ``max_workers``.
    """

    ledger: Ledger
    executor: TaskExecutor
    events: EventBus
    max_workers: int
    max_queue_size: int | None
    on_full: OnFull
    waits: Waits


class Backend(Protocol):
    """Takes requests, runs them and keeps the ledger up to date."""

    @property
    def requested(self) -> Requested:
        """What makes a record of a call, or says what is wrong with it: see :func:`..request.requested`."""
        ...

    @property
    def lingers(self) -> bool:
        """Whether something is still held after a stop, because a task that called it goes on."""
        ...

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks were left behind and still go on."""
        ...

    def storage_error(self) -> StorageError | None:
        """Return why tasks cannot be stored at this moment; None if nothing is known to be wrong."""
        ...

    def unregistered_tasks(self) -> dict[str, int]:
        """Return how many tasks wait for a function that is not registered, by its name."""
        ...

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides. Called once, before anything else."""

    async def start(self) -> None:
        """Begin to run tasks on the running event loop."""

    async def stop(self, timeout: float | None, spare: set[TaskRecord]) -> None:
        """Take nothing new, give running tasks *timeout* seconds, cut off the rest.

        Tasks in *spare* are neither waited for nor cut off.
        """

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Record the task and have it run; DuplicateTaskError if its id is known.

        Args:
            record: The task.
            queue_timeout: Seconds to wait for room in a full queue; None as long as it takes.
                It never ends what follows: once there is room, the task is recorded.

        Returns:
            None if that is done, else what is left to await until it is.
        """
        ...

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; return whether it ended cancelled because of it."""
        ...

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, wherever that is kept, or None."""
        ...

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest tasks that match, from the cursor on; ValueError if that is none."""
        ...

    def result_storage(self, max_size: int | None) -> object:
        """Return a cache adapter for results that last as long as the tasks; ValueError where tasks do not last.

        Args:
            max_size: How many results to keep; None for any number.
        """
        ...

    async def backup(self, path: Path) -> None:
        """Write a copy of all tasks into a new file; StorageError if there is no such thing, or it fails."""
