"""Outcomes: how a run of a task ended, as values."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal

from ..exceptions import TaskFailedError
from .status import CANCELLED, COMPLETED, FAILED, TaskInfo, TaskStatus

FinalStatus = Literal[TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED]

Outcome = tuple[FinalStatus, Any, BaseException | None]
"""The final status, the result and the error. A plain tuple, since each task needs one."""

CANCELLED_OUTCOME: Final[Outcome] = (CANCELLED, None, None)
"""The outcome of a task that was cancelled before it had a result."""


class Requeue(Enum):
    """Type of :data:`REQUEUE`."""

    REQUEUE = "requeue"


REQUEUE: Final = Requeue.REQUEUE
"""In place of an outcome: the run was interrupted before it had a result, and the task is to run again."""

Ending = Outcome | Requeue
"""How one run of a task ended: with the task's outcome, or without one."""


def completed(result: Any) -> Outcome:
    """Return the outcome of a function that returned *result*."""
    return COMPLETED, result, None


def failed(error: BaseException) -> Outcome:
    """Return the outcome of a function that raised *error*, or was stopped because of it."""
    return FAILED, None, error


def outcome_of(info: TaskInfo) -> Outcome:
    """Return the outcome of a finished task, from a snapshot of it."""
    if info.status is COMPLETED:
        return completed(info.result)
    if info.status is CANCELLED:
        return CANCELLED_OUTCOME
    error = None if info.error_detail is None else info.error_detail.exception
    return failed(TaskFailedError(info.error, task_id=info.id) if error is None else error)


class StopReason(Enum):
    """Why a running task was asked to stop. The first reason decides how it ends."""

    CANCEL = "cancelled by its user"
    TIMEOUT = "out of time"
    STOP = "cut off when the worker stopped"
