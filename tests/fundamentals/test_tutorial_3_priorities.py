"""Lesson 3: what runs first, and how many run at once."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, QueueFullError

served: list[str] = []


@pytest.fixture(autouse=True)
def _nobody_served_yet() -> None:
    served.clear()


async def serve(guest: str) -> str:
    await asyncio.sleep(1)
    served.append(guest)
    return guest


async def test_lower_numbers_run_first() -> None:
    async with AsyncTaskWorker(max_workers=1) as worker:
        await worker.add_task(serve, "regular", priority=10)
        await worker.add_task(serve, "guest of honour", priority=1)
        await worker.add_task(serve, "the king", priority=-5)
        await worker.drain()
    # Whoever finds a free slot starts at once: the regular came when nobody else was there.
    assert served.index("the king") < served.index("guest of honour")


async def test_equals_are_served_in_the_order_they_came() -> None:
    async with AsyncTaskWorker(max_workers=1) as worker:
        for number in range(5):
            await worker.add_task(serve, f"guest {number}")
        await worker.drain()
    assert served == [f"guest {number}" for number in range(5)]


async def test_max_workers_says_how_many_run_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with AsyncTaskWorker(max_workers=3) as worker:
        before = loop.time()
        for number in range(9):
            await worker.add_task(serve, f"guest {number}")
        await worker.drain()
        assert loop.time() - before == pytest.approx(3)


async def test_what_waits_and_what_runs_can_be_counted() -> None:
    async with AsyncTaskWorker(max_workers=3) as worker:
        for number in range(9):
            await worker.add_task(serve, f"guest {number}")
        await asyncio.sleep(0.5)
        assert worker.counts()["running"] == 3
        assert worker.counts()["pending"] == 6
        await worker.drain()


async def test_a_queue_can_be_short_so_that_adding_waits() -> None:
    """Nine guests, one table, two chairs to wait on: the rest wait at the door."""
    loop = asyncio.get_running_loop()
    async with AsyncTaskWorker(max_workers=1, max_queue_size=2) as worker:
        before = loop.time()
        for number in range(9):
            await worker.add_task(serve, f"guest {number}")
        assert loop.time() - before == pytest.approx(6)
        await worker.drain()
    assert len(served) == 9


async def test_or_that_adding_is_refused() -> None:
    async with AsyncTaskWorker(max_workers=1, max_queue_size=2, on_full="error") as worker:
        await worker.add_task(serve, "at the table")
        await asyncio.sleep(0)
        for chair in range(2):
            await worker.add_task(serve, f"on chair {chair}")
        with pytest.raises(QueueFullError):
            await worker.add_task(serve, "at the door")
        await worker.drain()
