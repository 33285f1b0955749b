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
from ..model.tracebacks import hand_over
from .events import EventBus

TaskFuture = asyncio.Future[Any]

_SAFE: Final = "It stopped before the task was done, which is safe in its file and runs after the next start"


class TaskFutures:
    """Futures waiting for their tasks, resolved as those end. A task nobody waits for costs nothing."""

    def __init__(self, events: EventBus) -> None:
        self._completion_callbacks = events.completion_callbacks
        self._waiting: dict[str, list[TaskFuture]] = {}

    def future_for(self, record: TaskRecord, future: TaskFuture | None = None) -> TaskFuture:
        """Return a new future for the task, or *future*; already done if the task is."""
        if future is None:
            future = asyncio.get_running_loop().create_future()
        if record.status is COMPLETED and record.result is not DROPPED:  # the usual case
            future.set_result(record.result)
        elif record.finished:
            resolve(future, record)
        else:
            self._wait(record.id, future)
        return future

    def fail_pending(self, is_pending: Callable[[str], bool]) -> None:
        """Let go whoever waits for a task that stays pending although the worker stopped."""
        for task_id in [task_id for task_id in self._waiting if is_pending(task_id)]:
            del self._completion_callbacks[task_id]
            for future in self._waiting.pop(task_id):
                if is_waiting(future):
                    future.set_exception(WorkerNotRunningError(_SAFE, task_id=task_id))
                    future.exception()  # it counts as seen: a future nobody awaits makes no noise

    def _wait(self, task_id: str, future: TaskFuture) -> None:
        futures = self._waiting.get(task_id)
        if futures is None:
            self._waiting[task_id] = [future]
            self._completion_callbacks[task_id] = self._settled
            return
        futures.append(future)
        if len(futures) & (len(futures) - 1) == 0:  # doubled: drop those whose caller has left
            futures[:] = [waiting for waiting in futures if not waiting.done()]

    def _settled(self, record: TaskRecord) -> None:
        for future in self._waiting.pop(record.id):
            if is_waiting(future):
                resolve(future, record)


def resolve(future: TaskFuture, record: TaskRecord) -> None:
    """Give *future* what the finished task ended with."""
    if record.status is CANCELLED:
        future.cancel()
    elif record.status is FAILED:
        future.set_exception(error_to_raise(record))
        future.exception()  # it counts as seen: a future nobody awaits makes no noise
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
    """Return what to raise for a failed task: its own error wherever a future can carry it."""
    error = record.error
    kind = type(error)  # isinstance() would ask the error itself, which may raise
    if issubclass(kind, Exception) and not issubclass(kind, StopIteration):
        hand_over(error, record.traceback)  # without the frames of earlier waiters
        return cast("Exception", error)
    return as_task_failed_error(record)


def as_task_failed_error(record: TaskRecord) -> TaskFailedError:
    """Return an error that names the failed task and has the task's own as its cause."""
    error = record.error
    failed = TaskFailedError(f"{bare_name(error)}: {error_text(error)}", task_id=record.id)
    failed.__cause__ = error
    return failed
