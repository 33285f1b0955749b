"""The queue beside the plainest thing that does the same: a sorted list."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_task_worker import TaskQueue
from async_task_worker.model.outcome import CANCELLED_OUTCOME
from async_task_worker.model.record import TaskRecord
from async_task_worker.state.ledger import Ledger
from tests.unit.records import new_record, records_alive

PRIORITIES = st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1))
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(PRIORITIES, max_size=8)),
    st.tuples(st.just("put"), st.builds(lambda count, priority: [priority] * count, st.integers(60, 90), PRIORITIES)),
    st.tuples(st.just("pop"), st.integers(1, 8)),
    st.tuples(st.just("cancel"), st.integers(1, 90)),
    st.tuples(st.just("move"), st.integers(1, 90)),
    st.tuples(st.just("clear"), st.none()),
)


class SortedList:
    """What the queue should be, and the queue; each step is taken by both."""

    def __init__(self, choices: random.Random) -> None:
        self.queue = TaskQueue()
        self.waiting: list[TaskRecord] = []
        self._choices = choices
        self._count = 0

    def put(self, priorities: list[int]) -> None:
        for priority in priorities:
            record = new_record(priority=priority)
            self._count += 1
            record.created = float(self._count)
            self.queue.put(record)
            self.waiting.append(record)
        self.waiting.sort(key=_turn)

    def pop(self, count: int) -> None:
        for _ in range(count):
            record = self.queue.pop()
            assert record is (self.waiting.pop(0) if self.waiting else None)
            if record is not None:
                assert Ledger().start(record)

    def cancel(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            cancel(self.queue, self.waiting.pop(self._choices.randrange(len(self.waiting))))

    def move(self, count: int) -> None:
        """Change the priority of a task, for better or worse; it keeps its place by arrival."""
        for _ in range(count if self.waiting else 0):
            record = self._choices.choice(self.waiting)
            assert self.queue.remove(record)
            record.priority = self._choices.choice([record.priority, *range(-2, 3)])
            self.queue.insert_by_time(record, record.created)
            self.waiting.sort(key=_turn)

    def clear(self, _: None) -> None:
        assert self.queue.clear() == self.waiting
        self.waiting = []

    def compare(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert list(self.queue) == self.waiting


def _turn(record: TaskRecord) -> tuple[int, float]:
    return record.priority, record.created


def cancel(queue: TaskQueue, record: TaskRecord) -> None:
    """End a queued task as its backend does."""
    queue.discard(record)
    assert Ledger().settle(record, CANCELLED_OUTCOME)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), choices=st.randoms(use_true_random=False))
def test_it_does_what_a_sorted_list_does(steps: list[tuple[str, object]], choices: random.Random) -> None:
    model = SortedList(choices)
    for step, argument in steps:
        getattr(model, step)(argument)
        model.compare()
    model.pop(len(model.waiting) + 1)


def test_an_empty_queue_has_nothing_to_pop() -> None:
    queue = TaskQueue()
    assert queue.pop() is None
    assert not queue
    assert list(queue) == queue.clear() == []


def test_a_lane_that_ran_empty_opens_again() -> None:
    queue = TaskQueue()
    for _ in range(3):
        first, second = new_record(priority=5), new_record(priority=5)
        queue.put(first)
        queue.put(second)
        assert [queue.pop(), queue.pop(), queue.pop()] == [first, second, None]


@pytest.mark.parametrize("position", ["front", "middle", "back"])
def test_a_cancelled_task_is_passed_over(position: str) -> None:
    queue = TaskQueue()
    records = [new_record(task_id=name) for name in ("front", "middle", "back")]
    for record in records:
        queue.put(record)
    cancel(queue, next(record for record in records if record.id == position))
    assert len(queue) == 2
    assert [record.id for record in queue] == [record.id for record in records if record.id != position]
    assert [queue.pop(), queue.pop(), queue.pop()] == [*(r for r in records if r.id != position), None]


def test_a_queue_of_cancelled_tasks_only_is_empty() -> None:
    queue = TaskQueue()
    for priority in (1, 1, 2):
        record = new_record(priority=priority)
        queue.put(record)
        cancel(queue, record)
    assert not queue
    assert queue.pop() is None
    assert len(queue) == 0


@pytest.mark.parametrize("priorities", [[0] * 1000, list(range(1000))], ids=["one lane", "a lane each"])
def test_cancelled_tasks_do_not_pile_up(priorities: list[int]) -> None:
    """They stay in place, but never more of them than live ones, beyond a few."""
    before = records_alive()
    queue = TaskQueue()
    for priority in priorities:
        queue.put(new_record(priority=priority))
    for record in list(queue)[1:]:
        cancel(queue, record)
    del record
    assert len(queue) == 1
    assert records_alive() - before <= 1 + 66


def test_clearing_forgets_the_cancelled_ones_too() -> None:
    before = records_alive()
    queue = TaskQueue()
    for _ in range(10):
        queue.put(new_record())
    cancel(queue, next(iter(queue)))
    assert len(queue.clear()) == 9
    assert records_alive() == before
    queue.put(new_record(task_id="afterwards"))
    assert [record.id for record in queue] == ["afterwards"]


def test_a_task_that_is_moved_takes_the_turn_it_is_given() -> None:
    queue = TaskQueue()
    records = [new_record(task_id=str(number), priority=number % 2) for number in range(6)]
    for number, record in enumerate(records):
        record.created = float(number)
        queue.put(record)
    late = records[5]
    assert queue.remove(late)
    assert not queue.remove(late)
    late.priority = 0
    queue.insert_by_time(late, 2.5)
    assert [record.id for record in queue] == ["0", "2", "5", "4", "1", "3"]
    assert [queue.pop() for _ in range(7)] == [*[records[place] for place in (0, 2, 5, 4, 1, 3)], None]
