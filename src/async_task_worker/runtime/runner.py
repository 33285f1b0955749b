"""Runner: what runs tasks on this event loop. A backend owns one; none inherits from another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..model.options import OnFull
from ..model.outcome import CANCELLED_OUTCOME
from ..model.record import TaskRecord
from ..model.status import PENDING
from ..state.events import EventBus
from ..state.ledger import Ledger
from ..state.progress import ProgressCallbacks
from .capacity import Capacity
from .coalescing import Coalescing
from .executor import TaskExecutor
from .nested_waits import Waits
from .pool import WorkerPool
from .queue import TaskQueue
from .slot import OnStop, cancelled_on_stop


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a worker gives its backend to work with.

    Attributes:
        ledger: The state of tasks.
        progress: Makes the ``progress_callback`` of a task.
        executor: Runs a task.
        events: Where changes are published.
        max_workers: How many tasks may run at once.
        max_queue_size: How many may wait for a slot; None for any number.
        on_full: Whether a caller waits for capacity or gets an error.
        waits: Which running tasks wait for others: those may be run beyond ``max_workers``.
        consume: Whether tasks are run here; False if this process only adds and watches them.
    """

    ledger: Ledger
    progress: ProgressCallbacks
    executor: TaskExecutor
    events: EventBus
    max_workers: int
    max_queue_size: int | None
    on_full: OnFull
    waits: Waits
    consume: bool = True


class _QueueLength:
    """How many tasks count against ``max_queue_size``: those queued, and those about to be."""

    def __init__(self, queue: TaskQueue, uncommitted: Collection[object]) -> None:
        self._queue = queue
        self._uncommitted = uncommitted

    def __len__(self) -> int:
        return len(self._queue) + len(self._uncommitted)


class Runner:
    """The queue, the slots, the capacity and the coalescing of one worker, as one.

    Args:
        runtime: What the worker provides.
        admit: Adds a new task to the ledger, for tasks that :class:`Coalescing` admits.
        on_stop: Returns how a task ends that the stop of the worker cuts off.
        uncommitted: Tasks about to be queued, which count against ``max_queue_size`` already.

    Attributes:
        queue: Pending tasks that wait for a slot.
        pool: The slots.
        coalescing: Tasks of the same cache key, run once.
        capacity: Backpressure for callers; None if the queue is not bounded.
        is_open: Whether tasks are taken: from :meth:`start` to :meth:`pause`.
    """

    def __init__(
        self,
        runtime: Runtime,
        admit: Callable[[TaskRecord], None],
        on_stop: OnStop = cancelled_on_stop,
        uncommitted: Collection[object] = (),
    ) -> None:
        self._ledger = runtime.ledger
        self._consume = runtime.consume
        self.is_open = False
        self.queue = TaskQueue()
        self.pool = WorkerPool(
            self.queue,
            runtime.executor,
            runtime.max_workers,
            ledger=runtime.ledger,
            progress=runtime.progress,
            on_stop=on_stop,
            waits=runtime.waits,
        )
        self.coalescing = Coalescing(runtime.ledger, self.queue, self.pool, admit)
        self.capacity: Capacity | None = None
        if runtime.max_queue_size is not None:
            self.capacity = Capacity(
                runtime.max_queue_size,
                runtime.on_full if runtime.consume else "error",  # no task would start and make room
                _QueueLength(self.queue, uncommitted),
                self.pool,
                runtime.events,
            )

    async def start(self) -> None:
        """Take tasks, and start queued ones if this process runs any, on the running event loop."""
        self.is_open = True
        if self.capacity is not None:
            self.capacity.open()
        if self._consume:
            await self.pool.start()

    def pause(self) -> None:
        """Start nothing more, and refuse callers that wait for capacity."""
        self.is_open = False
        self.pool.pause()
        if self.capacity is not None:
            self.capacity.close()

    async def drain(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Wait until no task runs but those in *exclude*; cut the others off after *timeout* seconds (None: never)."""
        await self.pool.drain(timeout, exclude)

    def enqueue(self, record: TaskRecord) -> None:
        """Queue an admitted task; it starts at once if a slot is free."""
        self.queue.put(record)
        if self.pool.needs_tasks or self.pool.waits:  # what running tasks wait for may need an extra slot
            self.pool.wake()

    def settle_orphans(self) -> None:
        """End the tasks that ran on an event loop which was closed under them."""
        self.pool.settle_orphans()
        self.pool.pause()

    def requeue_all(self, records: Sequence[TaskRecord]) -> None:
        """Replace what is queued by these pending tasks, which come in the order of their turns."""
        self.queue.clear()
        self.queue.extend(records)

    async def cancel(self, record: TaskRecord) -> bool:
        """Cancel a task of this runner: a pending one at once, a running one within a second.

        Returns:
            Whether it ended cancelled because of this call.
        """
        if record.status is not PENDING:
            return await self.pool.cancel_running_task(record.id)
        self.queue.discard(record)
        return self._ledger.settle(record, CANCELLED_OUTCOME)

    def cancel_pending(self) -> int:
        """Cancel every task that has not started; return how many there were."""
        cancelled = self.coalescing.cancel_followers()
        for record in self.queue.clear():
            cancelled += self._ledger.settle(record, CANCELLED_OUTCOME)
        return cancelled
