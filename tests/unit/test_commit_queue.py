"""What waits for a commit is taken in parts that never hold up the loop, and callers are told in such parts, too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_task_worker import DuplicateTaskError, StorageError
from async_task_worker.journal import acknowledgements, commit_queue
from async_task_worker.journal.acknowledgements import Telling
from async_task_worker.journal.commit_queue import Arrival, Backlog, Group
from tests.unit.records import asked_for


def arrivals(count: int) -> list[Arrival]:
    loop = asyncio.get_running_loop()
    return [(asked_for(task_id=str(number)), (number,), loop.create_future()) for number in range(count)]


def group_of(added: list[Arrival], waiting: list[asyncio.Future[None]] | None = None) -> Group:
    return Group(added, [], [], waiting or [])


class Told:
    """Who was told what."""

    def __init__(self) -> None:
        self.telling = Telling()

    def tell(self, group: Group, error: Exception | None = None, taken: frozenset[int] = frozenset()) -> None:
        self.telling.tell(asyncio.get_running_loop(), group, error, taken)


@pytest.fixture
def told() -> Told:
    return Told()


async def test_a_commit_takes_the_oldest_and_no_more_than_the_loop_makes_rows_of_in_a_moment() -> None:
    waits = Backlog()
    added = arrivals(commit_queue.AT_ONCE + 3)
    waits.added.extend(added)
    assert waits.take().added == added[: commit_queue.AT_ONCE]
    assert waits.take().added == added[commit_queue.AT_ONCE :]
    assert not waits


async def test_notes_of_one_task_are_one_and_only_so_many_are_taken() -> None:
    waits = Backlog()
    records = [asked_for(task_id=str(number)) for number in range(commit_queue.AT_ONCE + 1)]
    for record in [*records, *records]:
        waits.noted[record.id] = record
    assert waits.is_long
    assert waits.take().noted == records[:-1]
    assert waits.take().noted == records[-1:]


async def test_who_waits_is_told_with_the_last_of_what_was_there() -> None:
    waits = Backlog()
    waits.added.extend(arrivals(2 * commit_queue.AT_ONCE))
    future = asyncio.get_running_loop().create_future()
    waits.wait(future)
    waits.added.extend(arrivals(commit_queue.AT_ONCE))
    assert [waits.take().waiting for _ in range(3)] == [[], [future], []]


async def test_a_task_withdrawn_before_the_commit_is_left_out_of_it() -> None:
    waits = Backlog()
    added = arrivals(3)
    waits.added.extend(added)
    waits.withdraw(1)
    group = waits.take()
    assert (group.added, group.withdrawn) == ([added[0], added[2]], [])


async def test_a_task_withdrawn_later_is_taken_out_by_the_next_commit() -> None:
    waits = Backlog()
    waits.added.extend(arrivals(3))
    waits.take()
    waits.added.extend((record, (number,), told) for number, (record, _, told) in enumerate(arrivals(2), start=3))
    waits.withdraw(1)
    group = waits.take()
    assert ([row for _, row, _ in group.added], group.withdrawn) == ([(3,), (4,)], [1])


async def test_who_waits_behind_tasks_that_are_withdrawn_is_told_with_the_next_commit() -> None:
    waits = Backlog()
    waits.added.extend(arrivals(3 * commit_queue.AT_ONCE))
    future = asyncio.get_running_loop().create_future()
    waits.wait(future)
    for number in range(3 * commit_queue.AT_ONCE):
        waits.withdraw(number)
    assert waits.take().waiting == [future]


async def test_what_could_not_be_written_comes_first_and_all_who_wait_hear_of_it() -> None:
    waits = Backlog()
    records = [asked_for(task_id=str(number)) for number in range(2 * commit_queue.AT_ONCE)]
    waits.noted.update((record.id, record) for record in records)
    future = asyncio.get_running_loop().create_future()
    waits.wait(future)
    failed = waits.take()
    waits.take_back(failed)
    assert failed.waiting == [future]
    assert waits.take().noted == records[: commit_queue.AT_ONCE]


async def test_what_could_not_be_written_is_part_of_the_next_commit_as_it_is_then() -> None:
    waits = Backlog()
    record = asked_for(task_id="noted")
    waits.noted["noted"] = record
    waits.withdraw(7)
    failed = waits.take()
    waits.withdraw(8)
    waits.take_back(failed)
    group = waits.take()
    assert (group.noted, group.withdrawn) == ([record], [7, 8])


async def test_a_crowd_is_told_some_in_each_turn_of_the_loop(told: Told) -> None:
    added = arrivals(2 * acknowledgements.AT_ONCE + 1)
    told.tell(group_of(added))
    done = []
    for _ in range(3):
        done.append(sum(durable.done() for _, _, durable in added))
        await asyncio.sleep(0)
    assert done == [acknowledgements.AT_ONCE, 2 * acknowledgements.AT_ONCE, 2 * acknowledgements.AT_ONCE + 1]


async def test_those_of_an_earlier_commit_are_told_first(told: Told) -> None:
    first, second = arrivals(2 * acknowledgements.AT_ONCE), arrivals(1)
    order: list[str] = []
    first[-1][2].add_done_callback(lambda _: order.append("first"))
    second[0][2].add_done_callback(lambda _: order.append("second"))
    told.tell(group_of(first))
    told.tell(group_of(second))
    await asyncio.wait([second[0][2]])
    assert order == ["first", "second"]


async def test_all_the_rest_is_told_at_once_when_the_file_is_closed(told: Told) -> None:
    added = arrivals(3 * acknowledgements.AT_ONCE)
    waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    told.tell(group_of(added, [waiting]))
    told.telling.finish()
    assert all(durable.done() for _, _, durable in added)
    assert waiting.done()


async def test_a_failure_and_a_taken_id_are_told_to_whom_they_concern(told: Told) -> None:
    failed, taken = arrivals(2), arrivals(2)
    told.tell(group_of(failed), error=StorageError("disk full"))
    told.tell(group_of(taken), taken=frozenset({1}))
    assert [type(durable.exception()) for _, _, durable in failed] == [StorageError] * 2
    assert taken[0][2].result() is None
    assert type(taken[1][2].exception()) is DuplicateTaskError


async def test_one_who_is_called_off_during_the_commit_is_told_nothing(told: Told) -> None:
    added = arrivals(2)
    added[0][2].cancel()
    told.tell(group_of(added))
    assert added[0][2].cancelled()
    assert added[1][2].result() is None
