"""Tasks that do the same, at the same time, done once.

Two tasks are the same if the cache would store their results under one key. The first
leads: it waits in the queue and runs like any other. The others follow: they are pending,
in no queue and in no slot, until the leader has a result for all of them, or leaves the
lead to the first of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..caching.lookup import CacheLookup
from ..exceptions import TaskInterruptedError, TaskTimeoutError
from ..model.failure import exc_info_of
from ..model.outcome import CANCELLED_OUTCOME, Outcome, completed
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.status import COMPLETED, FAILED, PENDING
from ..state.ledger import Ledger
from .pool import WorkerPool
from .queue import TaskQueue

if TYPE_CHECKING:
    from async_cache import Membership

logger = SafeLogger("async_task_worker.coalescing")

COALESCED = "coalesced"
"""The phase of a task that follows another."""


class Coalescing:
    """Brings tasks of the same key together.

    Args:
        ledger: Where their state is kept.
        queue: Where leaders wait.
        pool: What runs them.
        admit: What makes a new task known to the ledger.
    """

    def __init__(self, ledger: Ledger, queue: TaskQueue, pool: WorkerPool, admit: Callable[[TaskRecord], None]) -> None:
        self._ledger = ledger
        self._queue = queue
        self._pool = pool
        self._admit = admit
        pool.extra_slots.leader_of = self._leader_of

    def try_serve(self, record: TaskRecord, lookup: CacheLookup) -> bool:
        """Admit a new task whose result is known, or about to be; say False, and do nothing, for any other.

        Raises:
            DuplicateTaskError: A task of its id is known.
        """
        self._ledger.check_unique(record.id)
        hit, result = lookup.lookup_nowait()
        if hit:
            self._admit(record)
            self._ledger.settle(record, (COMPLETED, result, None))
            return True
        return self.has_leader(lookup) and self.follow(record, lookup)

    def has_leader(self, lookup: CacheLookup) -> bool:
        """Whether there is a task of the same key."""
        flights = lookup.context.flights
        return flights is not None and lookup.key in flights

    def follow(self, record: TaskRecord, lookup: CacheLookup) -> bool:
        """Admit a new task to wait for the one of the same key; say False, if it cannot, and let it lead its own."""
        self.lead(record, lookup)
        task = lookup.member
        if not isinstance(task, CoalescedTask) or not task.membership.is_follower:
            return False
        self._ledger.set_phase(record, COALESCED)
        self._admit(record)
        leader = task.membership.leader
        if isinstance(leader, CoalescedTask) and record.priority < leader.record.priority:
            self._move(leader.record, record.priority, record.created)
        return True

    def lead(self, record: TaskRecord, lookup: CacheLookup) -> None:
        """Let others follow a new task, unless it is part of what they would follow."""
        flights = lookup.context.flights
        if flights is not None and lookup.member is None:
            task = CoalescedTask(self, record)
            task.membership = flights.join(lookup.key, task)
            lookup.member = task

    def cancel_followers(self) -> int:
        """Cancel every task that follows another; return how many there were."""
        cancelled = 0
        for record in self._ledger.select({PENDING}):
            member = None if record.cache_lookup is None else record.cache_lookup.member
            if isinstance(member, CoalescedTask) and member.membership.is_follower:
                cancelled += self._ledger.settle(record, CANCELLED_OUTCOME)
        return cancelled

    def dissolve(self) -> None:
        """Have nobody follow anybody any more: what waits is to run by itself, and without the cache."""
        for record in self._ledger.select({PENDING}):
            self._ledger.detach_from_cache(record)

    def run(self, record: TaskRecord) -> None:
        """Queue a task that followed, or was about to."""
        self._ledger.set_phase(record, None)
        self._queue.put(record)
        self._pool.wake()

    def on_promoted(self, leader: CoalescedTask) -> None:
        """Give a task that has taken the lead, and was queued, its turn."""
        self._move(leader.record, *leader.effective_turn())

    def on_follower_left(self, leader: CoalescedTask, priority: int) -> None:
        """Give a pending leader the turn of the best of those that are left, if one of this priority has left."""
        if priority == leader.record.priority < leader.own_priority:
            self._move(leader.record, *leader.effective_turn())

    def _move(self, record: TaskRecord, priority: int, since: float) -> None:
        """Give a queued task the turn of one of this priority that was added at that moment."""
        if self._queue.remove(record):
            self._ledger.reprioritize(record, priority)
            self._queue.insert_by_time(record, since)

    def _leader_of(self, record: TaskRecord) -> TaskRecord:
        """Return the task that a follower waits for; any other task itself."""
        member = None if record.cache_lookup is None else record.cache_lookup.member
        leader = member.membership.leader if isinstance(member, CoalescedTask) else None
        return leader.record if isinstance(leader, CoalescedTask) else record

    def settle(self, record: TaskRecord, outcome: Outcome) -> None:
        """End a task that followed."""
        self._ledger.settle(record, outcome)


class CoalescedTask:
    """A task's place among those of the same key.

    Attributes:
        record: The task.
        membership: Its membership in the flight: leader, follower, or neither.
        own_priority: Its own priority. While it leads it goes by the best of those who wait for it, too.
    """

    __slots__ = ("_coalescing", "membership", "own_priority", "record")

    membership: Membership[Outcome]

    def __init__(self, coalescing: Coalescing, record: TaskRecord) -> None:
        self._coalescing = coalescing
        self.record = record
        self.own_priority = record.priority

    def effective_turn(self) -> tuple[int, float]:
        """Return the best priority of the task and those who follow it, and when the one of that priority was added."""
        best: CoalescedTask = self
        for other in () if self.membership.flight is None else self.membership.flight.followers:
            if isinstance(other.member, CoalescedTask) and other.member.own_priority < best.own_priority:
                best = other.member
                if best.own_priority == self.record.priority:  # nobody who is left is better than that
                    break
        return best.own_priority, best.record.created

    def enter(self) -> None:
        """Mark the current context as part of the task."""
        self.membership.enter()

    def become_leader(self) -> None:
        """Run the task after all."""
        self._coalescing.run(self.record)

    def receive(self, outcome: Outcome) -> None:
        """End the task as its leader ended, with a copy of the result."""
        status, snapshot, _ = outcome
        if status is COMPLETED:
            try:
                outcome = completed(snapshot.value())
            except Exception as error:
                logger.exception(
                    "Task %s (%s) runs by itself: the result it waited for cannot be copied",
                    *(self.record.id, self.record.function.name),
                    exc_info=exc_info_of(error),
                    extra=self.record.log_fields(),
                )
                self.become_leader()
                return
            if self.record.cache_lookup is not None:
                self.record.cache_lookup.mark_shared()
        self._coalescing.settle(self.record, outcome)

    def finish(self, outcome: Outcome, lookup: CacheLookup) -> None:
        """Tell the others what became of the task."""
        if not self.membership.is_leader:
            leader = self.membership.leader
            self.membership.leave()
            if isinstance(leader, CoalescedTask):
                self._coalescing.on_follower_left(leader, self.own_priority)
        elif lookup.unshareable or not _is_shareable(outcome, self.record):
            self._hand_over()
        elif outcome[0] is COMPLETED:
            self._share(outcome[1], lookup)
        else:
            self.membership.resolve(outcome)

    def _share(self, result: object, lookup: CacheLookup) -> None:
        flight = self.membership.flight
        if flight is None or not flight.followers:
            self.membership.leave()
            return
        snapshot = lookup.context.cache.snapshot(result) if lookup.from_cache else lookup.snapshot
        if snapshot is None:
            self.membership.dissolve()
        else:
            self.membership.resolve((COMPLETED, snapshot, None))

    def _hand_over(self) -> None:
        self.membership.leave()
        next_leader = self.membership.leader
        if isinstance(next_leader, CoalescedTask):
            self._coalescing.on_promoted(next_leader)


def _is_shareable(outcome: Outcome, record: TaskRecord) -> bool:
    """Whether the end of a task says something about others that do the same, not just about itself."""
    status, _, error = outcome
    if status is FAILED:
        own = issubclass(type(error), TaskTimeoutError | TaskInterruptedError)  # isinstance() would ask the error
        return not (own and getattr(error, "task_id", None) == record.id)
    return status is COMPLETED
