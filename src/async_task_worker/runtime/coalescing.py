"""Coalescing: concurrent tasks with the same cache key run once.

The first one is the leader: it is queued and runs like any other task. The others are followers:
they are pending, in no queue and in no slot, until the leader has a result for all of them, or
ends without one and the first follower becomes the leader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..caching.lookup import CacheLookup, CoalescingMember, lookup_of
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
"""The phase of a follower."""


class Coalescing:
    """Makes concurrent tasks with the same cache key share one run.

    Args:
        ledger: The state of tasks.
        queue: Pending leaders.
        pool: Runs leaders.
        admit: Adds a new task to the ledger.
    """

    def __init__(self, ledger: Ledger, queue: TaskQueue, pool: WorkerPool, admit: Callable[[TaskRecord], None]) -> None:
        self._ledger = ledger
        self._queue = queue
        self._pool = pool
        self._admit = admit
        pool.extra_slots.leader_of = self._leader_of

    def try_serve(self, record: TaskRecord) -> bool:
        """Admit a new task that has a cached result or can follow another; return False, and do nothing, for others.

        Raises:
            DuplicateTaskError: A task of its id is known.
        """
        self._ledger.check_unique(record.id)
        lookup = lookup_of(record)
        hit, result = lookup.lookup_nowait()
        if hit:
            self._admit(record)
            self._ledger.settle(record, (COMPLETED, result, None))
            return True
        return self.has_leader(record) and self.follow(record)

    def has_leader(self, record: TaskRecord) -> bool:
        """Return whether an unfinished task has the same key."""
        lookup = lookup_of(record)
        flights = lookup.context.flights
        return flights is not None and lookup.key in flights

    def follow(self, record: TaskRecord) -> bool:
        """Admit a new task as a follower; return False if that would deadlock, and it becomes a leader instead."""
        self.lead(record)
        task = lookup_of(record).member
        if not isinstance(task, CoalescedTask) or not task.membership.is_follower:
            return False
        self._ledger.set_phase(record, COALESCED)
        self._admit(record)
        leader = task.membership.leader
        if isinstance(leader, CoalescedTask) and record.priority < leader.record.priority:
            self._move(leader.record, record.priority, record.created)
        return True

    def lead(self, record: TaskRecord) -> None:
        """Let later tasks follow this new one, unless it was added by the task that they would follow."""
        lookup = lookup_of(record)
        flights = lookup.context.flights
        if flights is not None and lookup.member is None:
            task = CoalescedTask(self, record)
            task.membership = flights.join(lookup.key, task)
            lookup.member = task

    def cancel_followers(self) -> int:
        """Cancel all followers; return how many there were."""
        cancelled = 0
        for record in self._ledger.select({PENDING}):
            member = _member_of(record)
            if isinstance(member, CoalescedTask) and member.membership.is_follower:
                cancelled += self._ledger.settle(record, CANCELLED_OUTCOME)
        return cancelled

    def dissolve(self) -> None:
        """Let each pending task run by itself, without the cache."""
        for record in self._ledger.select({PENDING}):
            self._ledger.detach_from_cache(record)

    def run(self, record: TaskRecord) -> None:
        """Queue a follower that became a leader."""
        self._ledger.set_phase(record, None)
        self._queue.put(record)
        self._pool.wake()

    def on_promoted(self, leader: CoalescedTask) -> None:
        """Give a new leader, which is queued, the best turn of its group."""
        self._move(leader.record, *leader.effective_turn())

    def on_follower_left(self, leader: CoalescedTask, priority: int) -> None:
        """Give a pending leader the best turn of its group after a follower of this priority has left that."""
        if priority == leader.record.priority < leader.own_priority:
            self._move(leader.record, *leader.effective_turn())

    def _move(self, record: TaskRecord, priority: int, since: float) -> None:
        """Give a queued task the turn of a task with this priority that was created at *since*."""
        if self._queue.remove(record):
            self._ledger.reprioritize(record, priority)
            self._queue.insert_by_time(record, since)

    def _leader_of(self, record: TaskRecord) -> TaskRecord:
        """Return the leader of a follower; any other task itself."""
        member = _member_of(record)
        leader = member.membership.leader if isinstance(member, CoalescedTask) else None
        return leader.record if isinstance(leader, CoalescedTask) else record

    def settle(self, record: TaskRecord, outcome: Outcome) -> None:
        """Settle a follower."""
        self._ledger.settle(record, outcome)


class CoalescedTask:
    """A task's membership in a group of tasks with the same key.

    Attributes:
        record: The task.
        membership: Its membership in the flight: leader, follower, or neither.
        own_priority: Its own priority. A leader is queued with the best priority of its group.
    """

    __slots__ = ("_coalescing", "membership", "own_priority", "record")

    membership: Membership[Outcome]

    def __init__(self, coalescing: Coalescing, record: TaskRecord) -> None:
        self._coalescing = coalescing
        self.record = record
        self.own_priority = record.priority

    def effective_turn(self) -> tuple[int, float]:
        """Return the best priority of the task and its followers, and when the first task with it was created."""
        best: CoalescedTask = self
        for other in () if self.membership.flight is None else self.membership.flight.followers:
            if isinstance(other.member, CoalescedTask) and other.member.own_priority < best.own_priority:
                best = other.member
                if best.own_priority == self.record.priority:  # no task of the group is better than that
                    break
        return best.own_priority, best.record.created

    def enter(self) -> None:
        """Mark the current context as part of the task, so that tasks added in it never follow the task."""
        self.membership.enter()

    def become_leader(self) -> None:
        """Queue the task: it has become the leader, or has to run by itself."""
        self._coalescing.run(self.record)

    def receive(self, outcome: Outcome) -> None:
        """Settle the task as its leader has ended, with a copy of the result."""
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
                lookup_of(self.record).mark_shared()
        self._coalescing.settle(self.record, outcome)

    def finish(self, outcome: Outcome, lookup: CacheLookup) -> None:
        """Share the outcome with the followers, or leave the group, or hand over the lead."""
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
    """Return whether an outcome holds for all tasks of the same key: not a cancellation or a timeout of this task."""
    status, _, error = outcome
    if status is FAILED:
        own = issubclass(type(error), TaskTimeoutError | TaskInterruptedError)  # isinstance() would ask the error
        return not (own and getattr(error, "task_id", None) == record.id)
    return status is COMPLETED


def _member_of(record: TaskRecord) -> CoalescingMember | None:
    return None if record.cache_lookup is None else lookup_of(record).member
