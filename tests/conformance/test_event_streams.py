"""A stream of events can be read at leisure, up to a bound, and ends when the worker stops."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from async_task_worker import AsyncTaskWorker, TaskEvent
from tests.conformance.event_helpers import ended, event_types, record_events, time_passes
from tests.support.backends import Backend
from tests.support.tasks import echo, sleep_for
from tests.support.waiting import running, settled

if TYPE_CHECKING:
    from async_task_worker import EventStream


async def read(stream: EventStream, count: int) -> list[TaskEvent]:
    """Return the next events of a stream."""
    return [await anext(stream) for _ in range(count)]


async def test_a_stream_yields_every_event_from_its_making_on(worker: AsyncTaskWorker) -> None:
    await ended(worker, await worker.add_task(echo, "before"))
    stream = worker.events.stream()
    await ended(worker, await worker.add_task(echo, "after"))
    assert event_types(await read(stream, 3)) == ["created", "started", "completed"]


async def test_a_stream_waits_for_the_next_event(worker: AsyncTaskWorker) -> None:
    stream = worker.events.stream()
    reader = asyncio.create_task(anext(stream))
    await settled()
    assert not reader.done()
    task_id = await worker.add_task(echo, 1)
    event = await reader
    assert (event.type, event.task.id) == ("task.created", task_id)


async def test_a_stream_ends_when_the_worker_stops_after_what_happened_until_then(
    worker: AsyncTaskWorker, backend: Backend
) -> None:
    stream = worker.events.stream()
    task_id = await worker.add_task(sleep_for, 3600)
    await running(worker, task_id)

    async def read_all() -> list[TaskEvent]:
        return [event async for event in stream]

    reader = asyncio.create_task(read_all())
    await settled()
    await worker.stop(timeout=1)
    assert event_types(await reader) == ["created", "started", "released" if backend.durable else "cancelled"]


async def test_a_stream_left_unread_ends_too(worker: AsyncTaskWorker) -> None:
    stream = worker.events.stream()
    await ended(worker, await worker.add_task(echo, 1))
    await worker.stop()
    assert event_types([event async for event in stream]) == ["created", "started", "completed"]
    assert [event async for event in stream] == []


async def test_a_stream_that_is_not_read_keeps_the_newest_and_counts_what_it_missed(
    worker: AsyncTaskWorker,
) -> None:
    stream = worker.events.stream(max_buffer=4)
    ids = [await worker.add_task(echo, number) for number in range(10)]
    await worker.drain()
    assert stream.missed == 26
    events = await read(stream, 4)
    assert events[-1].task.id in ids
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 4))
    assert stream.missed == 26


async def test_a_slow_stream_costs_the_others_nothing(worker: AsyncTaskWorker) -> None:
    slow, quick = worker.events.stream(max_buffer=1), worker.events.stream()
    for number in range(5):
        await ended(worker, await worker.add_task(echo, number))
    assert (slow.missed, quick.missed) == (14, 0)
    assert event_types(await read(quick, 15)) == ["created", "started", "completed"] * 5


async def test_leaving_a_stream_ends_it(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    async with worker.events.stream() as stream:
        await worker.add_task(sleep_for, 1)
    until_then = list(events)
    await worker.drain()
    assert [event async for event in stream] == until_then, "what it held can still be read"


async def test_leaving_a_stream_lets_its_reader_go(worker: AsyncTaskWorker) -> None:
    stream = worker.events.stream()
    reader = asyncio.create_task(_read_to_the_end(stream))
    await settled()
    stream.close()
    assert await reader == []


async def test_a_dropped_stream_is_forgotten(worker: AsyncTaskWorker) -> None:
    """Nothing is kept for a reader that went away without a word."""
    stream = worker.events.stream()
    await worker.add_task(echo, 1)
    del stream
    gc.collect()
    await worker.drain()
    first = (await _next_event(worker)).seq
    await time_passes(1)
    assert (await _next_event(worker)).seq == first + 3, "only what somebody listens to is counted"


async def test_cancelling_the_reader_of_a_stream_loses_no_event(worker: AsyncTaskWorker) -> None:
    stream = worker.events.stream()
    for number in range(5):
        reader = asyncio.create_task(anext(stream))
        await settled()
        await worker.add_task(echo, number)
        reader.cancel()
        await asyncio.wait([reader])
        await worker.drain()
        already = 0 if reader.cancelled() else 1
        assert event_types(await read(stream, 3 - already)) == ["created", "started", "completed"][already:]


async def test_a_second_reader_of_a_stream_gets_an_error(worker: AsyncTaskWorker) -> None:
    stream = worker.events.stream()
    reader = asyncio.create_task(anext(stream))
    await settled()
    with pytest.raises(RuntimeError, match="two readers"):
        await anext(stream)
    await worker.add_task(echo, 1)
    assert (await reader).type == "task.created"


async def _read_to_the_end(stream: EventStream) -> list[TaskEvent]:
    return [event async for event in stream]


async def _next_event(worker: AsyncTaskWorker) -> TaskEvent:
    """Return the first of the three events of a new task."""
    events: list[TaskEvent] = []
    stop = worker.events.listen(events.append)
    await ended(worker, await worker.add_task(echo, 1))
    stop()
    return events[0]
