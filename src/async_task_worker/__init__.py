"""Background tasks for asyncio programs: priorities, progress, cancellation, events."""

import logging
from typing import TYPE_CHECKING, Any

from .events import EventStream, TaskEvent
from .exceptions import (
    DuplicateTaskError,
    ForkedWorkerError,
    NotRegisteredError,
    NotStorableError,
    QueueFullError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    TaskCancelledError,
    TaskFailedError,
    TaskInterruptedError,
    TaskNotFoundError,
    TaskTimeoutError,
    TaskWorkerError,
    WorkerNotRunningError,
    WrongEventLoopError,
)
from .executor import TaskExecutor
from .ledger import ProgressCallback
from .pool import WorkerPool
from .queue import TaskQueue
from .registry import get_all_task_types, get_task_function, register_task, task
from .search import TaskPage
from .status import MissingResult, TaskInfo, TaskStatus
from .task_worker_api import create_task_worker_router
from .worker import AsyncTaskWorker

if TYPE_CHECKING:
    from async_cache import CacheAdapter

    from .cache import AsyncCacheAdapter

__all__ = [
    "AsyncCacheAdapter",
    "AsyncTaskWorker",
    "CacheAdapter",
    "DuplicateTaskError",
    "EventStream",
    "ForkedWorkerError",
    "MissingResult",
    "NotRegisteredError",
    "NotStorableError",
    "ProgressCallback",
    "QueueFullError",
    "StorageDamagedError",
    "StorageError",
    "StorageInUseError",
    "TaskCancelledError",
    "TaskEvent",
    "TaskExecutor",
    "TaskFailedError",
    "TaskInfo",
    "TaskInterruptedError",
    "TaskNotFoundError",
    "TaskPage",
    "TaskQueue",
    "TaskStatus",
    "TaskTimeoutError",
    "TaskWorkerError",
    "WorkerNotRunningError",
    "WorkerPool",
    "WrongEventLoopError",
    "create_task_worker_router",
    "get_all_task_types",
    "get_task_function",
    "register_task",
    "task",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library's log is its user's to switch on


def __getattr__(name: str) -> Any:
    """Bring in the cache once somebody asks for a part of it: many programs never do."""
    if name == "AsyncCacheAdapter":
        from .cache import AsyncCacheAdapter as found  # noqa: N813, PLC0415
    elif name == "CacheAdapter":
        from async_cache import CacheAdapter as found  # type: ignore[assignment]  # noqa: N813, PLC0415
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
