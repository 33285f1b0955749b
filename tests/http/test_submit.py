"""POST /tasks: accepted requests, responses and refusals."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from async_cache import compose_key_functions, default_key, extract_key_component
from async_task_worker import AsyncTaskWorker, create_task_worker_router
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.http.requests import KEYS, problem_code, submit
from tests.support.tasks import wait_at
from tests.support.waiting import running


async def test_a_submission_returns_the_task_and_its_location(client: httpx.AsyncClient) -> None:
    response = await client.post("/tasks", json={"task_type": "echo", "params": {"value": [1, 2]}, "priority": 1})

    assert response.status_code == 201
    task = response.json()
    assert list(task)[:6] == KEYS
    assert task["priority"] == 1
    assert task["params"] == {"value": [1, 2]}
    assert task["metadata"] == {"task_type": "echo"}
    assert response.headers["location"] == f"/tasks/{task['id']}"
    found = (await client.get(response.headers["location"], params={"wait": 5})).json()
    assert (found["status"], found["result"], found["progress"]) == ("completed", [1, 2], 1.0)


async def test_the_location_has_the_prefix_of_the_router(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, prefix="/api/v1")
    response = await client.post("/api/v1/tasks", json={"task_type": "echo", "params": {"value": 1}})
    assert (await client.get(response.headers["location"])).status_code == 200


@pytest.mark.parametrize("front", ["/tâches €", "/a b\r\nX-Set: 1", "/100%>;"], ids=["accents", "line break", "marks"])
async def test_the_location_is_escaped_like_the_path_of_the_request(
    worker: AsyncTaskWorker, serve: ServeWorker, front: str
) -> None:
    client = await serve(worker, prefix="/{tenant}")
    response = await client.post(quote(f"{front}/tasks"), json={"task_type": "echo", "params": {"value": 1}})
    assert response.headers["location"].startswith(quote(f"{front}/tasks/", safe="/;:"))
    assert (await client.get(response.headers["location"])).status_code == 200


@pytest.mark.parametrize("path", ["/tasks", "/proxy/tasks"], ids=["taken off", "left on"])
async def test_the_location_has_the_root_path_of_a_proxy(worker: AsyncTaskWorker, path: str) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, root_path="/proxy"), base_url="http://test"
    ) as client:
        response = await client.post(path, json={"task_type": "echo", "params": {"value": 1}})
        assert response.headers["location"] == f"/proxy/tasks/{response.json()['id']}"
        await client.post(path, json={"task_type": "echo", "params": {"value": 1}})
        assert (await client.get(f"{path}?limit=1")).links["next"]["url"].startswith("/proxy/tasks?limit=1&cursor=")


async def test_prefer_wait_responds_when_the_task_has_finished(client: httpx.AsyncClient) -> None:
    task = await submit(client, "sleep_for", params={"seconds": 5, "value": "late"}, wait=10)
    assert (task["status"], task["result"], task["run_time"]) == ("completed", "late", pytest.approx(5))


async def test_prefer_wait_responds_after_its_timeout(client: httpx.AsyncClient) -> None:
    body = {"task_type": "sleep_for", "params": {"seconds": 50}}
    response = await client.post("/tasks", json=body, headers={"Prefer": "respond-async, wait=10"})
    assert response.status_code == 201
    assert response.json()["status"] == "running"
    assert response.headers["preference-applied"] == "wait=10"


@pytest.mark.parametrize("preference", ["wait=-1", "wait", "respond-async", "wait=ten", "await=10"])
async def test_an_invalid_preference_is_ignored(client: httpx.AsyncClient, preference: str) -> None:
    body = {"task_type": "sleep_for", "params": {"seconds": 50}}
    response = await client.post("/tasks", json=body, headers={"Prefer": preference})
    assert response.json()["status"] in {"pending", "running"}
    assert "preference-applied" not in response.headers


async def test_parameters_named_like_options_are_params_of_the_function(client: httpx.AsyncClient) -> None:
    params = {"self": 7, "priority": "high", "task_id": True, "args": [1]}
    task = await submit(client, "own_names", params=params, priority=3, wait=1)
    assert task["result"] == params
    assert task["priority"] == 3
    assert task["id"] is not True


async def test_params_are_converted_to_the_annotated_types(client: httpx.AsyncClient) -> None:
    assert (await submit(client, "add_numbers", params={"left": 2, "right": 3}, wait=1))["result"] == 5


@pytest.mark.parametrize(
    "params",
    [{}, {"left": 1, "middle": 2}, {"left": "1"}, {"left": None}, {"left": 1, "progress_callback": None}],
    ids=["missing", "unknown", "of another type", "null", "the worker's own"],
)
async def test_params_that_the_function_does_not_accept_are_refused_before_queueing(
    worker: AsyncTaskWorker, client: httpx.AsyncClient, params: dict[str, object]
) -> None:
    response = await client.post("/tasks", json={"task_type": "add_numbers", "params": params})
    assert response.status_code == 422
    assert problem_code(response) == "invalid_params"
    assert worker.get_all_tasks() == []


async def test_only_the_first_of_many_errors_are_returned(client: httpx.AsyncClient) -> None:
    params = {f"unknown{number}": 0 for number in range(5000)}
    response = await client.post("/tasks", json={"task_type": "add_numbers", "params": params})
    assert problem_code(response) == "invalid_params"
    assert len(response.json()["errors"]) == 20


@pytest.mark.parametrize("task_type", ["unknown_type", "not_for_strangers"])
async def test_a_type_that_is_unknown_or_hidden_is_refused(client: httpx.AsyncClient, task_type: str) -> None:
    response = await client.post("/tasks", json={"task_type": task_type})
    assert response.status_code == 400
    assert problem_code(response) == "unknown_task_type"


async def test_expose_restricts_the_types(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, expose=["echo", "not_for_strangers"])
    assert (await client.get("/tasks/types")).json()["task_types"] == ["echo"]
    assert problem_code(await client.post("/tasks", json={"task_type": "note"})) == "unknown_task_type"
    with pytest.raises(TypeError, match="several names"):
        await serve(worker, expose="echo")


async def test_a_task_id_can_be_used_once(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    body = {"task_type": "echo", "params": {"value": 1}, "task_id": "mine"}
    assert (await client.post("/tasks", json=body)).json()["id"] == "mine"
    response = await client.post("/tasks", json=body)
    assert response.status_code == 409
    assert problem_code(response) == "task_id_conflict"
    assert len(worker.get_all_tasks()) == 1


@pytest.mark.parametrize(
    "task_id", ["types", "batch", "actions", "stats", "events", ".", "..", "a/b", "a\nb", "", "x" * 201, "ä"]
)
async def test_an_id_with_characters_unfit_for_a_path_is_refused(client: httpx.AsyncClient, task_id: str) -> None:
    response = await client.post("/tasks", json={"task_type": "echo", "params": {"value": 1}, "task_id": task_id})
    assert response.status_code == 422
    assert problem_code(response) == "invalid_request"


@pytest.mark.parametrize(
    "member",
    [
        {"priority": 1.5},
        {"priority": True},
        {"priority": 2**63},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "10"},
        {"metadata": []},
        {"params": []},
        {"use_cache": "yes"},
        {"delay": 5},
        {"task_type": 5},
    ],
    ids=str,
)
async def test_invalid_options_are_refused(
    worker: AsyncTaskWorker, client: httpx.AsyncClient, member: dict[str, object]
) -> None:
    response = await client.post("/tasks", json={"task_type": "echo", "params": {"value": 1}, **member})
    assert response.status_code == 422
    assert problem_code(response) == "invalid_request"
    assert [error["field"] for error in response.json()["errors"]] == list(member)
    assert worker.get_all_tasks() == []


async def test_metadata_is_kept_up_to_its_limit(client: httpx.AsyncClient) -> None:
    task = await submit(client, "echo", params={"value": 1}, metadata={"tenant": "acme"}, wait=1)
    assert task["metadata"] == {"tenant": "acme", "task_type": "echo"}
    own = await submit(client, "echo", params={"value": 1}, metadata={"task_type": "of my own"})
    assert (own["metadata"], own["task_type"]) == ({"task_type": "of my own"}, "echo")
    large = {"task_type": "echo", "params": {"value": 1}, "metadata": {"note": "x" * 20_000}}
    assert problem_code(await client.post("/tasks", json=large)) == "metadata_too_large"


async def test_a_full_queue_gets_429_with_retry_after(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1)
    client = await serve(worker)
    await running(worker, await worker.add_task(wait_at, "gate"))
    await submit(client, "echo", params={"value": 1})

    response = await client.post("/tasks", json={"task_type": "echo", "params": {"value": 2}})

    assert response.status_code == 429
    assert problem_code(response) == "queue_full"
    assert int(response.headers["retry-after"]) > 0
    assert len(worker.get_all_tasks()) == 2


async def test_a_stopped_worker_accepts_no_task(make_worker: MakeWorker, serve: ServeWorker) -> None:
    client = await serve(await make_worker(started=False))
    response = await client.post("/tasks", json={"task_type": "echo", "params": {"value": 1}})
    assert response.status_code == 503
    assert problem_code(response) == "not_running"


async def test_the_same_key_and_body_is_the_same_task(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    body, key = {"task_type": "echo", "params": {"value": 1}}, {"Idempotency-Key": "k-1"}
    first = await client.post("/tasks", json=body, headers=key)
    again = await client.post("/tasks", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    other = await client.post("/tasks", json={**body, "priority": 1}, headers=key)
    assert other.status_code == 409
    assert problem_code(other) == "idempotency_mismatch"
    assert len(worker.get_all_tasks()) == 1


async def test_a_key_can_be_used_again_after_a_refused_submission(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    assert problem_code(await client.post("/tasks", json={"task_type": "?"}, headers=key)) == "unknown_task_type"
    assert (await client.post("/tasks", json={"task_type": "own_names"}, headers=key)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
async def test_an_invalid_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    response = await client.post("/tasks", json={"task_type": "own_names"}, headers={"Idempotency-Key": key})
    assert problem_code(response) == "invalid_request"


async def test_fifty_concurrent_submissions_with_one_key_are_one_task(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    body, key = {"task_type": "echo", "params": {"value": 1}}, {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*(client.post("/tasks", json=body, headers=key) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(worker.get_all_tasks()) == 1


async def test_fifty_concurrent_submissions_with_one_id_are_one_task(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    body = {"task_type": "echo", "params": {"value": 1}, "task_id": "mine"}
    answers = await asyncio.gather(*(client.post("/tasks", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49
    assert len(worker.get_all_tasks()) == 1


async def test_tenants_of_submitted_tasks_have_separate_cache_entries(
    make_worker: MakeWorker, serve: ServeWorker
) -> None:
    """A submission has no key function of its own; the worker's key function gets its metadata."""
    by_tenant = compose_key_functions(extract_key_component("metadata.tenant"), default_key)
    client = await serve(await make_worker(cache_enabled=True, cache_key_fn=by_tenant))
    from_cache = []
    for tenant in ("red", "blue", "red"):
        body = {"task_type": "echo", "params": {"value": 1}, "metadata": {"tenant": tenant}}
        place = (await client.post("/tasks", json=body)).headers["location"]
        from_cache.append((await client.get(place, params={"wait": 5})).json()["from_cache"])
    assert from_cache == [False, False, True]
