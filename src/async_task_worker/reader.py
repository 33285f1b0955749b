"""TaskReader: what can be asked about tasks. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from .backends import Backend, capabilities_of
from .exceptions import StorageError
from .model.query import TaskPage, TaskQuery, timestamp_of
from .model.status import TaskInfo, TaskStatus
from .model.validation import checked_count, checked_optional_count, checked_optional_seconds, checked_statuses
from .state.events import EventBus
from .state.ledger import Ledger


class TaskReader:
    """Reads the state of tasks.

    Args:
        ledger: The tasks this process knows.
        backend: Where tasks are kept.
        events: Where changes are published.

    Attributes:
        events: Every change of every task: ``events.listen(callback)``, ``events.stream()``.
    """

    def __init__(self, ledger: Ledger, backend: Backend, events: EventBus) -> None:
        self._ledger = ledger
        self._backend = backend
        self._capabilities = capabilities_of(backend)
        self.events = events

    def counts(self) -> dict[TaskStatus, int]:
        """Return how many of the known tasks are in each status."""
        return self._ledger.counts()

    def get_task_info(self, task_id: str) -> TaskInfo | None:
        """Return what is known of a task at this moment, or None if it is unknown."""
        return self._ledger.info(task_id)

    def get_all_tasks(
        self,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        limit: int | None = None,
        older_than: timedelta | float | None = None,
    ) -> list[TaskInfo]:
        """Return the known tasks that match, newest first.

        Args:
            status: Only tasks of this status, or of one of several; also as text.
            limit: At most this many; None for all.
            older_than: Only tasks added at least this long ago, as a timedelta or in seconds.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: A status is unknown, or an argument is negative.
        """
        statuses = None if status is None else checked_statuses(status)
        limit = checked_optional_count("limit", limit, least=0)
        age = checked_optional_seconds("older_than", older_than, zero=True)
        return [record.info() for record in self._ledger.select(statuses, limit, age)]

    async def fetch_task_info(self, task_id: str) -> TaskInfo | None:
        """Return what the backend knows of a task, or None.

        In memory that is what :meth:`get_task_info` returns. A backend that keeps tasks
        elsewhere also finds those this worker no longer remembers, or never had.

        Raises:
            StorageError: The file of the tasks could not be read.
        """
        return await self._backend.fetch(task_id)

    async def search_tasks(
        self,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        task_type: str | None = None,
        before: datetime | None = None,
        after: datetime | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> TaskPage:
        """Return a page of the tasks the backend knows, newest first.

        A page can be short, even empty, and still have a ``next_cursor``: a search stops where it
        would take too long. That is not the end. Only a page without a ``next_cursor`` is the last.

        Args:
            status: Only tasks of this status, or of one of several; also as text.
            task_type: Only tasks of this name.
            before: Only tasks added earlier than this moment (an aware datetime).
            after: Only tasks added at this moment or later.
            text: Only tasks in whose id, name, error or metadata values it occurs, in
                upper or lower case.
            limit: At most this many, at least 1.
            cursor: The ``next_cursor`` of the page before, which was asked for with the same filters
                (*limit* may differ). It stays valid while tasks come and go, and across a stop and a start.

        Raises:
            TypeError: An argument is of the wrong type.
            StorageError: The file of the tasks could not be read.
            ValueError: A status is unknown, a moment has no time zone, *limit* is less than 1, or
                the cursor was edited, is another worker's or was returned for other filters.
        """
        for name, value in (("task_type", task_type), ("text", text), ("cursor", cursor)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {value!r}")
        query = TaskQuery(
            statuses=None if status is None else checked_statuses(status),
            task_type=task_type,
            before=timestamp_of("before", before),
            after=timestamp_of("after", after),
            text=text.casefold() if text else None,
            limit=checked_count("limit", limit),
            cursor=cursor,
        )
        return await self._backend.search(query)

    @property
    def unregistered_tasks(self) -> dict[str, int]:
        """How many stored tasks wait for a function that is not registered in this process, by its name.

        They are pending, in the phase ``"unregistered"``, and run as soon as it is registered.
        """
        return self._capabilities.unregistered_tasks()

    def storage_error(self) -> StorageError | None:
        """Return why tasks cannot be stored, or None; on a running durable worker, look whether its file is there.

        While there is such an error, ``add_task`` raises it too. In memory there is none.
        """
        return self._capabilities.storage_error()
