"""Mapping of the worker's errors to problems: which code, and so which HTTP status, each error gets."""

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
    """The problem for an error: its code, its detail, and the seconds of ``Retry-After`` (None for no such header)."""

    error: type[Exception]
    code: str
    detail: str | None = None
    retry_after: int | None = None


_MAPPINGS: Final = (  # the first one that matches applies, so subclasses come first
    _Mapping(
        ForkedWorkerError, "wrong_process", "the worker was started in another process: start a worker in this process"
    ),
    _Mapping(WrongEventLoopError, "wrong_event_loop", "the worker was started on another event loop than the server's"),
    _Mapping(WorkerNotRunningError, "not_running", None, 1),
    _Mapping(StorageDamagedError, "storage_failed", "the database file is damaged or was replaced"),
    _Mapping(StorageError, "storage_failed", "the database file cannot be read or written at the moment", 5),
    _Mapping(CacheUnavailableError, "cache_unavailable", "the storage of the cache did not respond", 5),
    _Mapping(InvalidCacheKeyError, "invalid_params", "no cache key can be made of these params"),
    _Mapping(AsyncCacheError, "cache_unavailable", "the cache cannot do this"),
    _Mapping(QueueFullError, "queue_full", "submit the task again later", 1),
    _Mapping(NotRegisteredError, "unknown_task_type"),
    _Mapping(TaskNotFoundError, "task_not_found"),
)
MAPPED_ERRORS: Final = tuple(mapping.error for mapping in _MAPPINGS)
"""The errors that :func:`problem_of` accepts."""


def problem_of(error: Exception) -> Problem:
    """Return the problem for an error in :data:`MAPPED_ERRORS`.

    The message of the error is left out, since it may contain names of files and hosts.
    """
    mapping = next(mapping for mapping in _MAPPINGS if isinstance(error, mapping.error))
    headers = None if mapping.retry_after is None else {"Retry-After": str(mapping.retry_after)}
    return Problem(mapping.code, mapping.detail, headers=headers)
