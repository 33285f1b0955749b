"""Every change of every task is published once, in order, and no listener disturbs another or a task."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskStatus
from tests.conformance.event_helpers import ended, event_types, info_of, record_events
from tests.conftest import MakeWorker
from tests.support.tasks import cancel_itself, echo, fail_with, open_gate, report_progress, sleep_for, wait_at
from tests.support.waiting import running, settled

if TYPE_CHECKING:
    pass


async def test_each_report_of_progress_is_published(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await ended(worker, await worker.add_task(report_progress, [0.25, 0.5]))
    assert event_types(events) == ["created", "started", "progress", "progress", "completed"]
    assert [event.task.status for event in events] == ["pending", "running", "running", "running", "completed"]


async def test_a_failed_task_publishes_its_failure(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await ended(worker, await worker.add_task(fail_with, "no"))
    assert event_types(events) == ["created", "started", "failed"]
    assert events[-1].task.error == "no"


@pytest.mark.parametrize("function", [sleep_for, cancel_itself])
async def test_a_cancelled_task_publishes_its_cancellation(worker: AsyncTaskWorker, function: object) -> None:
    events = record_events(worker)
    task_id = await worker.submit(function, (3600,) if function is sleep_for else ())
    await settled()
    await worker.cancel_task(task_id)
    assert event_types(events) == ["created", "started", "cancelled"]


async def test_a_task_cancelled_while_pending_publishes_no_start(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    events = record_events(worker)
    await worker.cancel_task(await worker.add_task(echo, 1))
    assert event_types(events) == ["created", "cancelled"]


async def test_an_event_shows_the_task_as_it_was_then(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    task_id = await worker.add_task(report_progress, [0.25, 0.5], 60)
    info = await ended(worker, task_id)
    assert [event.task.progress for event in events] == [0.0, 0.0, 0.25, 0.5, 1.0]
    assert events[-1].task == info


async def test_an_event_has_its_time(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    info = await ended(worker, await worker.add_task(sleep_for, 60))
    assert [event.at for event in events] == [info.created_at, info.started_at, info.completed_at]
    assert all(event.at.tzinfo is UTC for event in events)


async def test_events_are_numbered_without_gaps(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    for number in range(5):
        await worker.add_task(echo, number)
    await worker.drain()
    first = events[0].seq
    assert [event.seq for event in events] == list(range(first, first + 15))


async def test_an_event_cannot_be_changed(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await worker.add_task(echo, 1)
    with pytest.raises(AttributeError):
        events[0].type = "task.failed"


async def test_every_listener_gets_all_events_until_it_is_removed(worker: AsyncTaskWorker) -> None:
    first: list[TaskEvent] = []
    stop = worker.events.listen(first.append)
    second = record_events(worker)
    await ended(worker, await worker.add_task(echo, 1))
    stop()
    await ended(worker, await worker.add_task(echo, 2))
    assert event_types(first) == ["created", "started", "completed"]
    assert event_types(second) == event_types(first) * 2


async def test_stopping_a_second_time_does_nothing(worker: AsyncTaskWorker) -> None:
    events: list[TaskEvent] = []
    stops = [worker.events.listen(events.append) for _ in range(2)]
    stops[0]()
    stops[0]()
    await worker.add_task(echo, 1)
    assert event_types(events)[:1] == ["created"], "it listened twice, and one of its two stops was not called"
    stops[1]()
    events.clear()
    await worker.drain()
    assert events == []


async def test_a_listener_may_stop_itself(worker: AsyncTaskWorker) -> None:
    heard: list[TaskEvent] = []

    def once(event: TaskEvent) -> None:
        heard.append(event)
        stop()

    stop = worker.events.listen(once)
    others = record_events(worker)
    await ended(worker, await worker.add_task(echo, 1))
    assert event_types(heard) == ["created"]
    assert event_types(others) == ["created", "started", "completed"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError, StopIteration])
async def test_a_listener_that_raises_has_no_effect_on_others(
    worker: AsyncTaskWorker, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_event: TaskEvent) -> None:
        raise error

    worker.events.listen(broken)
    events = record_events(worker)
    assert (await ended(worker, await worker.add_task(echo, "result"))).result == "result"
    assert event_types(events) == ["created", "started", "completed"]
    assert "listener failed" in caplog.text


async def test_an_event_caused_by_a_listener_comes_after_the_one_it_listened_to(worker: AsyncTaskWorker) -> None:
    """For every listener, also those who hear of the first only after the one that caused the second."""
    pending = await worker.add_task(wait_at, "gate")
    await running(worker, pending)

    def add_another(event: TaskEvent) -> None:
        if event.type == "task.created" and event.task.id == "first":
            _run_at_once(worker.add_task(echo, 2, task_id="second"))

    before = record_events(worker)
    worker.events.listen(add_another)
    after = record_events(worker)
    await worker.add_task(echo, 1, task_id="first")
    await ended(worker, "second")
    for events in (before, after):
        assert [event.seq for event in events] == sorted(event.seq for event in events)
        created = [event.task.id for event in events if event.type == "task.created"]
        assert created == ["first", "second"]
    open_gate("gate")


async def test_events_of_one_task_are_in_the_order_of_its_life_whatever_listeners_do(
    worker: AsyncTaskWorker,
) -> None:
    """A listener that cancels a task as it is created does not have it end before it begins."""
    cancels: list[asyncio.Task[bool]] = []

    def cancel(event: TaskEvent) -> None:
        if not event.task.finished:
            cancels.append(asyncio.ensure_future(worker.cancel_task(event.task.id)))

    worker.events.listen(cancel)
    events = record_events(worker)
    ids = [await worker.add_task(sleep_for, 3600) for _ in range(5)]
    await worker.drain()
    await asyncio.gather(*cancels)
    for task_id in ids:
        own = [event for event in events if event.task.id == task_id]
        assert event_types(own)[0] == "created"
        assert event_types(own)[-1] == "cancelled"
        assert [event.task.revision for event in own] == sorted({event.task.revision for event in own})


async def test_listeners_stay_over_a_restart(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    await worker.stop()
    await worker.start()
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    assert event_types(events) == ["created", "started", "completed"]
    assert info_of(worker, task_id).status is TaskStatus.COMPLETED


def _run_at_once(call: object) -> None:
    """Have the coroutine run soon, as a listener that adds tasks does."""
    _background.add(task := asyncio.ensure_future(call))
    task.add_done_callback(_background.discard)


_background: set[asyncio.Future[object]] = set()
