"""Health, statistics and cache statistics of the worker, as response bodies."""

from __future__ import annotations

from typing import Any, Final

from ...exceptions import TaskWorkerError
from ...model.failure import exc_info_of
from ...model.rendering import rendered, text
from ...model.safe_logger import SafeLogger
from ...model.status import PENDING, RUNNING, TaskStatus
from ..problems import Problem
from ..server_shutdown import ServerShutdown
from ..worker_protocol import WebWorker, WorkerFeatures
from .error_mapping import problem_of

_MAX_STATISTICS: Final = 16 << 10
"""Characters of the cache's statistics."""

_OK: Final = "ok"

logger = SafeLogger("async_task_worker.web.health")


class WorkerReports:
    """Builds the bodies of ``/health``, ``/stats`` and ``/cache``.

    Args:
        worker: The worker to report on.
        shutdown: Whether the server is shutting down.
        show_details: Whether ``/health`` has ``details``. Only for a router that protects its health endpoints.
    """

    def __init__(self, worker: WebWorker, shutdown: ServerShutdown, *, show_details: bool = False) -> None:
        self._worker = worker
        self._features = WorkerFeatures(worker)
        self._shutdown = shutdown
        self._show_details = show_details

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/health``: 503 unless tasks are accepted and can be stored."""
        worker, counts = self._worker, self._worker.counts()
        status = self._status()
        body = {
            "status": status,
            "worker_count": worker.max_workers,
            "queue_size": counts[PENDING],
            "running": counts[RUNNING],
            "abandoned_tasks": worker.abandoned_tasks,
        }
        if self._show_details:
            body["details"] = self._details()
        return (200 if status == _OK else 503), body

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of ``/health/ready``: 503 also while the server shuts down."""
        ready = self._status() == _OK and not self._shutdown.has_begun
        return (200 if ready else 503), {"status": "ready" if ready else "not ready"}

    def stats(self) -> dict[str, Any]:
        """Return how many tasks there are in each status, and how many slots are busy."""
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
        """Return the settings and statistics of the cache. A worker without a cache has it disabled."""
        cache = self._features.cache
        return {
            "enabled": bool(getattr(cache, "enabled", False)),
            "default_ttl": rendered(getattr(cache, "default_ttl", None), _MAX_STATISTICS),
            "statistics": rendered(_statistics_of(cache), _MAX_STATISTICS),
        }

    async def clear_cache(self) -> None:
        """Remove every cached result."""
        await self._features.clear_cache()

    def _status(self) -> str:
        """Return "ok" if tasks are accepted, or why not; "failing" if the tasks' file cannot be used."""
        try:
            self._features.check_loop()
        except TaskWorkerError as error:
            return problem_of(error).code
        if not self._worker.is_running:
            return "stopped"
        return _OK if self._features.storage_error() is None else "failing"

    def _details(self) -> dict[str, Any]:
        """Return the part of ``/health`` that only authorized callers see."""
        features, error = self._features, self._features.storage_error()
        return {
            "is_running": self._worker.is_running,
            "max_queue_size": features.max_queue_size,
            "storage_error": None if error is None else text(str(error)),
            "unregistered_tasks": {text(name): count for name, count in features.unregistered_tasks.items()},
            "has_cache": features.has_cache,
            "server_exits": self._shutdown.has_begun,
        }


def _statistics_of(cache: Any) -> Any:
    """Return the statistics of a cache, which are an attribute or a method of it; an empty dict if it has none."""
    try:
        statistics = getattr(cache, "statistics", None)
        found = statistics() if callable(statistics) else statistics
    except Exception as error:
        logger.exception("The statistics of the cache cannot be read", exc_info=exc_info_of(error))
        raise Problem("cache_unavailable", "its statistics cannot be read") from None
    return {} if found is None else found
