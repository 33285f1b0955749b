"""Lesson 4: wait for one task, for several, for the first of them, or for everything."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker


async def cook(dish: str, minutes: float) -> str:
    await asyncio.sleep(minutes * 60)
    return dish


async def test_wait_for_one() -> None:
    async with AsyncTaskWorker() as worker:
        soup = await worker.add_task(cook, "soup", 30)
        assert await worker.get_task_future(soup) == "soup"


async def test_wait_for_all_and_get_results_in_your_order() -> None:
    async with AsyncTaskWorker() as worker:
        menu = [("soup", 30), ("roast", 90), ("salad", 5)]
        ids = [await worker.add_task(cook, *course) for course in menu]
        assert await worker.wait_for_tasks(ids) == ["soup", "roast", "salad"]


async def test_wait_for_the_first() -> None:
    async with AsyncTaskWorker() as worker:
        ids = [await worker.add_task(cook, dish, minutes) for dish, minutes in (("roast", 90), ("salad", 5))]
        assert await worker.wait_for_any_task(ids) == ("salad", ids[1])
        await worker.cancel_task(ids[0])


async def test_take_them_as_they_come() -> None:
    async with AsyncTaskWorker() as worker:
        waiting = [await worker.add_task(cook, dish, minutes) for dish, minutes in (("b", 2), ("c", 3), ("a", 1))]
        served = []
        while waiting:
            dish, task_id = await worker.wait_for_any_task(waiting)
            waiting.remove(task_id)
            served.append(dish)
        assert served == ["a", "b", "c"]


async def test_wait_no_longer_than_you_like() -> None:
    async with AsyncTaskWorker() as worker:
        roast = await worker.add_task(cook, "roast", 90)
        with pytest.raises(TimeoutError):
            await worker.wait_for_tasks([roast], timeout=60 * 60)
        # Only the waiting ended; the roast is still in the oven.
        assert await worker.wait_for_tasks([roast]) == ["roast"]


async def test_futures_work_with_all_of_asyncio() -> None:
    async with AsyncTaskWorker() as worker:
        ids = [await worker.add_task(cook, dish, 10) for dish in ("soup", "salad")]
        assert await asyncio.gather(*worker.get_task_futures(ids)) == ["soup", "salad"]


async def test_wait_until_there_is_nothing_left_to_do() -> None:
    async with AsyncTaskWorker(max_workers=2) as worker:
        for number in range(6):
            await worker.add_task(cook, f"dish {number}", 10)
        await worker.drain()
        assert worker.counts()["completed"] == 6


async def test_look_at_what_there_is() -> None:
    async with AsyncTaskWorker() as worker:
        ids = [await worker.add_task(cook, f"dish {number}", number) for number in range(5)]
        await worker.wait_for_tasks(ids[:3])
        assert [info.result for info in worker.get_all_tasks(status="completed")] == ["dish 2", "dish 1", "dish 0"]
        assert [info.id for info in worker.get_all_tasks(limit=1)] == [ids[4]]
        await worker.drain()
