"""Lesson 2: see how far a task has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from async_task_worker import AsyncTaskWorker

if TYPE_CHECKING:
    from async_task_worker import ProgressCallback


async def copy_pages(pages: int, progress_callback: ProgressCallback) -> str:
    """A parameter of this name is all it takes: the worker fills it in."""
    for page in range(pages):
        await asyncio.sleep(1)
        progress_callback((page + 1) / pages)
    return f"{pages} pages"


async def copy_in_silence(pages: int) -> str:
    """A task need not tell."""
    await asyncio.sleep(pages)
    return f"{pages} pages"


async def test_progress_shows_while_the_task_runs() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(copy_pages, 4)
        seen = []
        worker.events.listen(lambda event: seen.append(event.task.progress))
        await worker.get_task_future(task_id)
        assert [progress for progress in seen if 0 < progress < 1] == [0.25, 0.5, 0.75]


async def test_progress_can_be_asked_for_at_any_time() -> None:
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(copy_pages, 4)
        readings = []
        while (info := worker.get_task_info(task_id)) is not None and not info.finished:
            readings.append(info.progress)
            await asyncio.sleep(0.5)
        assert readings == sorted(readings)
        assert 0.5 in readings


async def test_a_completed_task_has_a_progress_of_one_even_without_reports() -> None:
    async with AsyncTaskWorker() as worker:
        ids = [await worker.add_task(function, 2) for function in (copy_pages, copy_in_silence)]
        await worker.wait_for_tasks(ids)
        assert [info.progress for info in worker.get_all_tasks()] == [1.0, 1.0]


async def test_a_task_that_fails_stays_where_it_was() -> None:
    async def run_out_of_paper(progress_callback: ProgressCallback) -> None:
        progress_callback(0.5)
        raise RuntimeError("no paper")

    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(run_out_of_paper)
        await worker.drain()
        info = worker.get_task_info(task_id)
        assert info is not None
        assert (info.status, info.progress) == ("failed", 0.5)


async def test_progress_may_be_reported_from_a_thread() -> None:
    def copy(progress_callback: ProgressCallback) -> None:
        progress_callback(0.5)

    async def copy_in_thread(progress_callback: ProgressCallback) -> None:
        await asyncio.to_thread(copy, progress_callback)
        await asyncio.sleep(3600)

    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(copy_in_thread)
        async for event in worker.events.stream():
            if event.type == "task.progress":
                break
        assert event.task.id == task_id
        assert event.task.progress == 0.5
        await worker.cancel_task(task_id)
