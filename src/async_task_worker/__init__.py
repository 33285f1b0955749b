"""Background tasks for asyncio programs: priorities, progress, cancellation, events."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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
from .model.clock import Clock
from .model.query import TaskPage
from .model.registry import get_all_task_types, get_task_function, register_task, task
from .model.status import ErrorDetail, MissingResult, TaskInfo, TaskStatus
from .runtime.executor import TaskExecutor
from .runtime.pool import WorkerPool
from .runtime.queue import TaskQueue
from .state.events import EventStream, TaskEvent
from .state.progress import ProgressCallback
from .task_worker_api import create_task_worker_router
from .worker import AsyncTaskWorker

if TYPE_CHECKING:
    from async_cache import CacheAdapter

    from .caching.adapter import AsyncCacheAdapter
    from .caching.exceptions import CacheUnavailableError, InvalidCacheKeyError, PrefixRequiredError
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
    "AsyncCacheAdapter": ".caching.adapter",
    "CacheAdapter": "async_cache",
    "CacheUnavailableError": ".caching.exceptions",
    "InvalidCacheKeyError": ".caching.exceptions",
    "Limits": ".web",
    "PrefixRequiredError": ".caching.exceptions",
    "redact_names": ".web",
}
"""Names whose modules are imported when they are first asked for: many programs need neither cache nor HTTP."""

for _value_class in (Clock, ErrorDetail, MissingResult, TaskEvent, TaskInfo, TaskPage, TaskStatus):
    # Stored results and pickles name a class by its module: that must not change when a file of ours moves.
    _value_class.__module__ = __name__
del _value_class


def __getattr__(name: str) -> Any:
    """Import the module behind a name of ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
    return found
