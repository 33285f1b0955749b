"""Who drives the loop: what the worker asks of a backend, and which there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..exceptions import StorageError
from ..model.query import TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.status import TaskInfo
from ..runtime.capacity import OnFull
from ..runtime.executor import TaskExecutor
from ..runtime.waits import Waits
from ..state.events import EventBus
from ..state.ledger import Ledger

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
        """What makes a record of a call, or says what is wrong with it: see :func:`..record_factory.requested`."""
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
        """Begin to run tasks on the running event loop.

        Raises:
            StorageError: What keeps the tasks cannot be used. Nothing is held then.
        """

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

        Raises:
            DuplicateTaskError: A task of this id is known.
            QueueFullError: There is no room, or was none within *queue_timeout*.
            NotRegisteredError: Functions are stored by name, and this one has none.
            NotStorableError: Some part of the task cannot be stored.
            StorageError: It could not be stored; like all of these, it leaves no task behind.
            WorkerNotRunningError: The worker stopped while this waited.
        """
        ...

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; return whether it ended cancelled because of it.

        Raises:
            WorkerNotRunningError: Tasks can be changed only while the worker runs.
            ForkedWorkerError: The worker was started in another process.
            StorageError: The end could not be stored.
        """
        ...

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, wherever that is kept, or None.

        Raises:
            StorageError: What keeps the tasks could not be read.
        """
        ...

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest tasks that match, from the cursor on.

        Raises:
            ValueError: The cursor is not one that was returned for this search.
            StorageError: What keeps the tasks could not be read.
        """
        ...

    def result_storage(self, max_size: int | None) -> object:
        """Return a cache adapter for results that last as long as the tasks.

        Args:
            max_size: How many results to keep; None for any number.

        Raises:
            ValueError: Tasks do not last here.
        """
        ...

    async def backup(self, path: Path) -> None:
        """Write a copy of all tasks into a new file.

        Raises:
            StorageError: There is no such thing here, the file exists, or it cannot be written.
            WorkerNotRunningError: The worker does not run.
            ForkedWorkerError: The worker was started in another process.
        """
