"""Slots, not pollers: a free slot starts the next task at once, and nothing runs while nothing waits.

Each task runs in an asyncio Task and a context of its own, so neither context variables
nor cancellation counts leak from one into the next. A task ends its slot itself; one that
will not stop is left behind after a moment, and the slot goes to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from time import perf_counter as _now
from types import TracebackType
from typing import Final

from ..model.event_loop import is_waiting
from ..model.failure import exc_info_of
from ..model.outcome import CANCELLED_OUTCOME, REQUEUE, Ending, StopReason, failed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.status import CANCELLED, PENDING
from ..state.ledger import Ledger
from ..state.progress import ProgressCallbacks
from .eager_start import EAGER_START, Job, start
from .executor import OnStop, Slot, TaskExecutor, cancelled_on_stop, current_record
from .queue import TaskQueue
from .task_factory import FactoryTask
from .waits import ALL, Waits

logger = SafeLogger("async_task_worker.pool")

CANCEL_GRACE: Final = 1.0
"""Seconds a task has to end after it was told to; then its slot is passed on without it."""

STOP_GRACE: Final = 0.5
"""The same when the worker stops: ``stop(timeout)`` promises to return within timeout + 1 s."""

_FILL_BUDGET: Final = 0.001
"""Seconds of starting tasks after which the loop gets to do something else."""

_CLOCK_MASK: Final = 7
"""The clock is read at every eighth task started: it costs as much as a small task's share."""

_ITERATIONS_TO_RESUME: Final = 3
"""Turns of the loop within which a task goes on that waited for one that has just ended, also through ``wait_for``."""

_MAX_EXTRA_STARTS: Final = 8
"""Tasks started in extra slots before the loop gets to do something else."""


class WorkerPool:
    """Runs queued tasks, at most *max_workers* at a time.

    Args:
        task_queue: Where tasks wait.
        task_executor: What runs each of them.
        max_workers: How many may run at once.
        ledger: Where their state is kept; a pool on its own gets one of its own.
        progress: Makes the ``progress_callback`` of a task; None for one of this ledger.
        on_stop: Says how a task ends that is cut off because the pool stops.
        waits: Which running tasks wait for others; a pool on its own counts none.

    Attributes:
        leader_of: Returns the task to run in place of a pending one, if that shares the result of another.
        task_awaits_capacity: Whether a running task waits for room in the queue.
        on_slot_removed: Called when a task has ended and no other may follow it.
    """

    def __init__(
        self,
        task_queue: TaskQueue,
        task_executor: TaskExecutor,
        max_workers: int = 10,
        *,
        ledger: Ledger | None = None,
        progress: ProgressCallbacks | None = None,
        on_stop: OnStop = cancelled_on_stop,
        waits: Waits | None = None,
    ) -> None:
        self._on_stop = on_stop
        self._queue = task_queue
        self._run = task_executor.run
        self._max_workers = max_workers
        self._ledger = Ledger() if ledger is None else ledger
        self._progress_factory = (progress or ProgressCallbacks(self._ledger)).callback_for
        self._on_finished_bound = self._on_finished  # bound once, not for every task
        self._loop: asyncio.AbstractEventLoop
        self._task_factory: Callable[[], object]
        self._open = False
        self.needs_tasks = False
        """Whether to :meth:`wake` it: open, with a free slot, and nothing under way to fill that."""
        self._slots: list[Slot] = []  # made when first needed
        self._free: list[Slot] = []
        self._abandoned: set[Slot] = set()  # left behind, still going; the loop alone holds Tasks weakly
        self._filling = False  # a fill is under way or has been scheduled
        self._idle_waiters: list[tuple[asyncio.Future[None], set[TaskRecord]]] = []
        self.waits = Waits(self._ledger) if waits is None else waits
        self.waits.on_begin = self.schedule_extra_slots
        self._waiting = self.waits.by_task
        self.leader_of: Callable[[TaskRecord], TaskRecord] = lambda record: record
        self.task_awaits_capacity: Callable[[], bool] = lambda: False
        self.on_slot_removed: Callable[[], None] = lambda: None
        self._extra_slots_scheduled = False  # a look at what is waited for has been scheduled

    @property
    def running(self) -> set[TaskRecord]:
        """The tasks that occupy a slot."""
        return {slot.record for slot in self._slots if slot.record is not None}

    @property
    def free(self) -> int:
        """How many slots are free."""
        return max(self._max_workers - len(self._slots), 0) + len(self._free)

    @property
    def free_or_waiting(self) -> int:
        """How many more tasks may run, those that wait for others not counted."""
        return self._max_workers - len(self._slots) + len(self._free) + len(self.waits)

    @property
    def free_capacity(self) -> int:
        """How many queued tasks the free slots are about to take."""
        return self.free if self._open else 0

    @property
    def is_open(self) -> bool:
        """Whether queued tasks are started."""
        return self._open

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks were left behind because they did not stop, and still go on."""
        return len(self._abandoned)

    async def start(self) -> None:
        """Start running what is queued. Calling it again does nothing."""
        self.settle_orphans()
        self._loop = asyncio.get_running_loop()
        self._task_factory = self._loop.get_task_factory  # asked for each task: it may be set at any time
        self._open = self.needs_tasks = True
        self._filling = self._extra_slots_scheduled = False
        self.wake()

    async def stop(self, timeout: float = 5.0) -> None:
        """Start nothing more, let running tasks finish for *timeout* seconds, then cut them off.

        It returns within *timeout* + 1 seconds whatever the tasks do, short of blocking
        the loop. Called inside a task it does not wait for that task. What is queued stays
        queued for the next start.
        """
        self.pause()
        own = current_record()
        await self.drain(timeout, set() if own is None else {own})

    def pause(self) -> None:
        """Start nothing more."""
        self._open = self.needs_tasks = False

    async def drain(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Wait until no task runs but those in *exclude*, cutting the rest off after *timeout* seconds."""
        idle = asyncio.get_running_loop().create_future()
        self._idle_waiters.append((idle, exclude))
        self._notify_idle()
        await asyncio.wait([idle], timeout=timeout)
        if not idle.done():
            for slot in self._slots:
                if slot.record is not None and slot.record not in exclude:
                    slot.interrupt(StopReason.STOP)
                    self._set_deadline(slot, slot.record, STOP_GRACE)
            await asyncio.wait([idle])

    async def cancel_running_task(self, task_id: str) -> bool:
        """Cancel a running task and wait, for a second at most, until it has ended.

        Returns:
            True if it ended cancelled, False if it does not run or ended in another way.
        """
        record = self._ledger.get(task_id)
        slot = None if record is None else record.slot
        if record is None or not isinstance(slot, Slot):
            return False
        slot.interrupt(StopReason.CANCEL)
        await slot.wait_finished()
        return record.status is CANCELLED

    def wake(self) -> None:
        """Have the free slots filled, if there is anything to run. No user code runs in here."""
        if self._waiting:
            self.schedule_extra_slots()
        if not self.needs_tasks or not self._queue:
            return
        self.needs_tasks = False
        if EAGER_START:
            self._filling = True
            self._loop.call_soon(self._fill, context=Context())
        else:
            self._fill()

    def _fill(self) -> None:
        """Start tasks while there are slots; after a millisecond of it, let the loop turn first."""
        self._filling = True
        self.needs_tasks = False
        free, slots, pop = self._free, self._slots, self._queue.pop
        turn_ends = _now() + _FILL_BUDGET
        started = 0
        while (free or len(slots) < self._max_workers) and self._open:
            record = pop()
            if record is None:
                break
            self._start_task(record)
            started += 1
            if not started & _CLOCK_MASK and _now() > turn_ends:
                self._loop.call_soon(self._fill, context=Context())
                return
        self._filling = False
        self.needs_tasks = self._open and bool(free or len(slots) < self._max_workers)

    def _new_slot(self) -> Slot:
        slot = Slot(self._on_interrupted, self._on_stop)
        self._slots.append(slot)
        return slot

    def _start_task(self, record: TaskRecord) -> None:
        slot = self._free.pop() if self._free else self._new_slot()
        slot.record = record
        record.slot = slot
        self._ledger.start(record)
        if self._task_factory() is not None:
            self._start_by_factory(slot, record)
            return
        job = self._run(slot, record, self._progress_factory, self._on_finished_bound, not EAGER_START)
        try:
            task = start(job, self._loop, record.id, record.context.copy())
        except BaseException as error:  # noqa: BLE001 - nothing may end the loop of :meth:`_fill`
            if slot.record is record:
                self._fail_to_start(slot, record, job, error)
            return
        if slot.record is not record:
            return  # it took its first step eagerly, and that was all
        slot.task = task
        if slot.stop_reason is not None:  # in its first step, by its own doing
            slot.cancel()

    def _start_by_factory(self, slot: Slot, record: TaskRecord) -> None:
        job = self._run(slot, record, self._progress_factory, self._on_finished_bound, False)
        slot.task = task = FactoryTask(job, slot, record, self._on_stranded)
        del job  # one that the factory drops is noticed by its being gone
        if record.timeout is not None and record.cache_lookup is None:
            slot.start_timeout(record.timeout)  # what the factory puts around the function may wait, too
        try:
            task.start(self._loop, record.context.copy())
        except BaseException as error:  # noqa: BLE001 - the user's task factory may raise anything at all
            if slot.task is task:
                self._fail_to_start(slot, record, task, error)
            else:
                _log(record, error, "The task factory failed after task %s (%s) had ended")
            return
        if slot.task is task and slot.stop_reason is not None:
            slot.cancel()

    def _fail_to_start(self, slot: Slot, record: TaskRecord, job: Job | FactoryTask, error: BaseException) -> None:
        """Fail a task that could not be started; others follow from the loop of :meth:`_fill`."""
        filling, self._filling = self._filling, True
        self._replace_slot(slot, record, failed(error))
        try:
            job.close()
        except BaseException as refusal:  # noqa: BLE001 - of the user's code, which may not want to end
            _log(record, refusal, "The coroutine of task %s (%s) could not be closed")
        self._filling = filling
        self.needs_tasks = self._open and not filling and self.free > 0
        self.wake()

    def _on_stranded(self, task: FactoryTask, outcome: Ending, goes_on: bool) -> None:
        """End a task whose coroutine was dropped, or left unfinished by the Task that a factory made."""
        slot, record = task.slot, task.record
        if slot.abandoned:
            if not goes_on:
                self._abandoned.discard(slot)
        elif goes_on:
            self._abandoned.add(slot)
            self._replace_slot(slot, record, outcome)
        else:
            self._on_finished(slot, record, outcome)

    def _on_finished(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """Free the slot, record how its task ended and start the next one."""
        if slot.has_hooks:
            if slot.abandoned:
                self._abandoned.discard(slot)
                return
            slot.reset()
            self.waits.drop(record)
            if len(self._slots) > self._max_workers:
                self._on_finished_extra(slot, record, outcome)
                return
        slot.record = slot.task = None
        self._free.append(slot)
        if outcome is REQUEUE:
            self._ledger.requeue(record)
        else:
            self._ledger.settle(record, outcome)
        if self._idle_waiters:
            self._notify_idle()
        if not self._filling:
            self._start_next(outcome)
        if outcome is not REQUEUE and outcome[2] is not None:
            _log_failure(record, outcome[2])

    def _on_finished_extra(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """End a task while one runs in an extra slot: its slot goes, and no task of the queue takes its place."""
        slot.record = slot.task = None
        self._slots.remove(slot)
        if outcome is REQUEUE:
            self._ledger.requeue(record)
        else:
            self._ledger.settle(record, outcome)
        if self._idle_waiters:
            self._notify_idle()
        if self._waiting:
            self.schedule_extra_slots()
        self.on_slot_removed()
        if outcome is not REQUEUE and outcome[2] is not None:
            _log_failure(record, outcome[2])

    def schedule_extra_slots(self) -> None:
        """Have a look at what running tasks wait for, once those that need not wait any longer have gone on."""
        if self._open and not self._extra_slots_scheduled:
            self._extra_slots_scheduled = True
            self._loop.call_soon(self._fill_extra_slots, _ITERATIONS_TO_RESUME, context=Context())

    def _fill_extra_slots(self, turns: int) -> None:
        """Run what running tasks wait for in extra slots: as many as there are tasks that wait."""
        if turns:
            self._loop.call_soon(self._fill_extra_slots, turns - 1, context=Context())
            return
        self._extra_slots_scheduled = False
        for _ in range(_MAX_EXTRA_STARTS):
            if not (self._open and self._waiting and self.free_or_waiting > 0 and self._queue):
                return
            if self.free:  # it is about to be filled, in the order of the queue
                break
            record = self._next_awaited()
            if record is None:
                return
            self._start_in_extra_slot(record)
        self.schedule_extra_slots()

    def _next_awaited(self) -> TaskRecord | None:
        """Take a task out of the queue that a running one waits for; None if there is none.

        What is not in the queue has to wait for something else than a slot, and is left alone.
        """
        record = self.waits.first(self._take_awaited)
        return self._queue.pop() if record is None and self.task_awaits_capacity() else record

    def _take_awaited(self, task_id: str) -> TaskRecord | None:
        if task_id == ALL:
            return self._queue.pop()
        record = self._ledger.get(task_id)
        if record is None or record.status is not PENDING:
            return None
        record = self.leader_of(record)
        return record if self._queue.remove(record) else None

    def _start_in_extra_slot(self, record: TaskRecord) -> None:
        """Start a task in a slot of its own, which goes with the next task that ends."""
        self._free.append(self._new_slot())
        for slot in self._slots:
            slot.has_hooks = True
        self._start_task(record)

    def _start_next(self, outcome: Ending) -> None:
        if outcome is CANCELLED_OUTCOME and asyncio._get_running_loop() is None:
            return  # it was closed together with its loop: nothing can follow
        if EAGER_START:  # not from within this Task: its first steps would nest
            self.needs_tasks = self._open
            self.wake()
        elif self._open:
            following = self._queue.pop()
            if following is None:
                self.needs_tasks = True
            else:
                self._start_task(following)

    def _on_interrupted(self, slot: Slot, record: TaskRecord) -> None:
        self._ledger.set_phase(record, "cancelling")
        self._set_deadline(slot, record, CANCEL_GRACE)

    def _set_deadline(self, slot: Slot, record: TaskRecord, grace: float) -> None:
        deadline = self._loop.time() + grace
        if slot.deadline is not None:
            if slot.deadline.when() <= deadline:
                return
            slot.deadline.cancel()
        slot.deadline = self._loop.call_at(deadline, self._abandon, slot, record, context=Context())

    def _abandon(self, slot: Slot, record: TaskRecord) -> None:
        """Go on without a task that was told to stop and did not."""
        logger.warning(
            "Task %s (%s) did not stop when told to; its slot goes on without it",
            *(record.id, record.function.name),
            extra=record.log_fields(),
        )
        self._abandoned.add(slot)
        self._replace_slot(slot, record, slot.interrupted_ending(record))

    def _replace_slot(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """End the task here and now; a new slot takes the place of the one it still sits in."""
        replacement = Slot(self._on_interrupted, self._on_stop)
        replacement.has_hooks = len(self._slots) > self._max_workers
        self._slots[self._slots.index(slot)] = replacement
        slot.reset()
        self.waits.drop(record)
        slot.abandoned = slot.has_hooks = True
        self._on_finished(replacement, record, outcome)

    def settle_orphans(self) -> None:
        """End what ran on a loop that was closed under it."""
        if self._slots and self._loop.is_closed():
            self._open = False
            for slot in tuple(self._slots):
                if slot.record is not None:
                    self._replace_slot(slot, slot.record, self._on_stop(slot.record))
            self._abandoned.clear()

    def _notify_idle(self) -> None:
        running = self.running
        for future, exclude in self._idle_waiters:
            if running <= exclude and is_waiting(future):
                future.set_result(None)
        self._idle_waiters = [waiter for waiter in self._idle_waiters if is_waiting(waiter[0])]


def _log_failure(record: TaskRecord, error: BaseException) -> None:
    _log(record, error, "Task %s (%s) failed", record.traceback)


def _log(record: TaskRecord, error: BaseException, text: str, traceback: TracebackType | None = None) -> None:
    exc_info = exc_info_of(error, traceback)
    logger.error(text, record.id, record.function.name, exc_info=exc_info, extra=record.log_fields())
