"""Errors of the worker and its storage, as the problems a client is told of: none of them is a 500."""

from __future__ import annotations

from typing import Final, NamedTuple

from async_cache.exceptions import AsyncCacheError, CacheUnavailableError, InvalidCacheKeyError

from ...exceptions import (
    ForkedWorkerError,
    NotRegisteredError,
    QueueFullError,
    StorageDamagedError,
    StorageError,
    TaskNotFoundError,
    WorkerNotRunningError,
    WrongEventLoopError,
)
from ..problems import Problem


class _Mapping(NamedTuple):
    """How an error is told: the problem's code, its text, and the seconds after which to try again, if ever."""

    error: type[Exception]
    code: str
    detail: str | None = None
    retry_after: int | None = None


_MAPPINGS: Final = (  # the first that fits counts
    _Mapping(
        ForkedWorkerError, "wrong_process", "the worker was started in another process: start one in this process"
    ),
    _Mapping(WrongEventLoopError, "wrong_event_loop", "the worker was started on another event loop than the server's"),
    _Mapping(WorkerNotRunningError, "not_running", None, 1),
    _Mapping(StorageDamagedError, "storage_failed", "the file of the tasks is damaged or was replaced"),
    _Mapping(StorageError, "storage_failed", "the file of the tasks cannot be read or written at the moment", 5),
    _Mapping(CacheUnavailableError, "cache_unavailable", "the storage behind the cache did not answer", 5),
    _Mapping(InvalidCacheKeyError, "invalid_params", "these params make no valid cache key"),
    _Mapping(AsyncCacheError, "cache_unavailable", "the cache cannot do this"),
    _Mapping(QueueFullError, "queue_full", "submit it again later", 1),
    _Mapping(NotRegisteredError, "unknown_task_type"),
    _Mapping(TaskNotFoundError, "task_not_found"),
)
MAPPED_ERRORS: Final = tuple(mapping.error for mapping in _MAPPINGS)
"""The errors that :func:`problem_of` knows."""


def problem_of(error: Exception) -> Problem:
    """Return the problem that tells a client of an error in :data:`TOLD`.

    The error's own text is left out: it may name files and hosts.
    """
    mapping = next(mapping for mapping in _MAPPINGS if isinstance(error, mapping.error))
    headers = None if mapping.retry_after is None else {"Retry-After": str(mapping.retry_after)}
    return Problem(mapping.code, mapping.detail, headers=headers)
