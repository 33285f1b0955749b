"""Background tasks for asyncio programs: priorities, progress, cancellation, events."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .clock import Clock
from .events import EventStream, TaskEvent
from .exceptions import (
    DuplicateTaskError,
    ForkedWorkerError,
    NotRegisteredError,
    NotStorableError,
    QueueFullError,
    ResultDroppedError,
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
from .query import TaskPage
from .queue import TaskQueue
from .registry import get_all_task_types, get_task_function, register_task, task
from .status import ErrorDetail, MissingResult, TaskInfo, TaskStatus
from .task_worker_api import create_task_worker_router
from .worker import AsyncTaskWorker

if TYPE_CHECKING:
    from async_cache import CacheAdapter

    from .cache import AsyncCacheAdapter
    from .cache_exceptions import CacheUnavailableError, InvalidCacheKeyError, PrefixRequiredError
    from .web import Limits, redact_names

__version__ = "1.0.0.dev0"

__all__ = [
    "AsyncCacheAdapter",
    "AsyncTaskWorker",
    "CacheAdapter",
    "CacheUnavailableError",
    "Clock",
    "DuplicateTaskError",
    "ErrorDetail",
    "EventStream",
    "ForkedWorkerError",
    "InvalidCacheKeyError",
    "Limits",
    "MissingResult",
    "NotRegisteredError",
    "NotStorableError",
    "PrefixRequiredError",
    "ProgressCallback",
    "QueueFullError",
    "ResultDroppedError",
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
    "redact_names",
    "register_task",
    "task",
]

_LAZY: Final = {
    "AsyncCacheAdapter": ".cache",
    "CacheAdapter": "async_cache",
    "CacheUnavailableError": ".cache_exceptions",
    "InvalidCacheKeyError": ".cache_exceptions",
    "Limits": ".web",
    "PrefixRequiredError": ".cache_exceptions",
    "redact_names": ".web",
}
"""Names whose modules are imported when they are first asked for: many programs need neither cache nor HTTP."""


def __getattr__(name: str) -> Any:
    """Import the module behind a name of ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
    return found
