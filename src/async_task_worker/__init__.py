"""Background tasks for asyncio programs: priorities, progress, cancellation, events."""

import logging

from .events import EventStream, TaskEvent
from .exceptions import (
    DuplicateTaskError,
    QueueFullError,
    TaskCancelledError,
    TaskFailedError,
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
from .status import TaskInfo, TaskStatus
from .worker import AsyncTaskWorker

__all__ = [
    "AsyncTaskWorker",
    "DuplicateTaskError",
    "EventStream",
    "ProgressCallback",
    "QueueFullError",
    "TaskCancelledError",
    "TaskEvent",
    "TaskExecutor",
    "TaskFailedError",
    "TaskInfo",
    "TaskNotFoundError",
    "TaskQueue",
    "TaskStatus",
    "TaskTimeoutError",
    "TaskWorkerError",
    "WorkerNotRunningError",
    "WorkerPool",
    "WrongEventLoopError",
    "get_all_task_types",
    "get_task_function",
    "register_task",
    "task",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library's log is its user's to switch on
