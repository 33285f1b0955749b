"""Each caller has a future of its own: it ends as its task ends, and cancelling it disturbs nobody."""

from __future__ import annotations

import asyncio
import gc

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    TaskFailedError,
    TaskNotFoundError,
    TaskStatus,
    TaskTimeoutError,
)
from tests.conformance.event_helpers import ended, now, status_of
from tests.support.tasks import cancel_itself, echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import running, settled


async def test_a_future_has_the_result_of_its_task(worker: AsyncTaskWorker) -> None:
    future = worker.get_task_future(await worker.add_task(sleep_for, 60, "slept"))
    assert not future.done()
    assert await future == "slept"


async def test_a_future_of_a_task_that_has_ended_is_done_already(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, "early")
    await ended(worker, task_id)
    future = worker.get_task_future(task_id)
    assert future.done()
    assert future.result() == "early"


async def test_getting_a_future_needs_no_waiting(worker: AsyncTaskWorker) -> None:
    assert isinstance(worker.get_task_future(await worker.add_task(echo, 1)), asyncio.Future)


async def test_each_call_gives_a_new_future(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1)
    before = [worker.get_task_future(task_id) for _ in range(3)]
    assert await asyncio.gather(*before) == [1, 1, 1]
    after = [worker.get_task_future(task_id) for _ in range(3)]
    assert len({id(future) for future in before + after}) == 6


async def test_cancelling_one_future_affects_neither_the_task_nor_the_others(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate", "result")
    first, second, third = (worker.get_task_future(task_id) for _ in range(3))
    assert second.cancel()
    await settled()
    assert status_of(worker, task_id) is TaskStatus.RUNNING
    open_gate("gate")
    assert await first == await third == await worker.get_task_future(task_id) == "result"


async def test_a_waiter_at_its_timeout_has_no_effect_on_others(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 60, "slept")
    patient = worker.get_task_future(task_id)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.get_task_future(task_id), 5)
    assert await patient == "slept"


async def test_a_cancelled_waiter_has_no_effect_on_others(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 60, "slept")

    async def wait() -> object:
        return await worker.get_task_future(task_id)

    waiters = [asyncio.create_task(wait()) for _ in range(3)]
    await settled()
    waiters[1].cancel()
    assert await waiters[0] == await waiters[2] == "slept"
    assert waiters[1].cancelled()


async def test_a_thousand_waiters_all_get_the_result(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(wait_at, "gate", "result")
    futures = [worker.get_task_future(task_id) for _ in range(1000)]
    for future in futures[::3]:
        future.cancel()
    open_gate("gate")
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert results.count("result") == 666
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::3])


async def test_a_future_of_a_failed_task_raises_the_error_of_the_task(worker: AsyncTaskWorker) -> None:
    with pytest.raises(LookupError, match=r"^not found$"):
        await worker.get_task_future(await worker.add_task(fail_with, "not found", "LookupError"))


async def test_a_future_of_a_cancelled_task_raises_cancelled_error(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    early = worker.get_task_future(task_id)
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    for future in (early, worker.get_task_future(task_id)):
        with pytest.raises(asyncio.CancelledError):
            await future


async def test_a_future_of_a_task_cancelled_while_it_waits_raises_cancelled_error(worker: AsyncTaskWorker) -> None:
    await running(worker, *[await worker.add_task(wait_at, "gate") for _ in range(2)])
    task_id = await worker.add_task(echo, 1)
    future = worker.get_task_future(task_id)
    await worker.cancel_task(task_id)
    assert future.cancelled()


async def test_a_future_of_a_task_that_cancels_itself_raises_cancelled_error(worker: AsyncTaskWorker) -> None:
    with pytest.raises(asyncio.CancelledError):
        await worker.get_task_future(await worker.add_task(cancel_itself))


async def test_a_future_of_a_late_task_raises_a_timeout_error(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 60, timeout=5)
    with pytest.raises(TaskTimeoutError, match="5 seconds") as caught:
        await worker.get_task_future(task_id)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.task_id == task_id


@pytest.mark.parametrize("error", ["SystemExit", "GeneratorExit", "OddError"])
async def test_a_base_exception_is_raised_as_a_task_failed_error(worker: AsyncTaskWorker, error: str) -> None:
    """Raised as it is, SystemExit would end the caller, and GeneratorExit never arrive."""
    task_id = await worker.add_task(fail_with, "odd text", error, 1)
    early = worker.get_task_future(task_id)
    await ended(worker, task_id)
    for future in (early, worker.get_task_future(task_id)):
        with pytest.raises(TaskFailedError, match="odd text") as caught:
            await future
        assert caught.value.task_id == task_id


async def test_futures_come_in_the_order_of_their_ids(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(sleep_for, 10 - number, number) for number in range(10)]
    assert await asyncio.gather(*worker.get_task_futures(reversed(ids))) == list(range(9, -1, -1))
    assert worker.get_task_futures([]) == []


async def test_a_future_of_an_unknown_task_is_refused(worker: AsyncTaskWorker) -> None:
    known = await worker.add_task(echo, 1)
    with pytest.raises(TaskNotFoundError, match="'unknown'") as caught:
        worker.get_task_future("unknown")
    assert isinstance(caught.value, KeyError)
    assert caught.value.task_id == "unknown"
    with pytest.raises(TaskNotFoundError):
        worker.get_task_futures([known, "unknown"])


async def test_a_failure_that_is_not_awaited_logs_nothing(worker: AsyncTaskWorker, loop_errors: list[str]) -> None:
    """asyncio reports exceptions that were never retrieved, when their future goes."""
    dropped = worker.get_task_future(await worker.add_task(fail_with, "first"))
    task_id = await worker.add_task(fail_with, "second")
    await ended(worker, task_id)
    late = worker.get_task_future(task_id)
    assert dropped.done()
    assert late.done()
    del dropped, late
    gc.collect()
    assert loop_errors == []


async def test_every_future_resolves_however_its_task_ends(worker: AsyncTaskWorker) -> None:
    ids = [
        await worker.add_task(echo, 1),
        await worker.add_task(fail_with, "no"),
        await worker.add_task(fail_with, "no", "SystemExit"),
        await worker.add_task(cancel_itself),
        await worker.add_task(sleep_for, 60, timeout=1),
        await worker.add_task(echo, 1),
    ]
    futures = worker.get_task_futures(ids)
    await worker.cancel_task(ids[-1])
    await worker.drain()
    await settled()
    assert [future.done() for future in futures] == [True] * 6


async def test_a_future_is_done_at_the_moment_its_task_ends(worker: AsyncTaskWorker) -> None:
    before = now()
    await worker.get_task_future(await worker.add_task(sleep_for, 3))
    assert now() - before == 3
