"""Records without a worker, and a clock that a test moves."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

from uuid_utils import uuid4

from async_task_worker.model.clock import Clock
from async_task_worker.model.outcome import CANCELLED_OUTCOME, Outcome, completed, failed
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.record_factory import create_record
from async_task_worker.model.status import TaskStatus
from async_task_worker.state.ledger import Ledger

ENDINGS: dict[TaskStatus, Outcome] = {
    TaskStatus.COMPLETED: completed("result"),
    TaskStatus.FAILED: failed(ValueError("wrong")),
    TaskStatus.CANCELLED: CANCELLED_OUTCOME,
}


class ManualClock:
    """A clock that a test sets: ``mono`` and ``wall`` are the times it returns."""

    def __init__(self, mono: float = 500.0, wall: float = 1_735_689_600.0) -> None:
        self.mono, self.wall = mono, wall
        self.clock = Clock(lambda: self.wall, lambda: self.mono)

    def advance(self, seconds: float) -> None:
        """Move both times on."""
        self.mono += seconds
        self.wall += seconds


async def nothing() -> None:
    """Do nothing."""


def new_record(
    func: Any = nothing,
    *args: Any,
    priority: int = 0,
    task_id: str | None = None,
    timeout: float | None = None,
    metadata: Mapping[Any, Any] | None = None,
    **kwargs: Any,
) -> TaskRecord:
    """Return a task that no ledger has admitted yet."""
    return create_record(
        func,
        args,
        kwargs or None,
        priority=priority,
        timeout=timeout,
        metadata=metadata,
        task_id=task_id,
        new_id=uuid4,
    )


def admitted(ledger: Ledger, *args: Any, status: TaskStatus = TaskStatus.PENDING, **options: Any) -> TaskRecord:
    """Return a task of *ledger*, moved to that status."""
    record = new_record(*args, **options)
    ledger.admit(record)
    if status is not TaskStatus.PENDING:
        assert ledger.start(record)
    if status in ENDINGS:
        assert ledger.settle(record, ENDINGS[status])
    return record


def records_alive() -> int:
    """Return how many records are still referenced."""
    gc.collect()
    return sum(type(found) is TaskRecord for found in gc.get_objects())
