"""Lower numbers run first, equal ones in the order they came, and never more at once than there are slots."""

from __future__ import annotations

import asyncio
import random
from enum import IntEnum

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus
from tests.conformance.event_helpers import info_of, now, record_events, status_of
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.tasks import echo, note, open_gate, sleep_for, wait_at
from tests.support.waiting import finished, running, settled

LEAST, GREATEST = -(2**63), 2**63 - 1


class Urgency(IntEnum):
    HIGH = 1
    LOW = 9


async def order_of(make_worker: MakeWorker, priorities: list[int]) -> list[int]:
    """Queue a task of each priority behind a running one, and return the order in which they ran."""
    worker = await make_worker(max_workers=1)
    held = await worker.add_task(wait_at, "gate")
    await running(worker, held)
    for number, priority in enumerate(priorities):
        await worker.add_task(note, number, priority=priority)
    open_gate("gate")
    await worker.drain()
    return list(tasks.notes)


async def test_lower_numbers_run_first(make_worker: MakeWorker) -> None:
    assert await order_of(make_worker, [3, 1, 2]) == [1, 2, 0]


async def test_equal_priorities_run_in_the_order_they_came(make_worker: MakeWorker) -> None:
    assert await order_of(make_worker, [0] * 100) == list(range(100))


async def test_negative_priorities_run_before_zero(make_worker: MakeWorker) -> None:
    assert await order_of(make_worker, [0, -1, -100, 1]) == [2, 1, 0, 3]


async def test_priorities_have_all_of_64_bits(make_worker: MakeWorker) -> None:
    priorities = [GREATEST, GREATEST - 1, LEAST + 1, LEAST, 0, 2**53, 2**53 + 1]
    assert await order_of(make_worker, priorities) == [3, 2, 4, 5, 6, 1, 0]


async def test_any_mixture_of_priorities_runs_in_stable_order(make_worker: MakeWorker) -> None:
    priorities = random.Random(1).choices(range(-5, 6), k=300)
    assert await order_of(make_worker, priorities) == sorted(range(300), key=priorities.__getitem__)


async def test_a_member_of_an_int_enum_is_a_priority(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1, priority=Urgency.LOW)
    assert info_of(worker, task_id).priority == 9


async def test_the_priority_is_zero_unless_given(worker: AsyncTaskWorker) -> None:
    assert info_of(worker, await worker.add_task(echo, 1)).priority == 0


async def test_an_urgent_task_overtakes_those_that_wait_but_not_those_that_run(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    running_one = await worker.add_task(note, "running", "gate", priority=5)
    await running(worker, running_one)
    await worker.add_task(note, "waiting", priority=5)
    await worker.add_task(note, "urgent", priority=-5)
    assert status_of(worker, running_one) is TaskStatus.RUNNING
    open_gate("gate")
    await worker.drain()
    assert tasks.notes == ["running", "urgent", "waiting"]


@pytest.mark.parametrize("cancelled", [range(0, 300, 2), range(250), range(50, 300), []])
async def test_cancelling_many_that_wait_leaves_the_order_of_the_others(
    make_worker: MakeWorker, cancelled: range
) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    ids = [await worker.add_task(note, number, priority=number % 3) for number in range(300)]
    for number in cancelled:
        assert await worker.cancel_task(ids[number])
    open_gate("gate")
    await worker.drain()
    left = [number for number in range(300) if number not in cancelled]
    assert tasks.notes == sorted(left, key=lambda number: number % 3)


async def test_no_more_tasks_run_at_once_than_there_are_slots(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=3)
    most = 0

    def count(_event: object) -> None:
        nonlocal most
        most = max(most, worker.counts()[TaskStatus.RUNNING])

    worker.events.listen(count)
    for number in range(20):
        await worker.add_task(sleep_for, 1 + number % 4)
    await worker.drain()
    assert most == 3


async def test_a_free_slot_takes_a_task_at_once_whatever_the_poll_interval(make_worker: MakeWorker) -> None:
    worker = await make_worker(worker_poll_interval=3600.0)
    before = now()
    assert await worker.get_task_future(await worker.add_task(echo, "now")) == "now"
    assert now() == before


async def test_the_end_of_a_task_starts_the_next_at_that_moment(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(sleep_for, 10) for _ in range(3)]
    infos = await finished(worker, *ids)
    assert [info.started_at for info in infos[1:]] == [info.completed_at for info in infos[:-1]]


async def test_tasks_that_never_wait_do_not_starve_the_loop(make_worker: MakeWorker) -> None:
    """A long row of them must not keep the loop from everything else."""
    worker = await make_worker(max_workers=1)
    events = record_events(worker)
    await running(worker, await worker.add_task(wait_at, "gate"))
    await asyncio.gather(*(worker.add_task(echo, number) for number in range(2000)))
    open_gate("gate")
    turns = 0
    while worker.counts()[TaskStatus.PENDING]:
        await asyncio.sleep(0)
        turns += 1
    await worker.drain()
    assert turns > 5
    assert sum(event.type == "task.completed" for event in events) == 2001


async def test_starting_a_task_waits_for_no_time_at_all_when_many_are_added(worker: AsyncTaskWorker) -> None:
    before = now()
    ids = [await worker.add_task(echo, number) for number in range(500)]
    assert await worker.wait_for_tasks(ids) == list(range(500))
    assert now() == before


async def test_a_task_that_waits_holds_up_only_its_own_slot(worker: AsyncTaskWorker) -> None:
    await running(worker, await worker.add_task(wait_at, "gate"))
    ids = [await worker.add_task(echo, number) for number in range(50)]
    await settled()
    assert [status_of(worker, task_id) for task_id in ids] == [TaskStatus.COMPLETED] * 50
    open_gate("gate")
