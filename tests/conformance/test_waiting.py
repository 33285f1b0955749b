"""Waiting for several tasks: for all of them, or for the first."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskStatus,
    WorkerNotRunningError,
)
from tests.conformance.event_helpers import ended, now, status_of
from tests.conformance.from_inside_task import add_and_wait, use_worker, wait_for_own_id
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import finished, loop_iterations, running, settled

BOTH = pytest.mark.parametrize("method", ["wait_for_tasks", "wait_for_any_task"])


async def test_results_come_in_the_order_of_the_ids(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, seconds, seconds) for seconds in (3, 1, 2)]
    assert await worker.wait_for_tasks(ids) == [3, 1, 2]
    assert await worker.wait_for_tasks(tuple(reversed(ids))) == [2, 1, 3]


async def test_waiting_for_no_task_is_over_at_once(worker: AsyncTaskWorker) -> None:
    assert await worker.wait_for_tasks([]) == []


async def test_the_same_id_may_be_waited_for_more_than_once(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 1, "slept")
    assert await worker.wait_for_tasks([task_id, task_id]) == ["slept", "slept"]


async def test_ids_may_come_from_any_iterable(worker: AsyncTaskWorker) -> None:
    ids = {await worker.add_task(echo, "same"): None for _ in range(3)}
    assert await worker.wait_for_tasks(ids) == ["same"] * 3
    assert (await worker.wait_for_any_task(iter(ids)))[0] == "same"


async def test_tasks_that_have_ended_are_not_waited_for(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, number) for number in range(3)]
    await finished(worker, *ids)
    before = now()
    assert await worker.wait_for_tasks(ids, timeout=0) == [0, 1, 2]
    assert now() == before


async def test_a_failure_is_raised_once_all_have_ended(worker: AsyncTaskWorker) -> None:
    quick = await worker.add_task(fail_with, "Value cannot be negative")
    slow = await worker.add_task(sleep_for, 10)
    before = now()
    with pytest.raises(ValueError, match=r"^Value cannot be negative$"):
        await worker.wait_for_tasks([slow, quick])
    assert now() - before == 10
    assert status_of(worker, slow) is TaskStatus.COMPLETED


async def test_a_cancelled_task_is_distinguished_from_a_cancelled_waiter(worker: AsyncTaskWorker) -> None:
    """CancelledError would look as if the waiter itself had been cancelled."""
    task_id = await worker.add_task(sleep_for, 3600)
    waiter = asyncio.create_task(worker.wait_for_tasks([task_id]))
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    with pytest.raises(TaskCancelledError) as caught:
        await waiter
    assert caught.value.task_id == task_id
    assert task_id in str(caught.value)


async def test_when_time_is_up_the_tasks_go_on(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, seconds, seconds) for seconds in (1, 10)]
    before = now()
    with pytest.raises(TimeoutError, match="1 of 2"):
        await worker.wait_for_tasks(ids, timeout=5)
    assert now() - before == 5
    assert await worker.wait_for_tasks(ids) == [1, 10]


async def test_the_time_to_wait_is_for_all_of_them_together(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(sleep_for, 4) for _ in range(3)]
    before = now()
    with pytest.raises(TimeoutError):
        await worker.wait_for_tasks(ids, timeout=5)
    assert now() - before == 5


async def test_no_time_at_all_only_looks(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate", "result")
    with pytest.raises(TimeoutError):
        await worker.wait_for_tasks([task_id], timeout=0)
    with pytest.raises(TimeoutError):
        await worker.wait_for_any_task([task_id], timeout=0)
    open_gate("gate")
    assert await worker.wait_for_tasks([task_id], timeout=1) == ["result"]


async def test_the_first_to_end_is_returned_with_its_id(worker: AsyncTaskWorker) -> None:
    slow, quick = [await worker.add_task(sleep_for, seconds, seconds) for seconds in (10, 1)]
    before = now()
    assert await worker.wait_for_any_task([slow, quick]) == (1, quick)
    assert now() - before == 1
    assert status_of(worker, slow) is TaskStatus.RUNNING
    assert await worker.wait_for_any_task([slow]) == (10, slow)


async def test_of_several_that_have_ended_the_first_to_end_is_returned(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, seconds, seconds) for seconds in (10, 1)]
    await finished(worker, *ids)
    assert await worker.wait_for_any_task(ids) == (1, ids[1])


async def test_the_first_to_end_may_have_failed(worker: AsyncTaskWorker) -> None:
    slow = await worker.add_task(sleep_for, 10)
    failing = await worker.add_task(fail_with, "too bad", after=1)
    with pytest.raises(TaskFailedError, match="too bad") as caught:
        await worker.wait_for_any_task([slow, failing])
    assert caught.value.task_id == failing
    assert status_of(worker, slow) is TaskStatus.RUNNING


async def test_the_first_to_end_may_have_been_cancelled(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, 3600) for _ in range(2)]
    await running(worker, *ids)
    await worker.cancel_task(ids[1])
    with pytest.raises(TaskCancelledError) as caught:
        await worker.wait_for_any_task(ids)
    assert caught.value.task_id == ids[1]


async def test_the_first_to_end_may_have_run_out_of_its_own_time(worker: AsyncTaskWorker) -> None:
    """A TimeoutError would look as if the time to wait were up."""
    ids = [await worker.add_task(sleep_for, 60), await worker.add_task(sleep_for, 60, timeout=5)]
    with pytest.raises(TaskFailedError, match="5 seconds") as caught:
        await worker.wait_for_any_task(ids)
    assert caught.value.task_id == ids[1]
    assert not isinstance(caught.value, TimeoutError)


async def test_when_time_is_up_before_the_first_end_the_tasks_go_on(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, seconds, seconds) for seconds in (10, 20)]
    with pytest.raises(TimeoutError):
        await worker.wait_for_any_task(ids, timeout=5)
    assert await worker.wait_for_any_task(ids) == (10, ids[0])


async def test_there_is_no_first_of_no_tasks(worker: AsyncTaskWorker) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await worker.wait_for_any_task([])


@BOTH
async def test_an_unknown_id_is_refused_without_waiting(worker: AsyncTaskWorker, method: str) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    before = now()
    with pytest.raises(TaskNotFoundError, match="'unknown'") as caught:
        await getattr(worker, method)([task_id, "unknown"])
    assert caught.value.task_id == "unknown"
    assert now() == before


@BOTH
async def test_a_task_that_waits_for_itself_gets_an_error(worker: AsyncTaskWorker, method: str) -> None:
    use_worker(worker)
    await worker.add_task(wait_for_own_id, "own", method, task_id="own")
    info = await ended(worker, "own")
    assert info.status is TaskStatus.FAILED
    assert "itself" in str(info.error)


async def test_a_task_may_wait_for_another(worker: AsyncTaskWorker) -> None:
    use_worker(worker)
    outer = await worker.add_task(add_and_wait, "sleep_for", [1, "inner result"])
    assert await worker.wait_for_tasks([outer]) == ["inner result"]


@BOTH
async def test_a_cancelled_waiter_leaves_tasks_and_other_waiters_alone(worker: AsyncTaskWorker, method: str) -> None:
    task_id = await worker.add_task(sleep_for, 10, "slept")
    waiter, other = (asyncio.create_task(getattr(worker, method)([task_id])) for _ in range(2))
    await settled()
    waiter.cancel()
    await other
    assert waiter.cancelled()
    assert status_of(worker, task_id) is TaskStatus.COMPLETED


@BOTH
async def test_a_cancel_in_the_turn_the_last_task_ends_is_not_swallowed(worker: AsyncTaskWorker, method: str) -> None:
    """As ``asyncio.wait_for`` does on 3.11. Once ``cancel()`` was accepted, the waiter ends cancelled."""
    for count in range(12):
        task_id = await worker.add_task(wait_at, f"gate {count}")
        waiter = asyncio.create_task(getattr(worker, method)([task_id], timeout=60))
        await running(worker, task_id)
        open_gate(f"gate {count}")
        await loop_iterations(count)
        accepted = waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled() == accepted


async def test_many_tasks_can_be_waited_for_by_many(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=5)
    ids = [await worker.add_task(sleep_for, number % 7, number) for number in range(100)]
    waiters = [worker.wait_for_tasks(ids[start:]) for start in range(0, 100, 10)]
    assert await asyncio.gather(*waiters) == [list(range(start, 100)) for start in range(0, 100, 10)]


@BOTH
async def test_tasks_can_be_waited_for_while_the_worker_stops(
    worker: AsyncTaskWorker, backend: Backend, method: str
) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)
    waiter = asyncio.create_task(getattr(worker, method)([task_id]))
    await settled()
    await worker.stop(timeout=1)
    with pytest.raises(WorkerNotRunningError if backend.durable else TaskCancelledError):
        await waiter


@BOTH
async def test_tasks_can_be_waited_for_from_a_stop_to_the_next_start(
    worker: AsyncTaskWorker, backend: Backend, method: str
) -> None:
    task_id = await worker.add_task(sleep_for, 10, "done")
    await running(worker, task_id)
    await worker.stop(timeout=0)
    waiter = asyncio.create_task(getattr(worker, method)([task_id]))
    await settled()
    await worker.start()
    if backend.durable:
        assert await waiter in (["done"], ("done", task_id))
    else:
        with pytest.raises(TaskCancelledError):
            await waiter
