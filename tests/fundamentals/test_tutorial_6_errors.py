"""Lesson 6: when a task fails, or takes too long."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker, TaskFailedError, TaskTimeoutError


async def square_root(value: float) -> float:
    if value < 0:
        raise ValueError("Value cannot be negative")
    return value**0.5


async def compute_slowly() -> None:
    await asyncio.sleep(3600)


async def test_the_error_is_kept_with_the_task() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(square_root, -1)
        await worker.drain()

        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.status == "failed"
        assert info.error == "Value cannot be negative"
        assert info.error_detail is not None
        assert info.error_detail.type == "ValueError"
        assert "in square_root" in info.error_detail.traceback


async def test_waiting_raises_the_error_of_the_task() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(square_root, -1)
        with pytest.raises(ValueError, match="Value cannot be negative"):
            await worker.get_task_future(task_id)
        with pytest.raises(ValueError, match="Value cannot be negative"):
            await worker.wait_for_tasks([task_id])


async def test_waiting_for_the_first_also_returns_its_id() -> None:
    async with AsyncTaskWorker() as worker:
        slow = await worker.add_task(compute_slowly)
        failing = await worker.add_task(square_root, -1)
        with pytest.raises(TaskFailedError) as caught:
            await worker.wait_for_any_task([slow, failing])
        assert caught.value.task_id == failing
        assert isinstance(caught.value.__cause__, ValueError)
        await worker.cancel_task(slow)


async def test_one_failure_is_no_business_of_the_others() -> None:
    async with AsyncTaskWorker(max_workers=1) as worker:
        ids = [await worker.add_task(square_root, value) for value in (-1, 4, -1, 9)]
        await worker.drain()
        assert await worker.wait_for_tasks([ids[1], ids[3]]) == [2, 3]
        assert len(worker.get_all_tasks("failed")) == 2


async def test_a_task_may_be_allowed_only_so_much_time() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(compute_slowly, timeout=30)
        with pytest.raises(TaskTimeoutError):
            await worker.get_task_future(task_id)
        info = worker.get_task_info(task_id)
        assert info is not None
        assert (info.status, info.error) == ("failed", "Task timed out after 30 seconds")


async def test_and_so_may_all_tasks_of_a_worker() -> None:
    async with AsyncTaskWorker(task_timeout=30) as worker:
        bounded = await worker.add_task(compute_slowly)
        patient = await worker.add_task(compute_slowly, timeout=7200)
        await worker.drain()
        assert [info.id for info in worker.get_all_tasks("failed")] == [bounded]
        assert [info.id for info in worker.get_all_tasks("completed")] == [patient]
