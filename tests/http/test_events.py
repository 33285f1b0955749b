"""Event streams: their events, the order of these, and reconnecting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from async_task_worker import AsyncTaskWorker
from async_task_worker.web import Limits, redact_names
from tests.http.conftest import ServeWorker
from tests.http.requests import events_in, last_id_in, problem_code, submit
from tests.support.tasks import echo, fail_with, note, open_gate, report_progress, sleep_for, wait_at
from tests.support.waiting import finished, running, settled


@pytest_asyncio.fixture
async def stream_client(worker: AsyncTaskWorker, serve: ServeWorker) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a router whose streams end after a minute of virtual time."""
    yield await serve(worker, limits=Limits(stream_lifetime=60.0))


def names_in(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return [name for name, _ in events_in(response.text)]


async def follow(client: httpx.AsyncClient, path: str = "/events", **headers: str) -> asyncio.Task[httpx.Response]:
    """Start reading a stream to its end; return once it is open."""
    open_streams = (await client.get("/stats")).json()["streams"]["open"]
    reading = asyncio.create_task(client.get(path, headers=headers))
    while (await client.get("/stats")).json()["streams"]["open"] == open_streams and not reading.done():
        await asyncio.sleep(0)
    return reading


async def test_the_stream_of_a_task_has_all_its_events_and_ends_with_it(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(report_progress, [0.5, 1.0], pause=1.0)
    response = await client.get(f"/tasks/{task_id}/events")
    names = names_in(response)
    assert names[0] == "hello"
    assert names[-3:] == ["task.progress", "task.completed", "bye"]
    for name, data in events_in(response.text):
        assert data["v"] == 1
        assert data["ts"].endswith("Z")
        if name.startswith("task."):
            assert data["task"]["id"] == task_id
    assert events_in(response.text)[-2][1]["task"]["result"] == 2


async def test_the_stream_of_a_finished_task_has_its_final_state(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(fail_with, "no luck")
    await finished(worker, task_id)
    response = await client.get(f"/tasks/{task_id}/events")
    assert names_in(response) == ["hello", "task.failed", "bye"]
    assert events_in(response.text)[1][1]["task"]["error"] == "no luck"


async def test_a_client_that_reconnects_to_a_finished_task_gets_204(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(sleep_for, 5)
    stream = await client.get(f"/tasks/{task_id}/events")
    again = await client.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": last_id_in(stream.text)})
    assert (again.status_code, again.content) == (204, b"")
    lost = await client.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": "of another process"})
    assert names_in(lost) == ["hello", "task.completed", "bye"]


async def test_the_stream_of_all_tasks_has_every_event_in_order(
    worker: AsyncTaskWorker, stream_client: httpx.AsyncClient
) -> None:
    reading = await follow(stream_client)
    first, second = await worker.add_task(echo, 1), await worker.add_task(fail_with, "no luck")
    response = await reading
    received = [(name, data["task"]["id"]) for name, data in events_in(response.text) if name.startswith("task.")]
    assert [name for name, task_id in received if task_id == first] == [
        "task.created",
        "task.started",
        "task.completed",
    ]
    assert [name for name, task_id in received if task_id == second] == ["task.created", "task.started", "task.failed"]
    sequence = [data["seq"] for _, data in events_in(response.text)]
    assert sequence == sorted(sequence)
    assert names_in(response)[0] == "hello"
    assert names_in(response)[-1] == "bye"


async def test_a_stream_continues_after_the_last_event_id(
    worker: AsyncTaskWorker, stream_client: httpx.AsyncClient
) -> None:
    reading = await follow(stream_client)
    await finished(worker, await worker.add_task(note, 1))
    before = await reading
    missed = await worker.add_task(note, 2)
    await finished(worker, missed)

    after = await stream_client.get("/events", headers={"Last-Event-ID": last_id_in(before.text)})

    received = [(name, data["task"]["id"]) for name, data in events_in(after.text) if name.startswith("task.")]
    assert received == [(f"task.{what}", missed) for what in ("created", "started", "completed")]
    assert "resync" not in names_in(after)


async def test_a_hello_does_not_change_the_event_to_continue_after(
    worker: AsyncTaskWorker, stream_client: httpx.AsyncClient
) -> None:
    before = await (await follow(stream_client))
    await finished(worker, await worker.add_task(note, 1))
    after = await stream_client.get("/events", headers={"Last-Event-ID": last_id_in(before.text)})
    assert after.text.split("\n\n")[1].splitlines()[0] == f"id: {last_id_in(before.text)}"


async def test_a_client_that_missed_dropped_events_gets_a_resync(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, limits=Limits(stream_lifetime=60.0, buffered_events=10))
    before = await (await follow(client))
    for number in range(10):
        await finished(worker, await worker.add_task(note, number))
    after = await client.get("/events", headers={"Last-Event-ID": last_id_in(before.text)})
    assert names_in(after)[:2] == ["hello", "resync"]
    unknown = await client.get("/events", headers={"Last-Event-ID": "?"})
    assert names_in(unknown)[:2] == ["hello", "resync"]


@pytest.mark.parametrize("limit", ["buffered_events", "buffered_bytes"])
async def test_an_open_stream_gets_events_or_a_resync_where_none_are_kept(
    worker: AsyncTaskWorker, serve: ServeWorker, limit: str
) -> None:
    client = await serve(worker, limits=Limits(stream_lifetime=60.0, **{limit: 0}))
    reading = await follow(client)
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    await asyncio.sleep(1)
    open_gate("gate")
    names = names_in(await reading)
    assert "task.completed" in names
    assert {"task.created", "task.started"} <= {*names} or "resync" in names


async def test_events_are_dropped_after_the_grace_period_without_readers(
    worker: AsyncTaskWorker, stream_client: httpx.AsyncClient
) -> None:
    before = await (await follow(stream_client))
    await asyncio.sleep(120)
    assert not worker.events._listeners
    after = await stream_client.get("/events", headers={"Last-Event-ID": last_id_in(before.text)})
    assert names_in(after)[:2] == ["hello", "resync"]


async def test_progress_is_published_five_times_a_second_and_once_before_the_end(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    steps = [step / 1000 for step in range(1000)]
    task_id = await worker.add_task(report_progress, steps, pause=0.001)
    response = await client.get(f"/tasks/{task_id}/events")
    received = [data["task"]["progress"] for name, data in events_in(response.text) if name == "task.progress"]
    assert received == sorted(received)
    assert 5 <= len(received) <= 7
    assert received[-1] == steps[-1]


async def test_statistics_are_published_once_a_second_if_they_have_changed(
    worker: AsyncTaskWorker, stream_client: httpx.AsyncClient
) -> None:
    reading = await follow(stream_client)
    await worker.add_task(sleep_for, 10)
    received = [data["stats"]["tasks"] for name, data in events_in((await reading).text) if name == "stats"]
    assert [(counts["running"], counts["completed"]) for counts in received] == [(1, 0), (0, 1)]


async def test_a_long_poll_is_not_a_stream(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, limits=Limits(stream_lifetime=1.0, streams=1))
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    tag = {"If-None-Match": (await client.get(f"/tasks/{task_id}")).headers["etag"]}
    polling = asyncio.create_task(client.get(f"/tasks/{task_id}?wait=60", headers=tag))
    await settled()
    assert (await client.get("/stats")).json()["streams"]["open"] == 0
    assert names_in(await client.get("/events"))[0] == "hello"
    open_gate("gate")
    assert (await polling).json()["status"] == "completed"


async def test_the_number_of_streams_is_limited(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, limits=Limits(stream_lifetime=60.0, streams=1))
    reading = await follow(client)
    refused = await client.get("/events")
    assert (refused.status_code, problem_code(refused)) == (429, "too_many_streams")
    assert names_in(await reading)[-1] == "bye"
    assert (await client.get("/stats")).json()["streams"]["open"] == 0


async def test_a_closed_stream_is_no_longer_counted(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    reading = await follow(client, f"/tasks/{task_id}/events")
    reading.cancel()
    await asyncio.wait([reading])
    assert (await client.get("/stats")).json()["streams"]["open"] == 0


async def test_events_contain_no_secret(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("password"), limits=Limits(stream_lifetime=60.0))
    reading = await follow(client)
    params: dict[str, Any] = {"user": "ada", "password": "correct horse"}
    await submit(client, "log_in", params=params, metadata={"Password": "battery"}, wait=5)
    text = (await reading).text
    assert "task.failed" in text
    assert "ada may not use" in text
    assert "correct horse" not in text
    assert "battery" not in text


async def test_events_published_during_a_submission_have_the_params(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    """A task may have failed, and its events been published, before the submission returns."""
    client = await serve(worker, redact=redact_names("password"), limits=Limits(stream_lifetime=60.0))
    reading = await follow(client)
    await submit(client, "log_in", params={"user": "ada", "password": "correct horse"}, task_id="mine")
    received = [data["task"]["params"] for name, data in events_in((await reading).text) if name.startswith("task.")]
    assert received == [{"user": "ada", "password": "[redacted]"}] * 3


async def test_a_refused_submission_leaves_the_params_of_the_task_with_that_id(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    await submit(client, "echo", params={"value": "first"}, task_id="mine", wait=1)
    body = {"task_type": "echo", "params": {"value": "second"}, "task_id": "mine"}
    assert problem_code(await client.post("/tasks", json=body)) == "task_id_conflict"
    assert (await client.get("/tasks/mine")).json()["params"] == {"value": "first"}
