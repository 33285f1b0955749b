"""Commits and acknowledgements come in limited chunks, so that neither blocks the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_task_worker import DuplicateTaskError, StorageError
from async_task_worker.journal.acknowledgements import MAX_PER_TURN, Acknowledgements
from async_task_worker.journal.commit_queue import MAX_BATCH, CommitGroup, CommitQueue, PendingInsert
from tests.unit.records import new_record


def pending_inserts(count: int) -> list[PendingInsert]:
    loop = asyncio.get_running_loop()
    return [(new_record(task_id=str(number)), (number,), loop.create_future()) for number in range(count)]


def group_of(inserts: list[PendingInsert], waiters: list[asyncio.Future[None]] | None = None) -> CommitGroup:
    return CommitGroup(inserts, [], [], waiters or [])


def acknowledge(
    acknowledgements: Acknowledgements,
    group: CommitGroup,
    error: Exception | None = None,
    duplicate_seqs: frozenset[int] = frozenset(),
) -> None:
    acknowledgements.send(asyncio.get_running_loop(), group, error, duplicate_seqs)


@pytest.fixture
def acknowledgements() -> Acknowledgements:
    return Acknowledgements()


async def test_a_commit_takes_the_oldest_inserts_up_to_its_limit() -> None:
    queue = CommitQueue()
    inserts = pending_inserts(MAX_BATCH + 3)
    queue.inserts.extend(inserts)
    assert queue.take().inserts == inserts[:MAX_BATCH]
    assert queue.take().inserts == inserts[MAX_BATCH:]
    assert not queue


async def test_updates_of_one_task_are_merged_and_taken_up_to_the_limit() -> None:
    queue = CommitQueue()
    records = [new_record(task_id=str(number)) for number in range(MAX_BATCH + 1)]
    for record in [*records, *records]:
        queue.updates[record.id] = record
    assert queue.fills_batch
    assert queue.take().updates == records[:-1]
    assert queue.take().updates == records[-1:]


async def test_a_waiter_is_resolved_with_the_last_commit_of_what_was_queued_before_it() -> None:
    queue = CommitQueue()
    queue.inserts.extend(pending_inserts(2 * MAX_BATCH))
    future = asyncio.get_running_loop().create_future()
    queue.add_waiter(future)
    queue.inserts.extend(pending_inserts(MAX_BATCH))
    assert [queue.take().waiters for _ in range(3)] == [[], [future], []]


async def test_a_task_withdrawn_before_its_commit_is_left_out_of_it() -> None:
    queue = CommitQueue()
    inserts = pending_inserts(3)
    queue.inserts.extend(inserts)
    queue.withdraw(1)
    group = queue.take()
    assert (group.inserts, group.withdrawn) == ([inserts[0], inserts[2]], [])


async def test_a_task_withdrawn_after_its_commit_is_deleted_by_the_next_one() -> None:
    queue = CommitQueue()
    queue.inserts.extend(pending_inserts(3))
    queue.take()
    queue.inserts.extend(
        (record, (number,), future) for number, (record, _, future) in enumerate(pending_inserts(2), start=3)
    )
    queue.withdraw(1)
    group = queue.take()
    assert ([row for _, row, _ in group.inserts], group.withdrawn) == ([(3,), (4,)], [1])


async def test_a_waiter_behind_withdrawn_tasks_is_resolved_with_the_next_commit() -> None:
    queue = CommitQueue()
    queue.inserts.extend(pending_inserts(3 * MAX_BATCH))
    future = asyncio.get_running_loop().create_future()
    queue.add_waiter(future)
    for number in range(3 * MAX_BATCH):
        queue.withdraw(number)
    assert queue.take().waiters == [future]


async def test_a_failed_commit_is_requeued_first_and_all_waiters_get_the_error() -> None:
    queue = CommitQueue()
    records = [new_record(task_id=str(number)) for number in range(2 * MAX_BATCH)]
    queue.updates.update((record.id, record) for record in records)
    future = asyncio.get_running_loop().create_future()
    queue.add_waiter(future)
    failed = queue.take()
    queue.requeue(failed)
    assert failed.waiters == [future]
    assert queue.take().updates == records[:MAX_BATCH]


async def test_updates_and_deletions_of_a_failed_commit_are_part_of_the_next_one() -> None:
    queue = CommitQueue()
    record = new_record(task_id="noted")
    queue.updates["noted"] = record
    queue.withdraw(7)
    failed = queue.take()
    queue.withdraw(8)
    queue.requeue(failed)
    group = queue.take()
    assert (group.updates, group.withdrawn) == ([record], [7, 8])


async def test_each_loop_iteration_acknowledges_a_limited_number_of_callers(acknowledgements: Acknowledgements) -> None:
    inserts = pending_inserts(2 * MAX_PER_TURN + 1)
    acknowledge(acknowledgements, group_of(inserts))
    done = []
    for _ in range(3):
        done.append(sum(durable.done() for _, _, durable in inserts))
        await asyncio.sleep(0)
    assert done == [MAX_PER_TURN, 2 * MAX_PER_TURN, 2 * MAX_PER_TURN + 1]


async def test_an_earlier_commit_is_acknowledged_first(acknowledgements: Acknowledgements) -> None:
    first, second = pending_inserts(2 * MAX_PER_TURN), pending_inserts(1)
    order: list[str] = []
    first[-1][2].add_done_callback(lambda _: order.append("first"))
    second[0][2].add_done_callback(lambda _: order.append("second"))
    acknowledge(acknowledgements, group_of(first))
    acknowledge(acknowledgements, group_of(second))
    await asyncio.wait([second[0][2]])
    assert order == ["first", "second"]


async def test_all_callers_left_are_acknowledged_when_the_file_closes(
    acknowledgements: Acknowledgements,
) -> None:
    inserts = pending_inserts(3 * MAX_PER_TURN)
    waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    acknowledge(acknowledgements, group_of(inserts, [waiting]))
    acknowledgements.send_all()
    assert all(durable.done() for _, _, durable in inserts)
    assert waiting.done()


async def test_failed_commits_and_duplicate_ids_raise_in_their_callers_only(
    acknowledgements: Acknowledgements,
) -> None:
    failed, duplicates = pending_inserts(2), pending_inserts(2)
    acknowledge(acknowledgements, group_of(failed), error=StorageError("disk full"))
    acknowledge(acknowledgements, group_of(duplicates), duplicate_seqs=frozenset({1}))
    assert [type(durable.exception()) for _, _, durable in failed] == [StorageError] * 2
    assert duplicates[0][2].result() is None
    assert type(duplicates[1][2].exception()) is DuplicateTaskError


async def test_a_caller_that_was_cancelled_during_the_commit_gets_nothing(acknowledgements: Acknowledgements) -> None:
    inserts = pending_inserts(2)
    inserts[0][2].cancel()
    acknowledge(acknowledgements, group_of(inserts))
    assert inserts[0][2].cancelled()
    assert inserts[1][2].result() is None
