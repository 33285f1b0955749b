"""Errors of this package. The ``__doc__`` of each class is its message: what is wrong and how to fix it.

It is assigned, because ``python -OO`` removes docstrings. An argument of a wrong type or value raises
the builtin ``TypeError`` or ``ValueError``; the classes here are for situations that a program may
want to catch.
"""

from __future__ import annotations


class TaskWorkerError(Exception):
    """Base class of all errors of this package.

    Args:
        detail: What happened; the message begins with it and ends with the text of the class.
        task_id: The id of the task, kept as :attr:`task_id`.
    """

    task_id: str | None

    def __init__(self, detail: str | None = None, *, task_id: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))
        self.task_id = task_id

    def __str__(self) -> str:
        """Return the detail, then the text of the class, or of its nearest base class that has one."""
        return ": ".join([*map(str, self.args), _text(type(self))])


def _text(error: type[TaskWorkerError]) -> str:
    own = error.__mro__[: error.__mro__.index(TaskWorkerError)]
    return next((cls.__doc__ for cls in own if cls.__doc__ and issubclass(cls, TaskWorkerError)), error.__name__)


class TaskNotFoundError(TaskWorkerError, KeyError):
    __doc__ = (
        "No task with this id is known here. It was never added, or its record is past its retention. "
        "fetch_task_info() finds a durable task that ended in an earlier process."
    )


class DuplicateTaskError(TaskWorkerError, ValueError):
    __doc__ = "A task with this id exists already. Omit task_id to get a new id, or choose another one."


class WorkerNotRunningError(TaskWorkerError, RuntimeError):
    __doc__ = "The worker is not running. Call await worker.start() first, or use `async with worker:`."


class WrongEventLoopError(TaskWorkerError, RuntimeError):
    __doc__ = "The worker runs on another event loop. Use asyncio.run_coroutine_threadsafe(..., loop)."


class QueueFullError(TaskWorkerError):
    __doc__ = "The queue holds max_queue_size tasks. Add again later, or raise the limit."


class TaskFailedError(TaskWorkerError):
    __doc__ = "The task failed; its own error is the __cause__ of this one."


class TaskCancelledError(TaskWorkerError):
    __doc__ = "The task was cancelled before it had a result."


class ResultDroppedError(TaskWorkerError):
    __doc__ = (
        "The task completed, but its result was dropped to save memory. Read it sooner, or raise max_result_bytes."
    )


class TaskTimeoutError(TaskWorkerError, TimeoutError):
    __doc__ = "The task ran longer than its timeout allows."

    def __str__(self) -> str:
        """Return the detail alone, which has the timeout."""
        return str(self.args[0]) if self.args else super().__str__()


class TaskInterruptedError(TaskWorkerError):
    __doc__ = (
        "The worker stopped while this task ran, which must not run twice. "
        "Check what it has done before you add it again."
    )


class NotRegisteredError(TaskWorkerError, LookupError):
    __doc__ = 'The function is not registered. Put @task("a name") above it, or import the module that does.'


class NotStorableError(TaskWorkerError, TypeError):
    __doc__ = (
        "The arguments of a durable task are stored in its file, and these cannot be. Pass plain data or a dataclass."
    )

    parameter: str | None
    """The parameter whose argument cannot be stored; None if it is not one argument that is wrong."""

    def __init__(self, detail: str | None = None, *, task_id: str | None = None, parameter: str | None = None) -> None:
        super().__init__(detail, task_id=task_id)
        self.parameter = parameter


class StorageError(TaskWorkerError, OSError):
    __doc__ = "The file of the tasks could not be used, and was not changed. Fix the cause and try again."


class StorageInUseError(StorageError):
    __doc__ = (
        "Another worker has this file of tasks open. Stop that worker first, or use another file. "
        "To use the same tasks from another process, use the HTTP API of the worker that has the file."
    )


class StorageDamagedError(StorageError):
    __doc__ = "The file is not a readable database of tasks. Choose another file, or restore a backup."


class ForkedWorkerError(TaskWorkerError, RuntimeError):
    __doc__ = "A worker can be used only in the process that started it. Create another one after the fork."
