"""What can go wrong, and how to fix it: each error's ``__doc__`` is its message.

It is assigned, because ``python -OO`` removes docstrings and a message must not depend on that.
Mistakes in an argument's type or value raise the builtin ``TypeError`` or
``ValueError``; the classes here name the situations a program may want to catch.
"""

from __future__ import annotations


class TaskWorkerError(Exception):
    """Base class of every error of this package's own.

    Args:
        detail: What happened here, in front of the class's own text.
        task_id: The task concerned, kept as :attr:`task_id`.
    """

    task_id: str | None

    def __init__(self, detail: str | None = None, *, task_id: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))
        self.task_id = task_id

    def __str__(self) -> str:
        """Return what happened, then the text of the class or of the nearest base class that has one."""
        return ": ".join([*map(str, self.args), _text(type(self))])


def _text(error: type[TaskWorkerError]) -> str:
    own = error.__mro__[: error.__mro__.index(TaskWorkerError)]
    return next((cls.__doc__ for cls in own if cls.__doc__ and issubclass(cls, TaskWorkerError)), error.__name__)


class TaskNotFoundError(TaskWorkerError, KeyError):
    __doc__ = (
        "No task with this id is known here. It was never added, or its record is past its retention. "
        "A durable task that ended in an earlier process is found by fetch_task_info()."
    )


class DuplicateTaskError(TaskWorkerError, ValueError):
    __doc__ = "A task with this id exists already. Omit task_id to have one made, or choose another."


class WorkerNotRunningError(TaskWorkerError, RuntimeError):
    __doc__ = "The worker is not running. Call await worker.start() first, or use `async with worker:`."


class WrongEventLoopError(TaskWorkerError, RuntimeError):
    __doc__ = "The worker runs on another event loop. Go through asyncio.run_coroutine_threadsafe(..., loop)."


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
        """Say how long the task was allowed."""
        return str(self.args[0]) if self.args else super().__str__()


class TaskInterruptedError(TaskWorkerError):
    __doc__ = (
        "The worker stopped while running this task, which must not run twice. See what it did before you add it again."
    )


class NotRegisteredError(TaskWorkerError, LookupError):
    __doc__ = 'The function is not registered. Put @task("a name") above it, or import the module that does.'


class NotStorableError(TaskWorkerError, TypeError):
    __doc__ = (
        "The arguments of a durable task are stored in its file, and these cannot be. Pass plain data or a dataclass."
    )

    parameter: str | None
    """The parameter whose argument cannot be written; None if it is something else, or all of them together."""

    def __init__(self, detail: str | None = None, *, task_id: str | None = None, parameter: str | None = None) -> None:
        super().__init__(detail, task_id=task_id)
        self.parameter = parameter


class StorageError(TaskWorkerError, OSError):
    __doc__ = "The file of the tasks could not be used, and is left as it was. Fix the cause and try again."


class StorageInUseError(StorageError):
    __doc__ = (
        "Another worker has this file of tasks open. Stop that one first, or give this one a file of its own. "
        "To use the same tasks from another process, go through the HTTP API of the worker that has the file."
    )


class StorageDamagedError(StorageError):
    __doc__ = "The file cannot be read as a file of tasks. Choose another one, or restore a backup."


class ForkedWorkerError(TaskWorkerError, RuntimeError):
    __doc__ = "A worker belongs to the process that started it. Make another one after the fork."
