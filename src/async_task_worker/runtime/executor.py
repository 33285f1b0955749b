"""TaskExecutor: runs one task function under its timeout and returns how the run ended."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, cast

from ..caching.lookup import CacheLookup, lookup_of
from ..model.event_loop import raise_in_loop
from ..model.failure import traceback_of
from ..model.outcome import Ending, StopReason, completed, failed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.signatures import PROGRESS_PARAMETER
from ..model.status import COMPLETED
from ..model.tracebacks import mark_raised
from ..state.progress import ProgressCallback
from .eager_start import suspend_once
from .slot import Slot

logger = SafeLogger("async_task_worker.executor")

ProgressFactory = Callable[[TaskRecord], ProgressCallback]
OnFinished = Callable[[Slot, TaskRecord, Ending], None]

_current: Final[ContextVar[TaskRecord | None]] = ContextVar("async_task_worker.current", default=None)


in_task: Final = _current.get
"""Returns a record if the calling code runs in a task, also in one that has ended, else None. Cheaper than a call."""


def current_record() -> TaskRecord | None:
    """Return the running task that the calling code is part of, also in asyncio Tasks and threads it started."""
    record = _current.get()
    return None if record is None or record.finished else record


WRAPPED_FUNCTION: Final = "_async_task_worker_wrapped"
"""Attribute of a function that a backend wraps around a task function: the task function, for its cache key."""


class TaskExecutor:
    """Runs task functions and reports what they return or raise as a value."""

    async def run(
        self,
        slot: Slot,
        record: TaskRecord,
        progress_factory: ProgressFactory,
        on_finished: OnFinished,
        manual_first_step: bool,
    ) -> None:
        """Run the task to its end and pass its ending to *on_finished*. Never raises, whatever user code does.

        This coroutine is the whole of the task's own asyncio Task.

        Args:
            slot: Where it runs.
            record: The task.
            progress_factory: Returns its ``progress_callback``.
            on_finished: Called once, synchronously, as the last step.
            manual_first_step: Whether the coroutine was taken to its first suspension before it became a Task.
        """
        outcome: Ending
        try:
            if manual_first_step:
                await suspend_once()
            _current.set(record)
            if record.cache_lookup is not None:
                outcome = await _run_cached(slot, record, lookup_of(record), progress_factory)
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
    """Return the cached result; on a miss, run the task and store its result.

    The timeout is for the function alone, not for the cache, and once the function has returned,
    its result stands.
    """
    hit, result = await lookup.lookup()
    if hit:
        return completed(result)
    try:
        lookup.start(getattr(record.func, WRAPPED_FUNCTION, record.func), record.args, record.kwargs)
        result = await _call(slot, record, progress_factory)
    except BaseException as error:  # noqa: BLE001 - user code may raise anything at all
        lookup.unshareable |= slot.stop_reason is not None
        return _ending_of_error(slot, record, error)
    if slot.stop_reason is not None or slot.abandoned:
        lookup.unshareable = True
        return _ending_of_result(slot, record, result)
    if slot.timeout_timer is not None:
        slot.timeout_timer.cancel()
    if not lookup.unshareable:
        await lookup.store(result)
    return completed(result)


def _call(slot: Slot, record: TaskRecord, progress_factory: ProgressFactory) -> Awaitable[Any]:
    """Call the function. :meth:`TaskExecutor.run` does the same inline, since each call costs every task."""
    if record.timeout is not None:
        slot.start_timeout(record.timeout)
    kwargs = record.kwargs
    if record.function.progress_index >= 0:
        kwargs = _with_progress(record, progress_factory)
    result: Awaitable[Any] = record.func(*record.args, **(kwargs or {}))
    return result


def _ending_of_result(slot: Slot, record: TaskRecord, result: Any) -> Ending:
    if slot.stop_reason is StopReason.TIMEOUT:
        return slot.interrupted_ending(record)  # it swallowed the cancellation, and is late nevertheless
    return completed(result)


def _ending_of_error(slot: Slot, record: TaskRecord, error: BaseException) -> Ending:
    kind = type(error)  # isinstance() would ask the error itself, which may raise
    if issubclass(kind, CancelledError) or asyncio._get_running_loop() is None:
        return slot.interrupted_ending(record)  # without a loop: it was closed together with its loop
    traceback = traceback_of(error)
    if traceback is not None:
        mark_raised(error, traceback.tb_next)  # without our own frame, which does not help the user
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
