"""Start a job through the task factory of its event loop, and notice if it can never end by itself.

Tracing libraries set a factory that wraps each coroutine. It may return an object of its own,
take the first step at once, fail, or drop the coroutine. The job is handed over as a fresh
coroutine, since one that has begun cannot be awaited. A fresh one that is cancelled before its
first step never runs at all, so its asyncio Task and the coroutine itself are watched.
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
"""Told that a job cannot end by itself: how it ends, and whether some part of it may still run."""


class FactoryTask:
    """What a task factory made of a job: an asyncio Task as a rule, but it may be any object.

    Args:
        job: The coroutine that runs the task.
        slot: Where it runs; ``slot.task`` is this object from before the start until the task ends.
        record: The task.
        on_stranded: Called once at most, if the job is dropped, cancelled before its first step, or
            left unfinished by an asyncio Task that is done.
    """

    __slots__ = ("__weakref__", "_job", "_kept", "_loop", "_made", "_on_stranded", "_tells_end", "record", "slot")

    def __init__(self, job: Job, slot: Slot, record: TaskRecord, on_stranded: OnStranded) -> None:
        self._kept: Job | None = job  # until it is certain that the factory has kept it, too
        self._job: weakref.ref[Job]
        self._loop: asyncio.AbstractEventLoop
        self._made: Any = None
        self._on_stranded = on_stranded
        self._tells_end = False
        self.slot = slot
        self.record = record

    def start(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        """Hand the job to the factory, in *context*, as ``asyncio.create_task`` does in that of its caller.

        Raises:
            TypeError: The factory returned None.
            BaseException: What the factory raises.
        """
        job = self._kept
        assert job is not None  # noqa: S101 - for the type checker
        self._loop = loop
        self._job = weakref.ref(job, self._dropped)
        # Called as the loop does for a Task without options, since some factories take none. Not through
        # the loop: create_task() of newer interpreters itself fails on what is not a Task.
        factory: Any = loop.get_task_factory()
        made: Any = context.run(factory, loop, job)
        if made is None:
            raise TypeError(f"the event loop's task factory {factory!r} returned None; it must return a Task")
        self._made = made
        with suppress(Exception):  # an object of another kind may have no name
            made.set_name(self.record.id)
        with suppress(Exception):
            Context().run(made.add_done_callback, self._look)
            self._tells_end = True
        if getcoroutinestate(job) == CORO_CREATED:
            loop.call_soon(self._look, context=Context())
        else:
            self._kept = None

    def cancel(self) -> None:
        """Cancel what the factory made; in the eager first step there is nothing yet."""
        if self._made is not None:
            if self._tells_end:
                self._kept = self._job()  # a wrapper that never begins would drop it with a warning
            self._made.cancel()

    def close(self) -> None:
        """Close a job that the factory did not take over."""
        job, self._kept = self._kept, None
        if job is not None:
            job.close()

    def _dropped(self, _job: weakref.ref[Job]) -> None:
        """Look, in the loop's next turn, why the coroutine is gone; the garbage collector calls from any thread."""
        if self.slot.task is not self:
            return  # it has ended
        try:
            self._loop.call_soon_threadsafe(self._look, context=Context())
        except RuntimeError:  # the loop is closed
            self._look()

    def _look(self, _made: object = None) -> None:
        """Find out whether the job can still end by itself; if not, say how it ends."""
        job, self._kept = self._job(), None
        if self.slot.task is not self or (job is not None and not self._is_over()):
            return
        if job is not None and getcoroutinestate(job) == CORO_CREATED:
            job.close()
        goes_on = job is not None and getcoroutinestate(job) != CORO_CLOSED
        self._on_stranded(self, self._outcome(), goes_on)

    def _is_over(self) -> bool:
        done = getattr(self._made, "done", None)
        return done is not None and bool(done())

    def _outcome(self) -> Ending:
        error: BaseException | None = None
        cancelled = asyncio._get_running_loop() is None  # closed together with its loop
        if self._is_over():
            try:
                error = self._made.exception()
            except asyncio.CancelledError:
                cancelled = True
            except Exception:  # noqa: BLE001 - an object of another kind may have no such method
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
