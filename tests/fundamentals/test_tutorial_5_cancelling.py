"""Lesson 5: end a task before it ends by itself."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskCancelledError

diary: list[str] = []


@pytest.fixture(autouse=True)
def _empty_diary() -> None:
    diary.clear()


async def hike(hours: float) -> str:
    await asyncio.sleep(hours * 3600)
    return "at the top"


async def hike_and_tidy_up(hours: float) -> str:
    """Cancelling a task raises CancelledError where it waits, so ``finally`` does its work."""
    try:
        return await hike(hours)
    finally:
        diary.append("tent is packed")


async def hike_whatever_you_say(hours: float) -> str:
    """Swallows the cancellation, as tasks should not."""
    try:
        return await hike(hours)
    except asyncio.CancelledError:
        return "went on to the hut"


async def test_cancel_a_running_task() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(hike_and_tidy_up, 8)
        await asyncio.sleep(3600)
        assert await worker.cancel_task(task_id) is True

        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.status == "cancelled"
        assert diary == ["tent is packed"]


async def test_cancel_a_task_that_still_waits() -> None:
    async with AsyncTaskWorker(max_workers=1) as worker:
        first = await worker.add_task(hike, 8)
        second = await worker.add_task(hike_and_tidy_up, 8)
        await asyncio.sleep(3600)
        assert await worker.cancel_task(second) is True
        assert await worker.get_task_future(first) == "at the top"
        assert diary == []  # it never set off


async def test_the_answer_is_the_truth() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(hike_whatever_you_say, 8)
        await asyncio.sleep(3600)
        assert await worker.cancel_task(task_id) is False
        assert await worker.get_task_future(task_id) == "went on to the hut"
        assert await worker.cancel_task(task_id) is False  # too late now
        assert await worker.cancel_task("no such task") is False


async def test_waiting_for_a_cancelled_task_raises() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(hike, 8)
        await asyncio.sleep(3600)
        await worker.cancel_task(task_id)
        with pytest.raises(TaskCancelledError):
            await worker.wait_for_tasks([task_id])


async def test_stop_gives_tasks_some_time_then_cancels_them() -> None:
    worker = AsyncTaskWorker()
    await worker.start()
    short, long = [await worker.add_task(hike_and_tidy_up, hours) for hours in (1, 8)]
    await asyncio.sleep(0)
    await worker.stop(timeout=2 * 3600)
    assert [info.id for info in worker.get_all_tasks("completed")] == [short]
    assert [info.id for info in worker.get_all_tasks("cancelled")] == [long]
    assert diary == ["tent is packed"] * 2
