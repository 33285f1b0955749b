"""Slot: a place where one task runs at a time, and the reason why that task was asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from ..exceptions import TaskTimeoutError
from ..model.failure import exc_info_of
from ..model.outcome import CANCELLED_OUTCOME, Ending, StopReason, failed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger

logger = SafeLogger("async_task_worker.executor")

OnStop = Callable[[TaskRecord], Ending]
"""Returns how a run ends that the stop of the worker interrupts."""


def cancelled_on_stop(_record: TaskRecord) -> Ending:
    """Return the ending of a task that the stop of the worker cancels."""
    return CANCELLED_OUTCOME


class Cancellable(Protocol):
    """What a running task is cancelled through: its asyncio Task, or what a task factory returned."""

    def cancel(self) -> object:
        """Request cancellation."""


class Slot:
    """A place to run one task at a time.

    Why a task was asked to stop is kept as a flag. It is never derived from ``Task.cancelling()``:
    user code can leave that count at any number, and a coroutine can swallow a cancellation.

    Args:
        on_interrupt: Called when the task is asked to stop, before it is cancelled.
        on_stop: Returns how the task ends if the stop of the worker interrupts it.

    Attributes:
        record: The task that runs here, or None.
        task: Its asyncio Task, or what a task factory returned in its place; None while an eager
            Task takes its first step.
        stop_reason: Why the task was asked to stop, or None.
        abandoned: Whether its task did not stop in time. The slot is never used again.
        has_hooks: Whether the end of the task needs more than the usual steps: a timer to cancel,
            a waiter to resolve, a wait to count out, or the slot is abandoned or one too many.
        grace_timer: Calls the pool at the end of the grace period, if the task was asked to stop.
        timeout_timer: Interrupts the task at its timeout, if it has one.
    """

    __slots__ = (
        "_finished",
        "_on_interrupt",
        "_on_stop",
        "abandoned",
        "grace_timer",
        "has_hooks",
        "record",
        "stop_reason",
        "task",
        "timeout_timer",
    )

    def __init__(self, on_interrupt: Callable[[Slot, TaskRecord], None], on_stop: OnStop = cancelled_on_stop) -> None:
        self._on_interrupt = on_interrupt
        self._on_stop = on_stop
        self.record: TaskRecord | None = None
        self.task: Cancellable | None = None
        self.stop_reason: StopReason | None = None
        self.abandoned = False
        self.has_hooks = False
        self.grace_timer: asyncio.TimerHandle | None = None
        self.timeout_timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None

    def interrupt(self, reason: StopReason) -> None:
        """Ask the task to stop. Only the first call for a task counts: a later reason changes nothing."""
        if self.stop_reason is None and self.record is not None:
            self.stop_reason = reason
            self.has_hooks = True
            self._on_interrupt(self, self.record)
            self.cancel()

    def cancel(self) -> None:
        """Cancel the asyncio Task. If that raises, which a future of user code may do, the error is logged."""
        try:
            if self.task is not None:
                self.task.cancel()
        except BaseException as error:
            extra = None if self.record is None else self.record.log_fields()
            logger.exception("What a task waits for could not be cancelled", exc_info=exc_info_of(error), extra=extra)

    def start_timeout(self, seconds: float) -> None:
        """Interrupt the task in *seconds* from now. Replaces a timeout started before."""
        self.has_hooks = True
        if self.timeout_timer is not None:
            self.timeout_timer.cancel()
        self.timeout_timer = asyncio.get_running_loop().call_later(
            seconds, self.interrupt, StopReason.TIMEOUT, context=Context()
        )

    async def wait_finished(self) -> None:
        """Wait until the task has ended. Cancelling this call affects neither the task nor other waiters."""
        if self._finished is None:
            self._finished = asyncio.get_running_loop().create_future()
            self.has_hooks = True
        await asyncio.wait([self._finished])

    def reset(self) -> None:
        """Cancel the timers, resolve the waiters and clear the stop reason: the task has ended."""
        for timer in (self.grace_timer, self.timeout_timer):
            if timer is not None:
                timer.cancel()
        if self._finished is not None and not self._finished.get_loop().is_closed():
            self._finished.set_result(None)
        self.has_hooks = False
        self.stop_reason = self.grace_timer = self.timeout_timer = self._finished = None

    def interrupted_ending(self, record: TaskRecord, error: BaseException | None = None) -> Ending:
        """Return how the task ends for the reason it was asked to stop.

        Args:
            record: The task.
            error: What the task raised after that; it becomes the cause of a TaskTimeoutError.
        """
        if self.stop_reason is StopReason.STOP:
            return self._on_stop(record)
        if self.stop_reason is not StopReason.TIMEOUT:
            return CANCELLED_OUTCOME
        late = TaskTimeoutError(f"Task timed out after {record.timeout:g} seconds", task_id=record.id)
        late.__cause__ = error
        return failed(late)
