"""Log records about tasks that failed, or whose code failed after their end."""

from __future__ import annotations

from types import TracebackType

from ..model.failure import exc_info_of
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger

logger = SafeLogger("async_task_worker.pool")


def log_failure(record: TaskRecord, error: BaseException) -> None:
    """Log the error of a failed task, with its traceback."""
    log_error(record, error, "Task %s (%s) failed", record.traceback)


def log_error(record: TaskRecord, error: BaseException, text: str, traceback: TracebackType | None = None) -> None:
    """Log an error about a task.

    Args:
        record: The task.
        error: The exception.
        text: The message, with placeholders for the id and the name of the task.
        traceback: The traceback of *error*; None for its ``__traceback__``.
    """
    exc_info = exc_info_of(error, traceback)
    logger.error(text, record.id, record.function.name, exc_info=exc_info, extra=record.log_fields())
