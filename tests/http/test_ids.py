"""Ids made in Python may be any text: each task is listed with its path."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from async_task_worker import AsyncTaskWorker, create_task_worker_router
from async_task_worker.web.api.paths import segment_for, task_id_from
from tests.http.conftest import ServeWorker
from tests.http.requests import events_in, problem_code
from tests.support.tasks import echo, wait_at
from tests.support.waiting import finished

ODD = [
    *("a/b", "/", "//", "a%2Fb", "%", "%zz", "..", ".", "../../health", "a b", " ", "ä€", "日本", "😀", "x" * 300),
    *("types", "batch", "actions", "stats", "events", "a\nb", "\x00", "\u202e", "a?b#c", "a+b", "=", "=YQ", "~a@b"),
    *("a/cancel", "result", "a//b", "a\\b", "a;b=c", "YQ"),
]


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_every_id_is_listed_with_the_path_of_its_task(
    worker: AsyncTaskWorker, serve: ServeWorker, prefix: str
) -> None:
    client = await serve(worker, prefix=prefix)
    for task_id in ODD:
        await worker.add_task(echo, task_id, task_id=task_id)
    listed = (await client.get(f"{prefix}/tasks?limit=500")).json()["tasks"]
    assert {task["id"] for task in listed} == set(ODD)
    for task in listed:
        task_id, href = task["id"], task["href"]
        assert href.startswith(f"{prefix}/tasks/")
        response = await client.get(href, params={"wait": 1})
        assert (response.status_code, response.json()["id"]) == (200, task_id)
        assert (await client.get(f"{href}/result")).json() == task_id
        assert (await client.get(f"{href}/events")).headers["content-type"].startswith("text/event-stream")
        assert (await client.delete(href)).status_code == 204
        assert problem_code(await client.post(f"{href}/cancel")) == "task_finished"


NO_PATHS = {".", "..", "types", "=YQ"}
"""Segments that clients or servers change, however they are encoded."""


async def test_an_id_is_found_percent_encoded_too(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    for task_id in set(ODD) - NO_PATHS - {"batch", "actions", "stats", "events"}:
        await worker.add_task(echo, task_id, task_id=task_id)
        response = await client.get(f"/tasks/{quote(task_id, safe='')}", params={"wait": 1})
        assert (response.status_code, response.json().get("id")) == (200, task_id), task_id
        assert (await client.get(f"/tasks/{quote(task_id, safe='')}/result")).json() == task_id


@pytest.mark.parametrize("root_path", ["/proxy", "/proxy/tasks"])
async def test_the_href_has_the_root_path_of_a_proxy(worker: AsyncTaskWorker, root_path: str) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker), prefix="/api")
    await worker.add_task(echo, 1, task_id="a/b")
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/api/tasks", f"{root_path}/api/tasks"):
            (task,) = (await client.get(path)).json()["tasks"]
            assert task["href"] == f"{root_path}/api/tasks/{segment_for('a/b')}"
            assert (await client.get(task["href"])).json()["id"] == "a/b"


async def test_ids_below_a_mounted_application_are_found(worker: AsyncTaskWorker) -> None:
    inner, outer = FastAPI(), FastAPI()
    inner.include_router(create_task_worker_router(worker))
    outer.mount("/inner", inner)
    await worker.add_task(echo, 1, task_id="a/b")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://test") as client:
        (task,) = (await client.get("/inner/tasks")).json()["tasks"]
        for href in (task["href"], "/inner/tasks/a%2fb"):
            assert (await client.get(href)).json()["id"] == "a/b"


async def test_many_tasks_can_be_cancelled_by_such_ids(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    for task_id in ODD:
        await worker.add_task(wait_at, "gate", task_id=task_id)
    response = await client.post("/tasks/actions", json={"action": "cancel", "ids": ODD})
    assert {one["outcome"] for one in response.json()["results"]} == {"cancelled"}


@pytest.mark.parametrize("task_id", ["a%0A", "a%0Ab", "%E2%81%82", "a%20b", "x" * 3000, "%00", "=", "=%00", "%FF"])
async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient, task_id: str) -> None:
    assert problem_code(await client.get(f"/tasks/{task_id}")) == "task_not_found"
    assert problem_code(await client.delete(f"/tasks/{task_id}")) == "task_not_found"


async def test_an_id_with_a_lone_surrogate_can_be_followed_and_acted_on(serve: ServeWorker) -> None:
    """A worker in memory accepts such an id, one on a file does not."""
    task_id = "a\ud800b"
    async with AsyncTaskWorker() as worker:
        client = await serve(worker)
        await finished(worker, await worker.add_task(echo, 1, task_id=task_id))
        action = {"action": "cancel", "query": {"status": ["completed"]}}
        acted = (await client.post("/tasks/actions", json=action)).json()
        events = (await client.get(f"/tasks/{segment_for(task_id)}/events")).text
    assert acted["results"] == [{"id": task_id, "outcome": "already_finished"}]
    assert [name for name, _ in events_in(events)] == ["hello", "task.completed", "bye"]


@pytest.mark.parametrize("name", ["stats", "events", "%2e%2e"])
async def test_a_reserved_name_below_tasks_is_not_a_task(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/tasks/{name}")
    assert problem_code(response) == "path_not_found"
    assert "slashes" not in response.text


@pytest.mark.parametrize("task_id", [*ODD, "\ud800", "a\udfff/"])
def test_the_path_segment_of_an_id_belongs_to_no_other_id(task_id: str) -> None:
    segment: Any = segment_for(task_id)
    assert segment.isascii()
    assert "/" not in segment
    assert task_id_from(httpx.URL(f"http://test/{segment}").path[1:]) == task_id


async def test_a_redacted_id_is_not_revealed_by_its_path(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=lambda task: {**task, "id": "[redacted]"})
    await worker.add_task(echo, 1, task_id="secret")
    assert "secret" not in (await client.get("/tasks")).text
