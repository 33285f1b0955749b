"""Backend: what a worker asks of the place where its tasks wait and run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from ..exceptions import StorageError
from ..model.query import TaskPage, TaskQuery
from ..model.record import TaskRecord
from ..model.status import TaskInfo
from ..runtime.runner import Runtime


class Backend(Protocol):
    """Keeps tasks, runs them and reports every change to the ledger.

    What only some backends can do is in :class:`Capabilities`.
    """

    def new_id(self) -> object:
        """Return a new task id, for a task added without one: anything whose ``str()`` is unique."""
        ...

    @property
    def is_draining(self) -> bool:
        """Whether something is still held after a stop, because a task that called it goes on."""
        ...

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks did not stop within their grace period and still run."""
        ...

    def attach(self, runtime: Runtime) -> None:
        """Take what the worker provides. Called once, before anything else."""

    async def start(self) -> None:
        """Begin to run tasks on the running event loop.

        Raises:
            StorageError: The storage of the tasks cannot be used. Nothing is held then.
        """

    async def stop(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Take nothing new, give running tasks *timeout* seconds (None: any time), then cut them off.

        Tasks in *exclude* are neither waited for nor cut off.
        """

    def submit(self, record: TaskRecord, queue_timeout: float | None = None) -> Awaitable[None] | None:
        """Add a task and have it run.

        Args:
            record: The task.
            queue_timeout: Seconds to wait for capacity in a full queue; None waits as long as it takes.
                It does not limit what follows: once there is capacity, the task is stored.

        Returns:
            None if the task is added, else what is left to await until it is.

        Raises:
            DuplicateTaskError: A task of this id is known.
            QueueFullError: The queue is full, or was for *queue_timeout*.
            NotRegisteredError: Functions are stored by name, and this one has none.
            NotStorableError: Some part of the task cannot be stored.
            StorageError: It could not be stored; like all of these, it leaves no task behind.
            WorkerNotRunningError: The worker stopped while this waited.
        """
        ...

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; return whether it ended cancelled because of this call. False for an unknown one.

        Raises:
            WorkerNotRunningError: Tasks can be changed only while the worker runs.
            ForkedWorkerError: The worker was started in another process.
            StorageError: The end could not be stored.
        """
        ...

    def watch(self, task_id: str) -> TaskRecord | None:
        """Return the record that shows a task's end as soon as it has one; None if the task is unknown.

        A backend whose tasks other processes own follows them from here on: see :meth:`.Ledger.observe`.
        """
        ...

    async def fetch(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task, wherever that is kept, or None.

        Raises:
            StorageError: The storage of the tasks could not be read.
        """
        ...

    async def search(self, query: TaskQuery) -> TaskPage:
        """Return the newest tasks that match, from the cursor on.

        Raises:
            ValueError: The cursor is not one that was returned for this search.
            StorageError: The storage of the tasks could not be read.
        """
        ...


def _no_storage_error() -> StorageError | None:
    return None


def _no_result_storage(_max_size: int | None) -> object:
    raise ValueError(
        "cache_adapter='sqlite' keeps results in the file of the tasks, and these tasks are in memory: "
        "give the worker backend='sqlite:///tasks.db' too, or leave out cache_adapter"
    )


async def _no_backup(path: Path) -> None:
    raise StorageError(f"Tasks in memory cannot be copied to {path}: give the worker backend='sqlite:///tasks.db'")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What some backends can do; the defaults are for those that cannot. Resolved once, by :func:`capabilities_of`.

    Attributes:
        storage_error: Return why tasks cannot be stored at this moment; None if nothing is known to be wrong.
        unregistered_tasks: Return how many tasks wait for a function that is not registered, by its name.
        result_storage: Return a cache adapter, for so many results (None: any number), that lasts as long as the
            tasks. ValueError: the tasks do not last.
        backup: Write a copy of all tasks into a new file. StorageError: there is nothing to copy, the file exists,
            or it cannot be written; WorkerNotRunningError, ForkedWorkerError: the worker does not run here.
    """

    storage_error: Callable[[], StorageError | None] = _no_storage_error
    unregistered_tasks: Callable[[], dict[str, int]] = dict
    result_storage: Callable[[int | None], object] = _no_result_storage
    backup: Callable[[Path], Awaitable[None]] = _no_backup


def capabilities_of(backend: Backend) -> Capabilities:
    """Return the optional capabilities of a backend: those of its methods that are named like one."""
    found: dict[str, Any] = {
        field.name: method for field in fields(Capabilities) if (method := getattr(backend, field.name, None))
    }
    return Capabilities(**found)
