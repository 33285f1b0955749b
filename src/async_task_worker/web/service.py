"""How the worker is doing, as numbers: for people, for load balancers, and for the event stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from ..status import PENDING, RUNNING, TaskStatus
from .rendering import rendered
from .waits import ServerExit

_MOST_STATISTICS: Final = 16 << 10


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
    """

    def __init__(self, worker: Counted, server_exit: ServerExit) -> None:
        self._worker = worker
        self._exit = server_exit

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
        return (200 if status == "ok" else 503), body

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/health/ready``: 503 also while the server exits."""
        ready = self._status() == "ok" and not self._exit.is_near
        return (200 if ready else 503), {"status": "ready" if ready else "not ready"}

    def _status(self) -> str:
        """Return "ok", "stopped", or "failing" if the file of the tasks is not where it was."""
        if not self._worker.is_running:
            return "stopped"
        storage_error = getattr(self._worker, "storage_error", None)  # not every worker has storage
        return "ok" if storage_error is None or storage_error() is None else "failing"

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
        statistics = getattr(cache, "statistics", None)
        told = statistics() if callable(statistics) else statistics
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
