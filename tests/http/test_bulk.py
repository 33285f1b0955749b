"""Batches of submissions, and actions on many tasks."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.web import Limits
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.http.requests import problem_code
from tests.support.tasks import echo, wait_at
from tests.support.waiting import finished, running


async def test_each_task_of_a_batch_is_accepted_or_refused_independently(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    tasks = [
        {"task_type": "echo", "params": {"value": 1}, "task_id": "mine"},
        {"task_type": "echo", "params": {"value": 2}, "task_id": "mine"},
        {"task_type": "unknown_type"},
        {"task_type": "echo"},
    ]
    response = await client.post("/tasks/batch", json={"tasks": tasks})
    assert response.status_code == 200
    body = response.json()
    assert (body["count"], body["accepted"]) == (4, 1)
    assert [result["status"] for result in body["results"]] == [201, 409, 400, 422]
    assert body["results"][0]["task"]["id"] == "mine"
    codes = [result["problem"]["code"] for result in body["results"][1:]]
    assert codes == ["task_id_conflict", "unknown_task_type", "invalid_params"]
    assert [info.id for info in worker.get_all_tasks()] == ["mine"]


async def test_an_invalid_batch_is_refused_as_a_whole(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    tasks = [{"task_type": "own_names"}, {"task_type": "own_names", "priority": "high"}]
    assert problem_code(await client.post("/tasks/batch", json={"tasks": tasks})) == "invalid_request"
    too_many = {"tasks": [{"task_type": "own_names"}] * 1001}
    assert problem_code(await client.post("/tasks/batch", json=too_many)) == "body_too_large"
    assert worker.get_all_tasks() == []


async def test_a_batch_may_have_a_thousand_tasks(client: httpx.AsyncClient) -> None:
    response = await client.post("/tasks/batch", json={"tasks": [{"task_type": "own_names"}] * 1000})
    assert response.json()["accepted"] == 1000


async def test_the_maximum_number_of_tasks_in_a_request_can_be_raised(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, limits=Limits(batch=1200))
    body = {"tasks": [{"task_type": "own_names"}] * 1200}
    ids = [item["task"]["id"] for item in (await client.post("/tasks/batch", json=body)).json()["results"]]
    action = {"action": "cancel", "ids": ids, "dry_run": True}
    assert (await client.post("/tasks/actions", json=action)).json()["count"] == 1200
    refusal = await client.post("/tasks/actions", json=action | {"ids": [*ids, "more"]})
    assert (problem_code(refusal), refusal.json()["detail"]) == (
        "body_too_large",
        "one request is for 1200 tasks at most",
    )


async def test_a_batch_waits_once_for_a_queue_that_stays_full(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=2)
    client = await serve(worker, limits=Limits(queue_wait=10))
    await running(worker, await worker.add_task(wait_at, "gate"))
    begun = asyncio.get_running_loop().time()

    response = await client.post("/tasks/batch", json={"tasks": [{"task_type": "own_names"}] * 100})

    assert [result["status"] for result in response.json()["results"]] == [201] * 2 + [429] * 98
    assert asyncio.get_running_loop().time() - begun == pytest.approx(10)


async def test_tasks_are_cancelled_by_their_ids(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    done, waiting = await worker.add_task(echo, 1), await worker.add_task(wait_at, "gate")
    await finished(worker, done)
    ids = [waiting, done, "unknown", waiting]
    dry = await client.post("/tasks/actions", json={"action": "cancel", "ids": ids, "dry_run": True})
    assert [item["outcome"] for item in dry.json()["results"]] == ["would_cancel", "already_finished", "not_found"]
    wet = await client.post("/tasks/actions", json={"action": "cancel", "ids": ids})
    assert [item["outcome"] for item in wet.json()["results"]] == ["cancelled", "already_finished", "not_found"]
    assert (wet.json()["count"], wet.json()["dry_run"], wet.json()["more"]) == (3, False, False)


async def test_tasks_are_cancelled_by_a_query(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = [await worker.add_task(wait_at, "gate") for _ in range(5)]
    await running(worker, *ids[:2])
    await worker.add_task(echo, 1)
    query = {"status": ["pending"], "task_type": "wait_at"}
    response = await client.post("/tasks/actions", json={"action": "cancel", "query": query})
    assert [item["id"] for item in response.json()["results"]] == ids[:1:-1]
    rest = await client.post("/tasks/actions", json={"action": "cancel", "query": {}})
    assert {item["outcome"] for item in rest.json()["results"]} == {"cancelled"}


async def test_an_action_on_too_many_tasks_returns_more_and_a_cursor(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, limits=Limits(batch=3))
    for _ in range(4):
        await worker.add_task(wait_at, "gate")
    body = (await client.post("/tasks/actions", json={"action": "cancel", "query": {}})).json()
    assert (body["count"], body["more"]) == (3, True)
    many = {"tasks": [{"task_type": "own_names"}] * 4}
    assert problem_code(await client.post("/tasks/batch", json=many)) == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "ids": ["a"], "query": {}},
        {"action": "erase", "ids": ["a"]},
        {"action": "cancel", "ids": [1]},
        {"action": "cancel", "query": {"state": "x"}},
        {"action": "cancel", "ids": ["a"], "dry_run": "no"},
        [],
    ],
    ids=str,
)
async def test_an_invalid_action_is_refused(client: httpx.AsyncClient, body: object) -> None:
    assert problem_code(await client.post("/tasks/actions", json=body)) == "invalid_request"
