"""How one task runs: user code under its timeout, and an outcome whatever that code does."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Any, Final, Protocol, cast

from ..caching.lookup import Ticket
from ..exceptions import TaskTimeoutError
from ..model.event_loop import raise_in_loop
from ..model.failure import exc_info_of, traceback_of
from ..model.outcome import CANCELLED_OUTCOME, Ending, StopReason, completed, failed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.signatures import PROGRESS_PARAMETER
from ..model.status import COMPLETED
from ..model.tracebacks import leave
from ..state.ledger import ProgressCallback
from .eager_start import entered

logger = SafeLogger("async_task_worker.executor")

Stopped = Callable[[TaskRecord], Ending]
"""How a task ends that is cut off because the worker stops."""

Reporter = Callable[[TaskRecord], ProgressCallback]
End = Callable[["Slot", TaskRecord, Ending], None]

_current: Final[ContextVar[TaskRecord | None]] = ContextVar("async_task_worker.current", default=None)


in_task: Final = _current.get
"""Returns something if the calling code runs in a task, also one that has ended. It costs less than a call."""


def cut_off(record: TaskRecord) -> Ending:  # noqa: ARG001 - it is the same for every task
    """End cancelled."""
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
        lost: Whether its task was left behind: the slot is never used again.
        watched: Whether there is anything to do when the task ends: a timer to call off, a
            waiter to tell, or the slot is lost.
        deadline: When the pool gives up waiting for it to stop.
        timer: When its timeout is over.
    """

    __slots__ = ("_gone", "_stopped", "_told", "deadline", "lost", "record", "stop_reason", "task", "timer", "watched")

    def __init__(self, told: Callable[[Slot, TaskRecord], None], stopped: Stopped = cut_off) -> None:
        self._told = told
        self._stopped = stopped
        self.record: TaskRecord | None = None
        self.task: Cancellable | None = None
        self.stop_reason: StopReason | None = None
        self.lost = False
        self.watched = False
        self.deadline: asyncio.TimerHandle | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None

    def interrupt(self, reason: StopReason) -> None:
        """Ask the task to stop, once; a later reason neither repeats nor replaces the first."""
        if self.stop_reason is None and self.record is not None:
            self.stop_reason = reason
            self.watched = True
            self._told(self, self.record)
            self.cancel()

    def cancel(self) -> None:
        """Throw the cancellation in. A future of the user's may refuse that: then its time runs out."""
        try:
            if self.task is not None:
                self.task.cancel()
        except BaseException as error:
            extra = None if self.record is None else self.record.log_fields()
            logger.exception("What a task waits for could not be cancelled", exc_info=exc_info_of(error), extra=extra)

    def limit(self, seconds: float) -> None:
        """Interrupt the task in so many seconds from now, whatever it was limited to before."""
        self.watched = True
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(
            seconds, self.interrupt, StopReason.TIMEOUT, context=Context()
        )

    async def gone(self) -> None:
        """Wait until the task has ended. Being cancelled here disturbs neither it nor other waiters."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
            self.watched = True
        await asyncio.wait([self._gone])

    def tell(self) -> None:
        """Forget why the task was to stop, call off what was to happen then, tell those who wait for it."""
        for timer in (self.deadline, self.timer):
            if timer is not None:
                timer.cancel()
        if self._gone is not None and not self._gone.get_loop().is_closed():
            self._gone.set_result(None)
        self.watched = False
        self.stop_reason = self.deadline = self.timer = self._gone = None

    def cut_short(self, record: TaskRecord, error: BaseException | None = None) -> Ending:
        """Return how the task ends for the reason it was told to stop, *error* being what it did then."""
        if self.stop_reason is StopReason.STOP:
            return self._stopped(record)
        if self.stop_reason is not StopReason.TIMEOUT:
            return CANCELLED_OUTCOME
        late = TaskTimeoutError(f"Task timed out after {record.timeout:g} seconds", task_id=record.id)
        late.__cause__ = error
        return failed(late)


CALLS: Final = "_async_task_worker_calls"
"""Attribute of what a backend puts around a task function: that function, which cache keys are made of."""


class TaskExecutor:
    """Runs task functions. What they return or raise comes back as a value."""

    async def run(self, slot: Slot, record: TaskRecord, reporter: Reporter, end: End, by_hand: bool) -> None:
        """Run the task to its end and hand *end* its outcome, whatever user code does.

        This is the whole of the task's own asyncio Task.

        Args:
            slot: Where it runs.
            record: The task.
            reporter: Makes its ``progress_callback``.
            end: Called once, synchronously, as the last thing.
            by_hand: Whether the coroutine was taken to its first suspension before it became a Task.
        """
        outcome: Ending
        try:
            if by_hand:
                await entered()
            _current.set(record)
            if record.ticket is not None:
                outcome = await _through_cache(slot, record, record.ticket, reporter)
            else:
                if record.timeout is not None:
                    slot.limit(record.timeout)
                kwargs = record.kwargs
                if record.function.progress_index >= 0:
                    kwargs = _with_progress(record, reporter)
                result = await (record.func(*record.args) if kwargs is None else record.func(*record.args, **kwargs))
                outcome = (COMPLETED, result, None) if slot.stop_reason is None else _returned(slot, record, result)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything at all
            outcome = _raised(slot, record, error)
        end(slot, record, outcome)


async def _through_cache(slot: Slot, record: TaskRecord, ticket: Ticket, reporter: Reporter) -> Ending:
    """Return the result the cache knows; without one, run the task and have its result stored.

    Neither counts as running: the timeout is for the function alone, and once that has
    returned, its result stands.
    """
    hit, result = await ticket.look()
    if hit:
        return completed(result)
    try:
        ticket.board(getattr(record.func, CALLS, record.func), record.args, record.kwargs)
        result = await _called(slot, record, reporter)
    except BaseException as error:  # noqa: BLE001 - user code again
        ticket.private |= slot.stop_reason is not None
        return _raised(slot, record, error)
    if slot.stop_reason is not None or slot.lost:
        ticket.private = True
        return _returned(slot, record, result)
    if slot.timer is not None:
        slot.timer.cancel()
    if not ticket.private:
        await ticket.keep(result)
    return completed(result)


def _called(slot: Slot, record: TaskRecord, reporter: Reporter) -> Awaitable[Any]:
    """Call the function, as :meth:`TaskExecutor.run` does in place: a call more would cost every task."""
    if record.timeout is not None:
        slot.limit(record.timeout)
    kwargs = record.kwargs
    if record.function.progress_index >= 0:
        kwargs = _with_progress(record, reporter)
    result: Awaitable[Any] = record.func(*record.args, **(kwargs or {}))
    return result


def _returned(slot: Slot, record: TaskRecord, result: Any) -> Ending:
    if slot.stop_reason is StopReason.TIMEOUT:
        return slot.cut_short(record)  # it swallowed the cancellation and is late all the same
    return completed(result)


def _raised(slot: Slot, record: TaskRecord, error: BaseException) -> Ending:
    kind = type(error)  # isinstance() would ask the error itself, which may raise
    if issubclass(kind, CancelledError) or asyncio._get_running_loop() is None:
        return slot.cut_short(record)  # without a loop it was closed with it, by nobody's wish
    traceback = traceback_of(error)
    if traceback is not None:
        leave(error, traceback.tb_next)  # our own frame tells the user nothing
    if issubclass(kind, KeyboardInterrupt):
        raise_in_loop(cast("KeyboardInterrupt", error))
    if slot.stop_reason is StopReason.TIMEOUT:
        return slot.cut_short(record, error)
    return failed(error)


def _with_progress(record: TaskRecord, reporter: Reporter) -> dict[str, Any] | None:
    kwargs = record.kwargs
    if not record.function.wants_progress(record.args, kwargs):
        return kwargs
    return {**(kwargs or {}), PROGRESS_PARAMETER: reporter(record)}
