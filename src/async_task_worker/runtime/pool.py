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
from .eager_start import EAGER, Job, start
from .executor import Slot, Stopped, TaskExecutor, current_record, cut_off
from .queue import TaskQueue
from .task_factory import FactoryTask
from .waits import ALL, Waits

logger = SafeLogger("async_task_worker.pool")

GRACE: Final = 1.0
"""Seconds a task has to end after it was told to; then its slot is passed on without it."""

STOP_GRACE: Final = 0.5
"""The same when the worker stops: ``stop(timeout)`` promises to return within timeout + 1 s."""

_TURN: Final = 0.001
"""Seconds of starting tasks after which the loop gets to do something else."""

_CLOCK_MASK: Final = 7
"""The clock is read at every eighth task started: it costs as much as a small task's share."""

_TURNS_TO_GO_ON: Final = 3
"""Turns of the loop within which a task goes on that waited for one that has just ended, also through ``wait_for``."""

_AT_ONCE: Final = 8
"""Tasks started in extra slots before the loop gets to do something else."""


class WorkerPool:
    """Runs queued tasks, at most *max_workers* at a time.

    Args:
        task_queue: Where tasks wait.
        task_executor: What runs each of them.
        max_workers: How many may run at once.
        ledger: Where their state is kept; a pool on its own gets one of its own.
        stopped: Says how a task ends that is cut off because the pool stops.
        waits: Which running tasks wait for others; a pool on its own counts none.

    Attributes:
        leader_of: Returns the task to run in place of a pending one, if that shares the result of another.
        is_pressed: Whether a running task waits for room in the queue.
        lost_a_slot: Called when a task has ended and no other may follow it.
    """

    def __init__(
        self,
        task_queue: TaskQueue,
        task_executor: TaskExecutor,
        max_workers: int = 10,
        *,
        ledger: Ledger | None = None,
        stopped: Stopped = cut_off,
        waits: Waits | None = None,
    ) -> None:
        self._stopped = stopped
        self._queue = task_queue
        self._run = task_executor.run
        self._max_workers = max_workers
        self._ledger = Ledger() if ledger is None else ledger
        self._reporter = self._ledger.progress_callback_for
        self._over = self._end  # bound once, not for every task
        self._loop: asyncio.AbstractEventLoop
        self._task_factory: Callable[[], object]
        self._open = False
        self.hungry = False
        """Whether to :meth:`wake` it: open, with a free slot, and nothing under way to fill that."""
        self._slots: list[Slot] = []  # made when first needed
        self._free: list[Slot] = []
        self._abandoned: set[Slot] = set()  # left behind, still going; the loop alone holds Tasks weakly
        self._filling = False  # a fill is under way or has been scheduled
        self._idlers: list[tuple[asyncio.Future[None], set[TaskRecord]]] = []
        self.waits = Waits(self._ledger) if waits is None else waits
        self.waits.begun = self.relieve_soon
        self._waiting = self.waits.by_task
        self.leader_of: Callable[[TaskRecord], TaskRecord] = lambda record: record
        self.is_pressed: Callable[[], bool] = lambda: False
        self.lost_a_slot: Callable[[], None] = lambda: None
        self._relieving = False  # a look at what is waited for has been scheduled

    @property
    def running(self) -> set[TaskRecord]:
        """The tasks that occupy a slot."""
        return {slot.record for slot in self._slots if slot.record is not None}

    @property
    def free(self) -> int:
        """How many slots are free."""
        return max(self._max_workers - len(self._slots), 0) + len(self._free)

    @property
    def spare(self) -> int:
        """How many more tasks may run, those that wait for others not counted."""
        return self._max_workers - len(self._slots) + len(self._free) + len(self.waits)

    @property
    def taking(self) -> int:
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
        self.bury()
        self._loop = asyncio.get_running_loop()
        self._task_factory = self._loop.get_task_factory  # asked for each task: it may be set at any time
        self._open = self.hungry = True
        self._filling = self._relieving = False
        self.wake()

    async def stop(self, timeout: float = 5.0) -> None:
        """Start nothing more, let running tasks finish for *timeout* seconds, then cut them off.

        It returns within *timeout* + 1 seconds whatever the tasks do, short of blocking
        the loop. Called inside a task it does not wait for that task. What is queued stays
        queued for the next start.
        """
        self.close()
        own = current_record()
        await self.finish(timeout, set() if own is None else {own})

    def close(self) -> None:
        """Start nothing more."""
        self._open = self.hungry = False

    async def finish(self, timeout: float | None, spare: set[TaskRecord]) -> None:
        """Wait until no task runs but those in *spare*, cutting the rest off after *timeout* seconds."""
        idle = asyncio.get_running_loop().create_future()
        self._idlers.append((idle, spare))
        self._tell_idlers()
        await asyncio.wait([idle], timeout=timeout)
        if not idle.done():
            for slot in self._slots:
                if slot.record is not None and slot.record not in spare:
                    slot.interrupt(StopReason.STOP)
                    self._give_until(slot, slot.record, STOP_GRACE)
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
        await slot.gone()
        return record.status is CANCELLED

    def wake(self) -> None:
        """Have the free slots filled, if there is anything to run. No user code runs in here."""
        if self._waiting:
            self.relieve_soon()
        if not self.hungry or not self._queue:
            return
        self.hungry = False
        if EAGER:
            self._filling = True
            self._loop.call_soon(self._fill, context=Context())
        else:
            self._fill()

    def _fill(self) -> None:
        """Start tasks while there are slots; after a millisecond of it, let the loop turn first."""
        self._filling = True
        self.hungry = False
        free, slots, pop = self._free, self._slots, self._queue.pop
        turn_ends = _now() + _TURN
        launched = 0
        while (free or len(slots) < self._max_workers) and self._open:
            record = pop()
            if record is None:
                break
            self._launch(record)
            launched += 1
            if not launched & _CLOCK_MASK and _now() > turn_ends:
                self._loop.call_soon(self._fill, context=Context())
                return
        self._filling = False
        self.hungry = self._open and bool(free or len(slots) < self._max_workers)

    def _new_slot(self) -> Slot:
        slot = Slot(self._told, self._stopped)
        self._slots.append(slot)
        return slot

    def _launch(self, record: TaskRecord) -> None:
        slot = self._free.pop() if self._free else self._new_slot()
        slot.record = record
        record.slot = slot
        self._ledger.start(record)
        if self._task_factory() is not None:
            self._launch_by_factory(slot, record)
            return
        job = self._run(slot, record, self._reporter, self._over, not EAGER)
        try:
            task = start(job, self._loop, record.id, record.context.copy())
        except BaseException as error:  # noqa: BLE001 - nothing may end the loop of :meth:`_fill`
            if slot.record is record:
                self._give_up(slot, record, job, error)
            return
        if slot.record is not record:
            return  # it took its first step eagerly, and that was all
        slot.task = task
        if slot.stop_reason is not None:  # in its first step, by its own doing
            slot.cancel()

    def _launch_by_factory(self, slot: Slot, record: TaskRecord) -> None:
        job = self._run(slot, record, self._reporter, self._over, False)
        slot.task = task = FactoryTask(job, slot, record, self._stranded)
        del job  # one that the factory drops is noticed by its being gone
        if record.timeout is not None and record.ticket is None:
            slot.limit(record.timeout)  # what the factory puts around the function may wait, too
        try:
            task.start(self._loop, record.context.copy())
        except BaseException as error:  # noqa: BLE001 - the user's task factory may raise anything at all
            if slot.task is task:
                self._give_up(slot, record, task, error)
            else:
                _log(record, error, "The task factory failed after task %s (%s) had ended")
            return
        if slot.task is task and slot.stop_reason is not None:
            slot.cancel()

    def _give_up(self, slot: Slot, record: TaskRecord, job: Job | FactoryTask, error: BaseException) -> None:
        """Fail a task that could not be started; others follow from the loop of :meth:`_fill`."""
        filling, self._filling = self._filling, True
        self._disown(slot, record, failed(error))
        try:
            job.close()
        except BaseException as refusal:  # noqa: BLE001 - of the user's code, which may not want to end
            _log(record, refusal, "The coroutine of task %s (%s) could not be closed")
        self._filling = filling
        self.hungry = self._open and not filling and self.free > 0
        self.wake()

    def _stranded(self, task: FactoryTask, outcome: Ending, goes_on: bool) -> None:
        """End a task whose coroutine was dropped, or left unfinished by the Task that a factory made."""
        slot, record = task.slot, task.record
        if slot.lost:
            if not goes_on:
                self._abandoned.discard(slot)
        elif goes_on:
            self._abandoned.add(slot)
            self._disown(slot, record, outcome)
        else:
            self._end(slot, record, outcome)

    def _end(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """Free the slot, record how its task ended and start the next one."""
        if slot.watched:
            if slot.lost:
                self._abandoned.discard(slot)
                return
            slot.tell()
            self.waits.drop(record)
            if len(self._slots) > self._max_workers:
                self._end_extra(slot, record, outcome)
                return
        slot.record = slot.task = None
        self._free.append(slot)
        if outcome is REQUEUE:
            self._ledger.requeue(record)
        else:
            self._ledger.settle(record, outcome)
        if self._idlers:
            self._tell_idlers()
        if not self._filling:
            self._follow_up(outcome)
        if outcome is not REQUEUE and outcome[2] is not None:
            _log_failure(record, outcome[2])

    def _end_extra(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """End a task while one runs in an extra slot: its slot goes, and no task of the queue takes its place."""
        slot.record = slot.task = None
        self._slots.remove(slot)
        if outcome is REQUEUE:
            self._ledger.requeue(record)
        else:
            self._ledger.settle(record, outcome)
        if self._idlers:
            self._tell_idlers()
        if self._waiting:
            self.relieve_soon()
        self.lost_a_slot()
        if outcome is not REQUEUE and outcome[2] is not None:
            _log_failure(record, outcome[2])

    def relieve_soon(self) -> None:
        """Have a look at what running tasks wait for, once those that need not wait any longer have gone on."""
        if self._open and not self._relieving:
            self._relieving = True
            self._loop.call_soon(self._relieve, _TURNS_TO_GO_ON, context=Context())

    def _relieve(self, turns: int) -> None:
        """Run what running tasks wait for in extra slots: as many as there are tasks that wait."""
        if turns:
            self._loop.call_soon(self._relieve, turns - 1, context=Context())
            return
        self._relieving = False
        for _ in range(_AT_ONCE):
            if not (self._open and self._waiting and self.spare > 0 and self._queue):
                return
            if self.free:  # it is about to be filled, in the order of the queue
                break
            record = self._awaited()
            if record is None:
                return
            self._launch_extra(record)
        self.relieve_soon()

    def _awaited(self) -> TaskRecord | None:
        """Take a task out of the queue that a running one waits for; None if there is none.

        What is not in the queue has to wait for something else than a slot, and is left alone.
        """
        record = self.waits.first(self._take)
        return self._queue.pop() if record is None and self.is_pressed() else record

    def _take(self, task_id: str) -> TaskRecord | None:
        if task_id == ALL:
            return self._queue.pop()
        record = self._ledger.get(task_id)
        if record is None or record.status is not PENDING:
            return None
        record = self.leader_of(record)
        return record if self._queue.take_out(record) else None

    def _launch_extra(self, record: TaskRecord) -> None:
        """Start a task in a slot of its own, which goes with the next task that ends."""
        self._free.append(self._new_slot())
        for slot in self._slots:
            slot.watched = True
        self._launch(record)

    def _follow_up(self, outcome: Ending) -> None:
        if outcome is CANCELLED_OUTCOME and asyncio._get_running_loop() is None:
            return  # it was closed together with its loop: nothing can follow
        if EAGER:  # not from within this Task: its first steps would nest
            self.hungry = self._open
            self.wake()
        elif self._open:
            following = self._queue.pop()
            if following is None:
                self.hungry = True
            else:
                self._launch(following)

    def _told(self, slot: Slot, record: TaskRecord) -> None:
        self._ledger.set_phase(record, "cancelling")
        self._give_until(slot, record, GRACE)

    def _give_until(self, slot: Slot, record: TaskRecord, grace: float) -> None:
        deadline = self._loop.time() + grace
        if slot.deadline is not None:
            if slot.deadline.when() <= deadline:
                return
            slot.deadline.cancel()
        slot.deadline = self._loop.call_at(deadline, self._leave_behind, slot, record, context=Context())

    def _leave_behind(self, slot: Slot, record: TaskRecord) -> None:
        """Go on without a task that was told to stop and did not."""
        logger.warning(
            "Task %s (%s) did not stop when told to; its slot goes on without it",
            *(record.id, record.function.name),
            extra=record.log_fields(),
        )
        self._abandoned.add(slot)
        self._disown(slot, record, slot.cut_short(record))

    def _disown(self, slot: Slot, record: TaskRecord, outcome: Ending) -> None:
        """End the task here and now; a new slot takes the place of the one it still sits in."""
        heir = Slot(self._told, self._stopped)
        heir.watched = len(self._slots) > self._max_workers
        self._slots[self._slots.index(slot)] = heir
        slot.tell()
        self.waits.drop(record)
        slot.lost = slot.watched = True
        self._end(heir, record, outcome)

    def bury(self) -> None:
        """End what ran on a loop that was closed under it."""
        if self._slots and self._loop.is_closed():
            self._open = False
            for slot in tuple(self._slots):
                if slot.record is not None:
                    self._disown(slot, slot.record, self._stopped(slot.record))
            self._abandoned.clear()

    def _tell_idlers(self) -> None:
        running = self.running
        for future, spare in self._idlers:
            if running <= spare and is_waiting(future):
                future.set_result(None)
        self._idlers = [idler for idler in self._idlers if is_waiting(idler[0])]


def _log_failure(record: TaskRecord, error: BaseException) -> None:
    _log(record, error, "Task %s (%s) failed", record.traceback)


def _log(record: TaskRecord, error: BaseException, text: str, traceback: TracebackType | None = None) -> None:
    exc_info = exc_info_of(error, traceback)
    logger.error(text, record.id, record.function.name, exc_info=exc_info, extra=record.log_fields())
