"""FactoryTask: starts a job through the task factory of its event loop and detects if it can never end by itself.

Tracing libraries set a factory that wraps each coroutine. It may return an object of its own,
run the first step at once, raise, or drop the coroutine. The factory gets a coroutine that has not
started, since one that has cannot be awaited. If that is cancelled before its first step, it never
runs at all; so both the Task and the coroutine are watched.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from inspect import CORO_CLOSED, CORO_CREATED, getcoroutinestate
from typing import Any

from ..model.outcome import CANCELLED_OUTCOME, Ending, failed
from ..model.record import TaskRecord
from .eager_start import Job
from .slot import Slot

OnStranded = Callable[["FactoryTask", Ending, bool], None]
"""Called with the task, its ending, and whether a part of it may still run, if a job cannot end by itself."""


class FactoryTask:
    """A job and what a task factory returned for it: an asyncio Task as a rule, but it may be any object.

    Args:
        job: The coroutine that runs the task.
        slot: Where it runs; ``slot.task`` is this object from before the start until the task ends.
        record: The task.
        on_stranded: Called at most once: if the job is dropped, is cancelled before its first step, or
            is left unfinished by an asyncio Task that is done.
    """

    __slots__ = ("__weakref__", "_job", "_kept", "_loop", "_on_stranded", "_reports_end", "_returned", "record", "slot")

    def __init__(self, job: Job, slot: Slot, record: TaskRecord, on_stranded: OnStranded) -> None:
        self._kept: Job | None = job  # until the factory is known to hold it
        self._job: weakref.ref[Job]
        self._loop: asyncio.AbstractEventLoop
        self._returned: Any = None
        self._on_stranded = on_stranded
        self._reports_end = False
        self.slot = slot
        self.record = record

    def start(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        """Call the factory with the job, in *context*.

        Raises:
            TypeError: The factory returned None.
            BaseException: Any error of the factory.
        """
        job = self._kept
        assert job is not None  # noqa: S101 - for the type checker
        self._loop = loop
        self._job = weakref.ref(job, self._dropped)
        # Called without options, since some factories take none. Not through loop.create_task(), which
        # fails in newer interpreters if the factory returns anything but a Task.
        factory: Any = loop.get_task_factory()
        returned: Any = context.run(factory, loop, job)
        if returned is None:
            raise TypeError(f"the event loop's task factory {factory!r} returned None; it must return a Task")
        self._returned = returned
        with suppress(Exception):  # an object that is not a Task may have no name
            returned.set_name(self.record.id)
        with suppress(Exception):
            Context().run(returned.add_done_callback, self._check)
            self._reports_end = True
        if getcoroutinestate(job) == CORO_CREATED:
            loop.call_soon(self._check, context=Context())
        else:
            self._kept = None

    def cancel(self) -> None:
        """Cancel what the factory returned, if it has returned yet."""
        if self._returned is not None:
            if self._reports_end:
                self._kept = self._job()  # a wrapper that never starts would drop it, with a warning by Python
            self._returned.cancel()

    def close(self) -> None:
        """Close the job if the factory did not take it."""
        job, self._kept = self._kept, None
        if job is not None:
            job.close()

    def _dropped(self, _job: weakref.ref[Job]) -> None:
        """Check in the next loop iteration why the coroutine was collected. Called on any thread."""
        if self.slot.task is not self:
            return  # it has ended
        try:
            self._loop.call_soon_threadsafe(self._check, context=Context())
        except RuntimeError:  # the loop is closed
            self._check()

    def _check(self, _returned: object = None) -> None:
        """Report the job as stranded if it cannot end by itself any more."""
        job, self._kept = self._job(), None
        if self.slot.task is not self or (job is not None and not self._is_over()):
            return
        if job is not None and getcoroutinestate(job) == CORO_CREATED:
            job.close()
        goes_on = job is not None and getcoroutinestate(job) != CORO_CLOSED
        self._on_stranded(self, self._outcome(), goes_on)

    def _is_over(self) -> bool:
        done = getattr(self._returned, "done", None)
        return done is not None and bool(done())

    def _outcome(self) -> Ending:
        error: BaseException | None = None
        cancelled = asyncio._get_running_loop() is None  # the job was closed together with its loop
        if self._is_over():
            try:
                error = self._returned.exception()
            except asyncio.CancelledError:
                cancelled = True
            except Exception:  # noqa: BLE001 - an object that is not a Future may lack the method
                error = None
        if self.slot.stop_reason is not None:
            return self.slot.interrupted_ending(self.record, error)
        if cancelled:
            return CANCELLED_OUTCOME
        return failed(error or _unfinished(self._loop))


def _unfinished(loop: asyncio.AbstractEventLoop) -> RuntimeError:
    return RuntimeError(
        f"the event loop's task factory {loop.get_task_factory()!r} did not run the task's coroutine to its end; "
        "it must return a Task that does"
    )
