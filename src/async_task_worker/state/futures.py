"""Turn finished tasks into finished futures.

A caller may ask for a future before, while or after its task runs; each call gets its
own, so one caller cancelling a future never disturbs another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from ..exceptions import ResultDroppedError, TaskFailedError, WorkerNotRunningError
from ..model.event_loop import is_waiting
from ..model.failure import bare_name, error_text
from ..model.record import DROPPED, TaskRecord
from ..model.status import CANCELLED, COMPLETED, FAILED
from ..model.tracebacks import mark_passed
from .events import EventBus

TaskFuture = asyncio.Future[Any]

_SAFE: Final = "It stopped before the task was done, which is safe in its file and runs after the next start"


class TaskFutures:
    """Futures for the results of tasks, resolved when the tasks end.

    Args:
        events: Calls back when a task ends that a future waits for. Other tasks cost nothing.
    """

    def __init__(self, events: EventBus) -> None:
        self._completion_callbacks = events.completion_callbacks
        self._waiting: dict[str, list[TaskFuture]] = {}

    def future_for(self, record: TaskRecord, future: TaskFuture | None = None) -> TaskFuture:
        """Return a new future for the task, or *future*; already done if the task is."""
        if future is None:
            future = asyncio.get_running_loop().create_future()
        if record.status is COMPLETED and record.result is not DROPPED:  # the most frequent case
            future.set_result(record.result)
        elif record.finished:
            resolve(future, record)
        else:
            self._wait(record.id, future)
        return future

    def fail_pending(self, is_pending: Callable[[str], bool]) -> None:
        """Fail the futures of tasks that stay pending although the worker stopped.

        Args:
            is_pending: Returns whether the task with this id stays pending.
        """
        for task_id in [task_id for task_id in self._waiting if is_pending(task_id)]:
            del self._completion_callbacks[task_id]
            for future in self._waiting.pop(task_id):
                if is_waiting(future):
                    future.set_exception(WorkerNotRunningError(_SAFE, task_id=task_id))
                    future.exception()  # retrieved, so that asyncio logs nothing if the future is never awaited

    def _wait(self, task_id: str, future: TaskFuture) -> None:
        futures = self._waiting.get(task_id)
        if futures is None:
            self._waiting[task_id] = [future]
            self._completion_callbacks[task_id] = self._settled
            return
        futures.append(future)
        if len(futures) & (len(futures) - 1) == 0:  # at each doubling, drop futures that were cancelled
            futures[:] = [waiting for waiting in futures if not waiting.done()]

    def _settled(self, record: TaskRecord) -> None:
        for future in self._waiting.pop(record.id):
            if is_waiting(future):
                resolve(future, record)


def resolve(future: TaskFuture, record: TaskRecord) -> None:
    """Set the result, the error or the cancellation of a finished task on *future*."""
    if record.status is CANCELLED:
        future.cancel()
    elif record.status is FAILED:
        future.set_exception(error_to_raise(record))
        future.exception()  # retrieved, so that asyncio logs nothing if the future is never awaited
    elif record.result is DROPPED:
        future.set_exception(_dropped(record))
        future.exception()
    else:
        future.set_result(record.result)


def result_of(record: TaskRecord) -> Any:
    """Return the result of a completed task.

    Raises:
        ResultDroppedError: It was dropped.
    """
    if record.result is DROPPED:
        raise _dropped(record)
    return record.result


def _dropped(record: TaskRecord) -> ResultDroppedError:
    return ResultDroppedError(repr(record.id), task_id=record.id)


def error_to_raise(record: TaskRecord) -> Exception:
    """Return the exception for callers that wait for a failed task: its own, if a future can hold it."""
    error = record.error
    kind = type(error)  # isinstance() would ask the error itself, which may raise
    if issubclass(kind, Exception) and not issubclass(kind, StopIteration):
        mark_passed(error, record.traceback)  # without the frames of earlier waiters
        return cast("Exception", error)
    return as_task_failed_error(record)


def as_task_failed_error(record: TaskRecord) -> TaskFailedError:
    """Return a TaskFailedError for a failed task, with the task's own error as its cause."""
    error = record.error
    failed = TaskFailedError(f"{bare_name(error)}: {error_text(error)}", task_id=record.id)
    failed.__cause__ = error
    return failed
