"""What is told of the worker as a whole, and of the paths themselves."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request

from async_task_worker import AsyncTaskWorker, create_task_worker_router
from async_task_worker.web.problems import CODES
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker, client_of
from tests.http.requests import problem_code, submit
from tests.support.tasks import wait_at
from tests.support.waiting import running


async def test_health_counts_what_waits_and_runs(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = [await worker.add_task(wait_at, "gate") for _ in range(5)]
    await running(worker, *ids[:2])
    response = await client.get("/health")
    assert response.status_code == 200
    expected = {"status": "ok", "worker_count": 2, "queue_size": 3, "running": 2, "abandoned_tasks": 0}
    assert response.json() == expected


async def test_a_worker_that_does_not_run_is_alive_but_neither_well_nor_ready(
    make_worker: MakeWorker, serve: ServeWorker
) -> None:
    worker = await make_worker(started=False)
    client = await serve(worker)
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "stopped")
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200
    await worker.start()
    assert (await client.get("/health/ready")).status_code == 200


async def test_a_worker_whose_file_was_deleted_is_neither_well_nor_ready(folder: Path, serve: ServeWorker) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{folder}/tasks.db?durability=process") as worker:
        client = await serve(worker)
        assert (await client.get("/health")).status_code == 200
        (folder / "tasks.db").unlink()
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


async def test_stats_count_tasks_by_status_and_slots(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    await submit(client, "echo", params={"value": 1}, wait=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    stats = (await client.get("/stats")).json()
    assert stats["tasks"] == {"pending": 0, "running": 1, "completed": 1, "failed": 0, "cancelled": 0}
    assert stats["slots"] == {"total": 2, "busy": 1, "abandoned_tasks": 0}


async def test_the_cache_tells_of_itself_and_can_be_cleared(make_worker: MakeWorker, serve: ServeWorker) -> None:
    client = await serve(await make_worker(cache_enabled=True, cache_ttl=60))
    first = await submit(client, "echo", params={"value": 1}, wait=1)
    second = await submit(client, "echo", params={"value": 1}, wait=1)
    assert (first["from_cache"], second["from_cache"], second["result"]) == (False, True, 1)

    told = (await client.get("/cache")).json()

    assert (told["enabled"], told["default_ttl"]) == (True, 60)
    assert (told["statistics"]["hits"], told["statistics"]["sets"]) == (1, 1)
    assert (await client.delete("/cache")).status_code == 204
    assert (await submit(client, "echo", params={"value": 1}, wait=1))["from_cache"] is False
    assert (await submit(client, "echo", params={"value": 1}, use_cache=False, wait=1))["from_cache"] is False


async def test_a_cache_that_is_switched_off_says_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/cache")).json()["enabled"] is False
    assert (await client.delete("/cache")).status_code == 204


async def test_to_ask_for_the_cache_makes_none(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker()
    client = await serve(worker)
    assert (await client.get("/cache")).json() == {"enabled": False, "default_ttl": None, "statistics": {}}
    assert not worker.has_cache


async def test_types_tell_their_params(client: httpx.AsyncClient) -> None:
    body = (await client.get("/tasks/types")).json()
    assert (await client.get("/types")).json() == body
    types = {one["name"]: one for one in body["types"]}
    assert body["task_types"] == list(types)
    assert "not_for_strangers" not in types
    assert types["report_steps"]["description"] == "Report that many steps, pausing after each."
    schema = types["report_steps"]["params_schema"]
    assert schema["required"] == ["steps"]
    assert schema["properties"].keys() == {"steps", "pause"}
    assert schema["properties"]["pause"] == {"title": "pause", "type": "number", "default": 0.0}
    assert schema["additionalProperties"] is False
    assert types["collect"]["params_schema"]["additionalProperties"] is True


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/tasks", "GET, POST"),
        ("PATCH", "/tasks/some-id", "DELETE, GET"),
        ("DELETE", "/tasks/types", "GET"),
        ("GET", "/tasks/batch", "POST"),
        ("GET", "/tasks/actions", "POST"),
        ("POST", "/tasks/types", "GET"),
        ("POST", "/cache", "DELETE, GET"),
        ("GET", "/tasks/some-id/cancel", "POST"),
        ("DELETE", "/health", "GET"),
        ("TRACE", "/events", "GET"),
    ],
)
async def test_a_method_that_is_not_taken_is_told_those_that_are(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert problem_code(response) == "method_not_allowed"
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/tasks/a/b", "/tasks/a%2Fb", "/tasks/a/b/result", "/tasks/", "/tasks/a/cancel/now"])
async def test_a_path_below_tasks_that_is_none_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, problem_code(response)) == (404, "path_not_found")


@pytest.mark.parametrize("task_id", ["a%0A", "a%0Ab", "%E2%81%82", "a%20b", "x" * 201, "%00"])
async def test_an_id_that_cannot_be_is_refused(client: httpx.AsyncClient, task_id: str) -> None:
    assert problem_code(await client.get(f"/tasks/{task_id}")) == "invalid_request"
    assert problem_code(await client.delete(f"/tasks/{task_id}")) == "invalid_request"


async def test_the_errors_of_the_host_application_stay_its_own(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))

    @app.get("/own/{number}")
    async def own(number: int) -> int:
        raise HTTPException(418, "teapot")

    async with client_of(app) as client:
        assert (await client.get("/own/1")).json() == {"detail": "teapot"}
        assert (await client.get("/own/x")).json()["detail"][0]["loc"] == ["path", "number"]
        assert (await client.get("/nowhere")).json() == {"detail": "Not Found"}


async def test_dependencies_decide_about_every_endpoint(worker: AsyncTaskWorker) -> None:
    def check(request: Request) -> None:
        if request.headers.get("authorization") != "Bearer right":
            raise HTTPException(401, "who are you?")

    app = FastAPI()
    app.include_router(create_task_worker_router(worker, prefix="/api", dependencies=[Depends(check)]))
    paths = app.openapi()["paths"]
    async with client_of(app) as client:
        for path, operations in paths.items():
            for method in operations:
                response = await client.request(method.upper(), path.format(task_id="a"))
                assert (response.status_code, response.json()) == (401, {"detail": "who are you?"}), path
        right = {"Authorization": "Bearer right"}
        assert (await client.get("/api/health", headers=right)).status_code == 200


async def test_two_routers_do_not_meet(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker, prefix="/one", tags=["first"]))
    second = AsyncTaskWorker()
    app.include_router(create_task_worker_router(second, prefix="/two", tags=["second"]))
    async with second, client_of(app) as client:
        body, key = {"task_type": "own_names", "task_id": "mine"}, {"Idempotency-Key": "k"}
        assert (await client.post("/one/tasks", json=body, headers=key)).status_code == 201
        assert (await client.post("/two/tasks", json=body, headers=key)).status_code == 201
        assert (await client.put("/two/tasks")).headers["allow"] == "GET, POST"
    with pytest.warns(UserWarning, match="Duplicate Operation ID"):
        paths = app.openapi()["paths"]
    tags = {(path[:4], *operation["tags"]) for path, operations in paths.items() for operation in operations.values()}
    assert tags == {("/one", "first"), ("/two", "second")}


async def test_the_document_tells_every_problem_and_every_type(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))
    document = app.openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert {"submit_task", "list_tasks", "get_task", "delete_task", "list_task_types", "check_health"} <= set(ids)
    assert len(set(ids)) == len(ids)
    told = {
        code
        for operation in operations
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert told == CODES.keys() - {"method_not_allowed", "path_not_found"}
    body = document["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]
    forms = {form["title"]: form for form in body["schema"]["oneOf"]}
    assert forms["add_numbers"]["properties"]["params"]["properties"]["left"] == {"type": "integer", "title": "left"}
    assert body["examples"]["add_numbers"]["value"]["params"] == {"left": 1}


async def test_what_is_no_worker_is_refused() -> None:
    with pytest.raises(TypeError, match="submit"):
        create_task_worker_router(object())
    with pytest.raises(TypeError, match="redact"):
        create_task_worker_router(AsyncTaskWorker(), redact="password")  # type: ignore[arg-type]


async def test_anything_with_a_workers_methods_is_served(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    class Wrapped:
        def __getattr__(self, name: str) -> object:
            return getattr(worker, name)

    client = await serve(Wrapped())
    assert (await submit(client, "echo", params={"value": 1}, wait=1))["result"] == 1
