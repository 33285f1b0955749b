"""WorkerPool: runs queued tasks in a limited number of slots.

Nothing polls: a free slot starts the next task at once, and the end of a task starts another one.
Each task runs in an asyncio Task and a context of its own, so that neither context variables nor
cancellation counts leak into the next task. A task that does not stop when asked to is abandoned
after its grace period (see ``abandoned_tasks``), and its slot goes to the next task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from time import perf_counter as _now
from typing import Final

from ..model.event_loop import is_waiting
from ..model.outcome import CANCELLED_OUTCOME, REQUEUE, Ending, StopReason, failed
from ..model.record import TaskRecord
from ..model.status import CANCELLED
from ..state.ledger import Ledger
from ..state.progress import ProgressCallbacks
from .abandoned_tasks import CANCEL_GRACE, STOP_GRACE, AbandonedTasks
from .asyncio_task_factory import FactoryTask
from .eager_start import EAGER_START, Job, start
from .executor import TaskExecutor, current_record
from .extra_slots import ExtraSlots
from .failure_log import log_error, log_failure, logger
from .nested_waits import Waits
from .queue import TaskQueue
from .slot import OnStop, Slot, cancelled_on_stop

_FILL_BUDGET: Final = 0.001
"""Seconds of starting tasks after which other callbacks of the loop get their turn."""

_CLOCK_MASK: Final = 7
"""The clock is read after every eighth start only, since reading it costs time, too."""


class WorkerPool:
    """Runs queued tasks, at most *max_workers* at a time.

    Args:
        task_queue: Pending tasks.
        task_executor: Runs each of them.
        max_workers: How many may run at once.
        ledger: The state of tasks; None for a new one.
        progress: Makes the ``progress_callback`` of a task; None for one of this ledger.
        on_stop: Returns how a run ends that the stop of the pool interrupts.
        waits: Which running tasks wait for others; None for a new one.

    Attributes:
        needs_tasks: Whether to call :meth:`wake` after queueing a task: the pool is open, has a free
            slot or runs a task that waits for all others, and is not filling its slots already.
        waits: Which running tasks wait for others.
        extra_slots: Starts tasks that running tasks wait for.
        on_slot_removed: Called when a task has ended and no other one takes its slot.
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
        self._slots: list[Slot] = []  # created when first needed
        self._free: list[Slot] = []
        self._abandoned = AbandonedTasks(self._abandon)
        self._filling = False  # whether _fill() runs or is scheduled
        self._idle_waiters: list[tuple[asyncio.Future[None], set[TaskRecord]]] = []
        self.waits = Waits(self._ledger) if waits is None else waits
        self._waiting = self.waits.by_task
        self.extra_slots = ExtraSlots(self, task_queue, self._ledger, self.waits)
        self.waits.on_begin = self._on_wait_begun
        self.on_slot_removed: Callable[[], None] = lambda: None

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
        """How many slots are free, or run a task that waits for another."""
        return self._max_workers - len(self._slots) + len(self._free) + len(self.waits)

    @property
    def free_capacity(self) -> int:
        """How many queued tasks are about to start: the number of free slots, 0 while the pool is paused."""
        return self.free if self._open else 0

    @property
    def is_open(self) -> bool:
        """Whether queued tasks are started."""
        return self._open

    @property
    def abandoned_tasks(self) -> int:
        """How many tasks did not stop within their grace period and still run."""
        return len(self._abandoned)

    async def start(self) -> None:
        """Start queued tasks, on the running event loop. Calling it again does nothing."""
        self.settle_orphans()
        self._loop = asyncio.get_running_loop()
        self._task_factory = self._loop.get_task_factory  # called for each task: a factory may be set at any time
        self._open = self.needs_tasks = True
        self._filling = False
        self.extra_slots.start(self._loop)
        self.wake()

    async def stop(self, timeout: float = 5.0) -> None:
        """Start no more tasks, wait *timeout* seconds for running ones, then interrupt them.

        Returns within *timeout* + 1 seconds whatever the tasks do, unless one blocks the event loop.
        Called inside a task, it does not wait for that task. Queued tasks stay queued for the next start.
        """
        self.pause()
        own = current_record()
        await self.drain(timeout, set() if own is None else {own})

    def pause(self) -> None:
        """Start no more tasks."""
        self._open = self.needs_tasks = False

    async def drain(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Wait until no task runs; interrupt those that do after *timeout* seconds.

        Args:
            timeout: Seconds; None waits as long as the tasks take.
            exclude: Tasks that are neither waited for nor interrupted.
        """
        idle = asyncio.get_running_loop().create_future()
        self._idle_waiters.append((idle, exclude))
        self._notify_idle()
        await asyncio.wait([idle], timeout=timeout)
        if not idle.done():
            for slot in tuple(self._slots):
                record = slot.record
                if record is not None and record not in exclude:
                    slot.interrupt(StopReason.STOP)
                    if slot.record is record:  # what a task factory returned may end in its cancel()
                        self._abandoned.start_grace_period(self._loop, slot, record, STOP_GRACE)
            await asyncio.wait([idle])

    async def cancel_running_task(self, task_id: str) -> bool:
        """Cancel a running task and wait until it has ended, at most for its grace period of a second.

        Returns:
            True if it ended cancelled, False if it does not run or ended in another way.
        """
        record = self._ledger.get(task_id)
        slot = None if record is None else record.location
        if record is None or not isinstance(slot, Slot):
            return False
        slot.interrupt(StopReason.CANCEL)
        if slot.record is record:  # what a task factory returned may end in its cancel()
            await slot.wait_finished()
        return record.status is CANCELLED

    def wake(self) -> None:
        """Schedule the start of queued tasks if there are free slots. User code never runs inside this call."""
        if self._waiting:
            self.extra_slots.schedule()
        if not self.needs_tasks or not self._queue:
            return
        self.needs_tasks = False
        if EAGER_START:
            self._filling = True
            self._loop.call_soon(self._fill, context=Context())
        else:
            self._fill()

    def _fill(self) -> None:
        """Start tasks while there are free slots, for a millisecond at a time."""
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
        if not self.needs_tasks:
            self._watch_for_drains()

    def _new_slot(self) -> Slot:
        slot = Slot(self._on_interrupted, self._on_stop)
        self._slots.append(slot)
        return slot

    def _start_task(self, record: TaskRecord) -> None:
        slot = self._free.pop() if self._free else self._new_slot()
        slot.record = record
        record.location = slot
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
            return  # it has ended in its first step, which was eager
        slot.task = task
        if slot.stop_reason is not None:  # it had itself interrupted in its first step
            slot.cancel()

    def _start_by_factory(self, slot: Slot, record: TaskRecord) -> None:
        job = self._run(slot, record, self._progress_factory, self._on_finished_bound, False)
        slot.task = task = FactoryTask(job, slot, record, self._on_stranded)
        del job  # else a coroutine that the factory drops would not be collected, which is how that is noticed
        if record.timeout is not None and record.cache_lookup is None:
            slot.start_timeout(record.timeout)  # the wrapper that the factory adds may wait, too
        try:
            task.start(self._loop, record.context.copy())
        except BaseException as error:  # noqa: BLE001 - the user's task factory may raise anything at all
            if slot.task is task:
                self._fail_to_start(slot, record, task, error)
            else:
                log_error(record, error, "The task factory failed after task %s (%s) had ended")
            return
        if slot.task is task and slot.stop_reason is not None:
            slot.cancel()

    def _fail_to_start(self, slot: Slot, record: TaskRecord, job: Job | FactoryTask, error: BaseException) -> None:
        """Fail a task that could not be started, then go on with others in :meth:`_fill`."""
        filling, self._filling = self._filling, True
        self._replace_slot(slot, record, failed(error))
        try:
            job.close()
        except BaseException as refusal:  # noqa: BLE001 - user code may raise when it is closed
            log_error(record, refusal, "The coroutine of task %s (%s) could not be closed")
        self._filling = filling
        self.needs_tasks = self._open and not filling and self.free > 0
        self._watch_for_drains()
        self.wake()

    def _on_stranded(self, task: FactoryTask, outcome: Ending, goes_on: bool) -> None:
        """End a task whose coroutine cannot end by itself: see :class:`.FactoryTask`."""
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
                self._remove_slot(slot, record, outcome)
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
            log_failure(record, outcome[2])

    def _remove_slot(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """Remove the slot of a task that has ended, since there is one too many, and record how it ended."""
        slot.record = slot.task = None
        self._slots.remove(slot)
        if outcome is REQUEUE:
            self._ledger.requeue(record)
        else:
            self._ledger.settle(record, outcome)
        if self._idle_waiters:
            self._notify_idle()
        if self._waiting:
            self.extra_slots.schedule()
        self.on_slot_removed()
        if outcome is not REQUEUE and outcome[2] is not None:
            log_failure(record, outcome[2])

    def _on_wait_begun(self) -> None:
        self._watch_for_drains()
        self.extra_slots.schedule()

    def _watch_for_drains(self) -> None:
        """Call for new tasks without a free slot, too, while a running task waits for all others."""
        if self._open and not self._filling and self.waits.has_wait_for_all:
            self.needs_tasks = True
            if self._queue:
                self.extra_slots.schedule()

    def start_in_extra_slot(self, record: TaskRecord) -> None:
        """Start a task in one slot more; the next task that ends removes a slot again."""
        self._free.append(self._new_slot())
        for slot in self._slots:
            slot.has_hooks = True
        self._start_task(record)

    def _start_next(self, outcome: Ending) -> None:
        if outcome is CANCELLED_OUTCOME and asyncio._get_running_loop() is None:
            return  # the coroutine was closed together with its loop: nothing can start
        if EAGER_START:  # not from this Task: its first step would run inside of it, and so on
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
        self._abandoned.start_grace_period(self._loop, slot, record, CANCEL_GRACE)

    def _abandon(self, slot: Slot, record: TaskRecord) -> None:
        """Abandon a task that did not stop within its grace period."""
        logger.warning(
            "Task %s (%s) did not stop within its grace period and is abandoned; its slot goes to the next task",
            *(record.id, record.function.name),
            extra=record.log_fields(),
        )
        self._abandoned.add(slot)
        self._replace_slot(slot, record, slot.interrupted_ending(record))

    def _replace_slot(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """End the task at once and give its place to a new slot, since its code still runs in the old one."""
        replacement = Slot(self._on_interrupted, self._on_stop)
        replacement.has_hooks = len(self._slots) > self._max_workers
        self._slots[self._slots.index(slot)] = replacement
        slot.reset()
        self.waits.drop(record)
        slot.abandoned = slot.has_hooks = True
        self._on_finished(replacement, record, outcome)

    def settle_orphans(self) -> None:
        """Settle tasks whose event loop was closed, so that the pool can start on a new loop."""
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
