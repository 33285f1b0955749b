"""WebWorker: the protocol through which the HTTP API uses a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from ..model.query import TaskPage
from ..model.status import TaskInfo, TaskStatus


class WebWorker(Protocol):
    """A worker that a router can serve: an ``AsyncTaskWorker``, or an object with these members."""

    async def submit(  # noqa: PLR0913 - the documented options, by keyword
        self,
        func: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        priority: int = 0,
        task_id: str | None = None,
        metadata: Mapping[Any, Any] | None = None,
        timeout: float | None = None,
        use_cache: bool | None = None,
        cache_ttl: float | None = None,
        queue_timeout: float | None = None,
    ) -> str:
        """Submit the function registered under the name *func*; return the task's id.

        *queue_timeout* is passed only if the worker has a ``max_queue_size``.
        """
        ...

    async def fetch_task_info(self, task_id: str) -> TaskInfo | None:
        """Return a snapshot of a task, from the storage if it is no longer in memory; None if it is unknown."""
        ...

    async def search_tasks(
        self,
        status: Iterable[TaskStatus] | None = None,
        task_type: str | None = None,
        before: datetime | None = None,
        after: datetime | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> TaskPage:
        """Return a page of the tasks that match the query."""
        ...

    def get_task_info(self, task_id: str) -> TaskInfo | None:
        """Return a snapshot of a task that is in memory; None if it is not."""
        ...

    def get_task_future(self, task_id: str) -> asyncio.Future[Any]:
        """Return a future that is done when the task has finished."""
        ...

    async def cancel_task(self, task_id: str) -> bool:
        """Cancel a task; return False if it had finished."""
        ...

    def counts(self) -> Mapping[TaskStatus, int]:
        """Return how many of the known tasks are in each status."""
        ...

    @property
    def events(self) -> Any:
        """The event bus of the worker."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether the worker accepts tasks."""
        ...

    @property
    def max_workers(self) -> int:
        """How many tasks may run at once."""
        ...

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks did not stop in time when they were asked to, and still run."""
        ...


REQUIRED_ATTRIBUTES: Final = tuple(name for name in vars(WebWorker) if not name.startswith("_"))
"""The members without which a worker cannot be served."""


class WorkerFeatures:
    """Members that a worker may lack, with a neutral value for one that lacks them.

    Args:
        worker: The worker that is served.
    """

    def __init__(self, worker: WebWorker) -> None:
        self._worker: Any = worker

    def check_loop(self) -> None:
        """Raise the worker's error if it cannot be used in this process or on this event loop."""
        check = getattr(self._worker, "check_loop", None)
        if check is not None:
            check()

    def storage_error(self) -> Exception | None:
        """Return why tasks cannot be stored at the moment; None if they can, or are never stored."""
        storage_error = getattr(self._worker, "storage_error", None)
        error: Exception | None = None if storage_error is None else storage_error()
        return error

    @property
    def max_queue_size(self) -> int | None:
        """How many tasks may be pending; None without a limit."""
        size: int | None = getattr(self._worker, "max_queue_size", None)
        return size

    @property
    def unregistered_tasks(self) -> Mapping[str, int]:
        """How many restored tasks there are of each name that is not registered."""
        counts: Mapping[str, int] = getattr(self._worker, "unregistered_tasks", {})
        return counts

    @property
    def has_cache(self) -> bool:
        """Whether the worker is known to have a result cache."""
        return bool(getattr(self._worker, "has_cache", False))

    @property
    def cache(self) -> Any:
        """The result cache; None if the worker has none."""
        return getattr(self._worker, "cache", None) if getattr(self._worker, "has_cache", True) else None

    async def clear_cache(self) -> None:
        """Remove every cached result."""
        clear_cache = getattr(self._worker, "clear_cache", None)
        if clear_cache is not None:
            await clear_cache()
