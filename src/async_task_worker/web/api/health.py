"""How the worker is doing, as numbers: for people, for load balancers, and for the event stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ...exceptions import TaskWorkerError
from ...model.failure import exc_info_of
from ...model.status import PENDING, RUNNING, TaskStatus
from ..problems import Problem
from ..rendering.json_text import rendered, text
from ..server_shutdown import ServerExit
from .error_mapping import problem_of

_MOST_STATISTICS: Final = 16 << 10
_WELL: Final = "ok"

logger = logging.getLogger("async_task_worker.web.health")


def _no_check() -> None:
    """Stand for a check that the worker does not have."""


class Counted(Protocol):
    """What there is to be known of a worker as a whole."""

    @property
    def is_running(self) -> bool:
        """Whether it takes tasks."""
        ...

    @property
    def max_workers(self) -> int:
        """How many tasks may run at once."""
        ...

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks were left behind and still go on."""
        ...

    def counts(self) -> Mapping[TaskStatus, int]:
        """Return how many of the known tasks are in each status."""
        ...


class Service:
    """What is told of one worker.

    Args:
        worker: Whose numbers they are.
        server_exit: Tells whether the server is about to exit.
        shows_details: Whether health tells more than the status and counts: who asks is allowed to know.
    """

    def __init__(self, worker: Counted, server_exit: ServerExit, *, shows_details: bool = False) -> None:
        self._worker = worker
        self.server_exit = server_exit
        self._shows_details = shows_details

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/health``: 503 unless tasks are taken and can be stored."""
        worker, counts = self._worker, self._worker.counts()
        status = self._status()
        body = {
            "status": status,
            "worker_count": worker.max_workers,
            "queue_size": counts[PENDING],
            "running": counts[RUNNING],
            "abandoned_tasks": worker.abandoned_tasks,
        }
        if self._shows_details:
            body["details"] = self._details()
        return (200 if status == _WELL else 503), body

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/health/ready``: 503 also while the server exits."""
        ready = self._status() == _WELL and not self.server_exit.is_near
        return (200 if ready else 503), {"status": "ready" if ready else "not ready"}

    def _status(self) -> str:
        """Return "ok" if tasks are taken, or why not; "failing" if the file of the tasks is not where it was."""
        try:
            getattr(self._worker, "check_loop", _no_check)()
        except TaskWorkerError as error:
            return problem_of(error).code
        if not self._worker.is_running:
            return "stopped"
        return _WELL if self._storage_error() is None else "failing"

    def _storage_error(self) -> Exception | None:
        """Return why tasks cannot be stored, if the worker stores them."""
        look: Callable[[], Exception | None] = getattr(self._worker, "storage_error", _no_check)
        return look()

    def _details(self) -> dict[str, Any]:
        """Return what is told of the worker only to those who are allowed to ask."""
        return {
            "is_running": self._worker.is_running,
            "max_queue_size": getattr(self._worker, "max_queue_size", None),
            "storage_error": None if (error := self._storage_error()) is None else text(str(error)),
            "unregistered_tasks": {
                text(name): count for name, count in getattr(self._worker, "unregistered_tasks", {}).items()
            },
            "has_cache": bool(getattr(self._worker, "has_cache", False)),
            "server_exits": self.server_exit.is_near,
        }

    def stats(self) -> dict[str, Any]:
        """Return the numbers of this moment."""
        counts = self._worker.counts()
        return {
            "tasks": {str(status): counts[status] for status in TaskStatus},
            "slots": {
                "total": self._worker.max_workers,
                "busy": min(counts[RUNNING], self._worker.max_workers),
                "abandoned_tasks": self._worker.abandoned_tasks,
            },
            "is_running": self._worker.is_running,
        }

    def cache(self) -> dict[str, Any]:
        """Return what the cache tells of itself; a worker without one has it switched off."""
        cache = getattr(self._worker, "cache", None) if getattr(self._worker, "has_cache", True) else None
        try:
            statistics = getattr(cache, "statistics", None)
            told = statistics() if callable(statistics) else statistics
        except Exception as error:
            logger.exception("The statistics of the cache cannot be read", exc_info=exc_info_of(error))
            raise Problem("cache_unavailable", "its statistics cannot be read") from None
        return {
            "enabled": bool(getattr(cache, "enabled", False)),
            "default_ttl": rendered(getattr(cache, "default_ttl", None), _MOST_STATISTICS),
            "statistics": rendered({} if told is None else told, _MOST_STATISTICS),
        }

    async def clear_cache(self) -> None:
        """Forget every cached result."""
        clear = getattr(self._worker, "clear_cache", None)
        if clear is not None:
            await clear()
