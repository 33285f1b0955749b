"""How one task runs: user code under its timeout, and an outcome whatever that code does."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Any, Final, Protocol, cast

from ..caching.lookup import CacheLookup
from ..exceptions import TaskTimeoutError
from ..model.event_loop import raise_in_loop
from ..model.failure import exc_info_of, traceback_of
from ..model.outcome import CANCELLED_OUTCOME, Ending, StopReason, completed, failed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.signatures import PROGRESS_PARAMETER
from ..model.status import COMPLETED
from ..model.tracebacks import leave
from ..state.progress import ProgressCallback
from .eager_start import suspend_once

logger = SafeLogger("async_task_worker.executor")

OnStop = Callable[[TaskRecord], Ending]
"""How a task ends that is cut off because the worker stops."""

ProgressFactory = Callable[[TaskRecord], ProgressCallback]
OnFinished = Callable[["Slot", TaskRecord, Ending], None]

_current: Final[ContextVar[TaskRecord | None]] = ContextVar("async_task_worker.current", default=None)


in_task: Final = _current.get
"""Returns something if the calling code runs in a task, also one that has ended. It costs less than a call."""


def cancelled_on_stop(record: TaskRecord) -> Ending:  # noqa: ARG001 - it is the same for every task
    """Return the ending of a task that the stop of the worker cancels."""
    return CANCELLED_OUTCOME


def current_record() -> TaskRecord | None:
    """Return the task this code runs in, in asyncio tasks and threads it started too, until it ends."""
    record = _current.get()
    return None if record is None or record.finished else record


class Cancellable(Protocol):
    """What a running task is told to stop through: its asyncio Task, or what a task factory made of it."""

    def cancel(self) -> object:
        """Throw a cancellation in."""


class Slot:
    """A place to run one task at a time: which it is, and why it was told to stop.

    The reason is a flag, never a count of ``cancelling()``: user code can leave that
    count at any number, and a coroutine can swallow a cancellation altogether.

    Attributes:
        record: The task that runs here, or None.
        task: Its asyncio Task, or what a task factory made in its place; None while that takes an eager first step.
        interruption: Why it was told to stop, or None.
        abandoned: Whether its task was left behind: the slot is never used again.
        has_hooks: Whether there is anything to do when the task ends: a timer to call off, a
            waiter to tell, or the slot is lost.
        deadline: When the pool gives up waiting for it to stop.
        timer: When its timeout is over.
    """

    __slots__ = (
        "_finished",
        "_on_interrupt",
        "_on_stop",
        "abandoned",
        "deadline",
        "has_hooks",
        "record",
        "stop_reason",
        "task",
        "timer",
    )

    def __init__(self, on_interrupt: Callable[[Slot, TaskRecord], None], on_stop: OnStop = cancelled_on_stop) -> None:
        self._on_interrupt = on_interrupt
        self._on_stop = on_stop
        self.record: TaskRecord | None = None
        self.task: Cancellable | None = None
        self.stop_reason: StopReason | None = None
        self.abandoned = False
        self.has_hooks = False
        self.deadline: asyncio.TimerHandle | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None

    def interrupt(self, reason: StopReason) -> None:
        """Ask the task to stop, once; a later reason neither repeats nor replaces the first."""
        if self.stop_reason is None and self.record is not None:
            self.stop_reason = reason
            self.has_hooks = True
            self._on_interrupt(self, self.record)
            self.cancel()

    def cancel(self) -> None:
        """Throw the cancellation in. A future of the user's may refuse that: then its time runs out."""
        try:
            if self.task is not None:
                self.task.cancel()
        except BaseException as error:
            extra = None if self.record is None else self.record.log_fields()
            logger.exception("What a task waits for could not be cancelled", exc_info=exc_info_of(error), extra=extra)

    def start_timeout(self, seconds: float) -> None:
        """Interrupt the task in so many seconds from now, whatever it was limited to before."""
        self.has_hooks = True
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(
            seconds, self.interrupt, StopReason.TIMEOUT, context=Context()
        )

    async def wait_finished(self) -> None:
        """Wait until the task has ended. Being cancelled here disturbs neither it nor other waiters."""
        if self._finished is None:
            self._finished = asyncio.get_running_loop().create_future()
            self.has_hooks = True
        await asyncio.wait([self._finished])

    def reset(self) -> None:
        """Forget why the task was to stop, call off what was to happen then, tell those who wait for it."""
        for timer in (self.deadline, self.timer):
            if timer is not None:
                timer.cancel()
        if self._finished is not None and not self._finished.get_loop().is_closed():
            self._finished.set_result(None)
        self.has_hooks = False
        self.stop_reason = self.deadline = self.timer = self._finished = None

    def interrupted_ending(self, record: TaskRecord, error: BaseException | None = None) -> Ending:
        """Return how the task ends for the reason it was told to stop, *error* being what it did then."""
        if self.stop_reason is StopReason.STOP:
            return self._on_stop(record)
        if self.stop_reason is not StopReason.TIMEOUT:
            return CANCELLED_OUTCOME
        late = TaskTimeoutError(f"Task timed out after {record.timeout:g} seconds", task_id=record.id)
        late.__cause__ = error
        return failed(late)


WRAPPED_FUNCTION: Final = "_async_task_worker_wrapped"
"""Attribute of what a backend puts around a task function: that function, which cache keys are made of."""


class TaskExecutor:
    """Runs task functions. What they return or raise comes back as a value."""

    async def run(
        self,
        slot: Slot,
        record: TaskRecord,
        progress_factory: ProgressFactory,
        on_finished: OnFinished,
        manual_first_step: bool,
    ) -> None:
        """Run the task to its end and hand *on_finished* its outcome, whatever user code does.

        This is the whole of the task's own asyncio Task.

        Args:
            slot: Where it runs.
            record: The task.
            progress_factory: Makes its ``progress_callback``.
            on_finished: Called once, synchronously, as the last thing.
            manual_first_step: Whether the coroutine was taken to its first suspension before it became a Task.
        """
        outcome: Ending
        try:
            if manual_first_step:
                await suspend_once()
            _current.set(record)
            if record.cache_lookup is not None:
                outcome = await _run_cached(slot, record, record.cache_lookup, progress_factory)
            else:
                if record.timeout is not None:
                    slot.start_timeout(record.timeout)
                kwargs = record.kwargs
                if record.function.progress_index >= 0:
                    kwargs = _with_progress(record, progress_factory)
                result = await (record.func(*record.args) if kwargs is None else record.func(*record.args, **kwargs))
                if slot.stop_reason is None:
                    outcome = COMPLETED, result, None
                else:
                    outcome = _ending_of_result(slot, record, result)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything at all
            outcome = _ending_of_error(slot, record, error)
        on_finished(slot, record, outcome)


async def _run_cached(slot: Slot, record: TaskRecord, lookup: CacheLookup, progress_factory: ProgressFactory) -> Ending:
    """Return the result the cache knows; without one, run the task and have its result stored.

    Neither counts as running: the timeout is for the function alone, and once that has
    returned, its result stands.
    """
    hit, result = await lookup.lookup()
    if hit:
        return completed(result)
    try:
        lookup.start(getattr(record.func, WRAPPED_FUNCTION, record.func), record.args, record.kwargs)
        result = await _call(slot, record, progress_factory)
    except BaseException as error:  # noqa: BLE001 - user code again
        lookup.unshareable |= slot.stop_reason is not None
        return _ending_of_error(slot, record, error)
    if slot.stop_reason is not None or slot.abandoned:
        lookup.unshareable = True
        return _ending_of_result(slot, record, result)
    if slot.timer is not None:
        slot.timer.cancel()
    if not lookup.unshareable:
        await lookup.store(result)
    return completed(result)


def _call(slot: Slot, record: TaskRecord, progress_factory: ProgressFactory) -> Awaitable[Any]:
    """Call the function, as :meth:`TaskExecutor.run` does in place: a call more would cost every task."""
    if record.timeout is not None:
        slot.start_timeout(record.timeout)
    kwargs = record.kwargs
    if record.function.progress_index >= 0:
        kwargs = _with_progress(record, progress_factory)
    result: Awaitable[Any] = record.func(*record.args, **(kwargs or {}))
    return result


def _ending_of_result(slot: Slot, record: TaskRecord, result: Any) -> Ending:
    if slot.stop_reason is StopReason.TIMEOUT:
        return slot.interrupted_ending(record)  # it swallowed the cancellation and is late all the same
    return completed(result)


def _ending_of_error(slot: Slot, record: TaskRecord, error: BaseException) -> Ending:
    kind = type(error)  # isinstance() would ask the error itself, which may raise
    if issubclass(kind, CancelledError) or asyncio._get_running_loop() is None:
        return slot.interrupted_ending(record)  # without a loop it was closed with it, by nobody's wish
    traceback = traceback_of(error)
    if traceback is not None:
        leave(error, traceback.tb_next)  # our own frame tells the user nothing
    if issubclass(kind, KeyboardInterrupt):
        raise_in_loop(cast("KeyboardInterrupt", error))
    if slot.stop_reason is StopReason.TIMEOUT:
        return slot.interrupted_ending(record, error)
    return failed(error)


def _with_progress(record: TaskRecord, progress_factory: ProgressFactory) -> dict[str, Any] | None:
    kwargs = record.kwargs
    if not record.function.wants_progress(record.args, kwargs):
        return kwargs
    return {**(kwargs or {}), PROGRESS_PARAMETER: progress_factory(record)}
