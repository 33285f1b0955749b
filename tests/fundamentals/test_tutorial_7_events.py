"""Lesson 7: be told what happens instead of asking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from async_task_worker import AsyncTaskWorker

if TYPE_CHECKING:
    from async_task_worker import ProgressCallback, TaskEvent


async def bake(progress_callback: ProgressCallback) -> str:
    await asyncio.sleep(600)
    progress_callback(0.5)
    await asyncio.sleep(600)
    return "bread"


async def burn() -> None:
    raise RuntimeError("burnt")


async def test_listen_to_everything() -> None:
    log = []
    async with AsyncTaskWorker() as worker:
        worker.events.listen(lambda event: log.append((event.type, event.task.progress)))
        await worker.add_task(bake)
        await worker.drain()
    assert log == [
        ("task.created", 0.0),
        ("task.started", 0.0),
        ("task.progress", 0.5),
        ("task.completed", 1.0),
    ]


async def test_listen_for_what_went_wrong() -> None:
    failures = []

    def note_failure(event: TaskEvent) -> None:
        if event.type == "task.failed":
            failures.append(f"{event.task.name}: {event.task.error}")

    async with AsyncTaskWorker() as worker:
        stop_listening = worker.events.listen(note_failure)
        await worker.add_task(burn)
        await worker.drain()
        stop_listening()
        await worker.add_task(burn)
        await worker.drain()
    assert failures == ["burn: burnt"]


async def test_a_listener_that_raises_disturbs_no_other() -> None:
    async with AsyncTaskWorker() as worker:
        worker.events.listen(lambda event: 1 / 0)
        task_id = await worker.add_task(bake)
        assert await worker.get_task_future(task_id) == "bread"


async def test_follow_events_as_a_stream() -> None:
    async with AsyncTaskWorker() as worker:
        async with worker.events.stream() as events:
            task_id = await worker.add_task(bake)
            async for event in events:
                if event.task.id == task_id and event.task.finished:
                    break
        assert event.task.result == "bread"


async def test_a_stream_ends_with_the_worker() -> None:
    async def follow(worker: AsyncTaskWorker) -> list[str]:
        return [event.type async for event in worker.events.stream()]

    async with AsyncTaskWorker() as worker:
        following = asyncio.create_task(follow(worker))
        await asyncio.sleep(0)
        await worker.add_task(burn)
        await worker.drain()
    assert await following == ["task.created", "task.started", "task.failed"]


async def test_a_reader_too_slow_for_its_stream_knows_what_it_missed() -> None:
    async with AsyncTaskWorker() as worker:
        events = worker.events.stream(max_buffer=2)
        for _ in range(3):
            await worker.add_task(burn)
        await worker.drain()
        assert events.missed == 7
        assert (await anext(events)).seq == 8
