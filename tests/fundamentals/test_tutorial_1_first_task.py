"""Lesson 1: give a worker something to do, and get the result.

These lessons can be read in order. Each test shows one thing; nothing of the test suite is
needed to follow them. (Time in them is virtual: an hour of sleep is over at once.)
"""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, WorkerNotRunningError


async def greet(name: str, greeting: str = "Hello") -> str:
    """A task is a coroutine function: nothing about it is special."""
    await asyncio.sleep(1)
    return f"{greeting}, {name}!"


async def test_the_shortest_way_to_a_result() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(greet, "Ada")
        assert await worker.get_task_future(task_id) == "Hello, Ada!"


async def test_adding_a_task_does_not_wait_for_it() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(greet, "Ada")
        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.status in ("pending", "running")
        assert info.result is None


async def test_arguments_are_given_as_in_a_call() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(greet, "Ada", greeting="Good morning")
        assert await worker.get_task_future(task_id) == "Good morning, Ada!"


async def test_a_task_is_known_after_it_has_ended() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(greet, "Ada")
        await worker.get_task_future(task_id)

        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.status == "completed"
        assert info.result == "Hello, Ada!"
        assert info.name == "greet"
        assert info.started_at is not None
        assert info.completed_at is not None
        assert info.created_at <= info.started_at <= info.completed_at


async def test_a_task_can_have_an_id_and_notes_of_your_own() -> None:
    async with AsyncTaskWorker() as worker:
        await worker.add_task(greet, "Ada", task_id="greeting-1", metadata={"user": "u-17"})
        info = worker.get_task_info("greeting-1")
        assert info is not None
        assert info.metadata == {"user": "u-17"}


async def test_start_and_stop_can_be_called_by_hand() -> None:
    worker = AsyncTaskWorker(max_workers=3)
    await worker.start()
    try:
        task_id = await worker.add_task(greet, "Ada")
    finally:
        await worker.stop()  # waits up to five seconds for what still runs

    info = worker.get_task_info(task_id)
    assert info is not None
    assert info.result == "Hello, Ada!"


async def test_a_worker_that_was_not_started_says_so() -> None:
    worker = AsyncTaskWorker()
    with pytest.raises(WorkerNotRunningError):
        await worker.add_task(greet, "Ada")


async def test_mistakes_in_the_call_raise_at_once() -> None:
    async with AsyncTaskWorker() as worker:
        with pytest.raises(TypeError, match="missing a required argument: 'name'"):
            await worker.add_task(greet)
        with pytest.raises(TypeError, match="must be a coroutine function"):
            await worker.add_task(print, "Ada")
        assert worker.get_all_tasks() == []
