"""Endpoints of the worker as a whole, methods and paths, and options of the router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request

from async_task_worker import AsyncTaskWorker, create_task_worker_router, task
from async_task_worker.model.registry import _REGISTRY
from async_task_worker.web import Limits
from async_task_worker.web.problems import CODES
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker, client_of
from tests.http.requests import problem_code, submit
from tests.support.tasks import wait_at
from tests.support.waiting import running


async def test_health_counts_pending_and_running_tasks(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = [await worker.add_task(wait_at, "gate") for _ in range(5)]
    await running(worker, *ids[:2])
    response = await client.get("/health")
    assert response.status_code == 200
    expected = {"status": "ok", "worker_count": 2, "queue_size": 3, "running": 2, "abandoned_tasks": 0}
    assert response.json() == expected


async def test_a_stopped_worker_is_alive_but_neither_healthy_nor_ready(
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


async def test_a_worker_whose_file_was_deleted_is_neither_healthy_nor_ready(folder: Path, serve: ServeWorker) -> None:
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


async def test_the_cache_has_statistics_and_can_be_cleared(make_worker: MakeWorker, serve: ServeWorker) -> None:
    client = await serve(await make_worker(cache_enabled=True, cache_ttl=60))
    first = await submit(client, "echo", params={"value": 1}, wait=1)
    second = await submit(client, "echo", params={"value": 1}, wait=1)
    assert (first["from_cache"], second["from_cache"], second["result"]) == (False, True, 1)

    cache = (await client.get("/cache")).json()

    assert (cache["enabled"], cache["default_ttl"]) == (True, 60)
    assert (cache["statistics"]["hits"], cache["statistics"]["sets"]) == (1, 1)
    assert (await client.delete("/cache")).status_code == 204
    assert (await submit(client, "echo", params={"value": 1}, wait=1))["from_cache"] is False
    assert (await submit(client, "echo", params={"value": 1}, use_cache=False, wait=1))["from_cache"] is False


async def test_a_disabled_cache_is_reported_as_disabled(client: httpx.AsyncClient) -> None:
    assert (await client.get("/cache")).json()["enabled"] is False
    assert (await client.delete("/cache")).status_code == 204


async def test_requesting_the_cache_does_not_create_one(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker()
    client = await serve(worker)
    assert (await client.get("/cache")).json() == {"enabled": False, "default_ttl": None, "statistics": {}}
    assert not worker.has_cache


async def test_task_types_have_a_schema_of_their_params(client: httpx.AsyncClient) -> None:
    body = (await client.get("/tasks/types")).json()
    assert (await client.get("/types")).json() == body
    types = {one["name"]: one for one in body["types"]}
    assert body["task_types"] == list(types)
    assert "not_for_strangers" not in types
    assert types["report_steps"]["description"] == "Report so many steps of progress, with a pause after each."
    schema = types["report_steps"]["params_schema"]
    assert schema["required"] == ["steps"]
    assert schema["properties"].keys() == {"steps", "pause"}
    assert schema["properties"]["pause"] == {"title": "pause", "type": "number", "default": 0.0}
    assert schema["additionalProperties"] is False
    assert types["collect"]["params_schema"]["additionalProperties"] is True


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/tasks", "GET, HEAD, POST"),
        ("PATCH", "/tasks/some-id", "DELETE, GET, HEAD"),
        ("DELETE", "/tasks/types", "GET, HEAD"),
        ("GET", "/tasks/batch", "POST"),
        ("GET", "/tasks/actions", "POST"),
        ("POST", "/tasks/types", "GET, HEAD"),
        ("POST", "/cache", "DELETE, GET, HEAD"),
        ("GET", "/tasks/some-id/cancel", "POST"),
        ("DELETE", "/health", "GET, HEAD"),
        ("TRACE", "/events", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_allowed_gets_the_allowed_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert problem_code(response) == "method_not_allowed"
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/tasks/a/b", "/tasks/a/b/result", "/tasks//", "/tasks/a/cancel/now"])
async def test_an_unknown_path_below_tasks_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, problem_code(response)) == (404, "path_not_found")


async def test_errors_of_the_host_application_are_not_affected(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))

    @app.get("/own/{number}")
    async def own(number: int) -> int:
        raise HTTPException(418, "teapot")

    async with client_of(app) as client:
        assert (await client.get("/own/1")).json() == {"detail": "teapot"}
        assert (await client.get("/own/x")).json()["detail"][0]["loc"] == ["path", "number"]
        assert (await client.get("/nowhere")).json() == {"detail": "Not Found"}


def check_user(request: Request) -> None:
    if request.headers.get("authorization") != "Bearer right":
        raise HTTPException(401, "who are you?")


@pytest.mark.parametrize("protect_health", [False, True])
async def test_dependencies_apply_to_every_endpoint(worker: AsyncTaskWorker, protect_health: bool) -> None:
    """Except the health endpoints, unless they are protected."""
    app = FastAPI()
    options: dict[str, Any] = {"dependencies": [Depends(check_user)], "protect_health": protect_health}
    app.include_router(create_task_worker_router(worker, prefix="/api", **options))
    paths = app.openapi()["paths"]
    async with client_of(app) as client:
        for path, operations in paths.items():
            for method in operations:
                response = await client.request(method.upper(), path.format(task_id="a"))
                if "/health" in path and not protect_health:
                    assert response.status_code == 200, path
                else:
                    assert (response.status_code, response.json()) == (401, {"detail": "who are you?"}), path
        assert (await client.get("/api/health", headers={"Authorization": "Bearer right"})).status_code == 200


async def test_open_health_has_status_and_counts_and_protected_health_has_details(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    fields = {"status", "worker_count", "queue_size", "running", "abandoned_tasks"}
    assert (await (await serve(worker)).get("/health")).json().keys() == fields
    protected = (await (await serve(worker, protect_health=True)).get("/health")).json()
    assert protected.keys() == fields | {"details"}
    assert protected["details"]["is_running"] is True


async def test_health_documents_all_of_its_fields(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker, protect_health=True))
    declared = app.openapi()["components"]["schemas"]["HealthBody"]["properties"].keys()
    async with client_of(app) as client:
        for path in ("/health", "/health/live", "/health/ready"):
            assert (await client.get(path)).json().keys() <= declared


async def test_two_routers_are_independent(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker, prefix="/one", tags=["first"]))
    second = AsyncTaskWorker()
    app.include_router(create_task_worker_router(second, prefix="/two", tags=["second"]))
    async with second, client_of(app) as client:
        body, key = {"task_type": "own_names", "task_id": "mine"}, {"Idempotency-Key": "k"}
        assert (await client.post("/one/tasks", json=body, headers=key)).status_code == 201
        assert (await client.post("/two/tasks", json=body, headers=key)).status_code == 201
        assert (await client.put("/two/tasks")).headers["allow"] == "GET, HEAD, POST"
    paths = app.openapi()["paths"]  # a duplicate operation id is a warning, which the tests turn into an error
    tags = {(path[:4], *operation["tags"]) for path, operations in paths.items() for operation in operations.values()}
    assert tags == {("/one", "first"), ("/two", "second")}


def submission_schemas_in(document: dict[str, Any], path: str = "/tasks") -> list[dict[str, Any]]:
    """Return the schemas of a submission in the document."""
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return [resolve(document, form["$ref"]) for form in resolve(document, body["$ref"])["oneOf"]]


def resolve(document: dict[str, Any], reference: str) -> Any:
    """Return the target of a reference."""
    part: Any = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


async def test_the_document_has_every_problem_and_every_type(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))
    document = app.openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert {"submit_task", "list_tasks", "get_task", "delete_task", "list_task_types", "check_health"} <= set(ids)
    assert len(set(ids)) == len(ids)
    codes = {
        code
        for operation in operations
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert codes == CODES.keys() - {"method_not_allowed", "path_not_found"}
    body = document["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]
    forms = {form["title"]: form for form in submission_schemas_in(document)}
    assert forms["add_numbers"]["properties"]["params"]["properties"]["left"] == {"type": "integer", "title": "left"}
    assert body["examples"]["add_numbers"]["value"]["params"] == {"left": 1}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("redact", "password"), ("scope", "user"), ("limits", {"body": 10}), ("limits", Limits), ("limits", 5)),
        *(("protect_health", "yes"), ("show_tracebacks", 1)),
    ],
)
async def test_options_of_a_wrong_type_are_refused(option: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{option} must be"):
        create_task_worker_router(AsyncTaskWorker(), **{option: value})  # type: ignore[arg-type]


async def test_an_object_that_is_not_a_worker_is_refused() -> None:
    with pytest.raises(TypeError, match="submit"):
        create_task_worker_router(object())


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("body", 0, ValueError),
        ("body", -1, ValueError),
        ("body", "1 MB", TypeError),
        ("body", 1.5, TypeError),
        ("body", True, TypeError),
        ("body", None, TypeError),
        ("depth", 0, ValueError),
        ("batch", -5, ValueError),
        ("queue_wait", -0.1, ValueError),
        ("queue_wait", float("nan"), ValueError),
        ("queue_wait", None, TypeError),
        ("send_timeout", 0, ValueError),
        ("stream_lifetime", -1, ValueError),
        ("stream_lifetime", "10", TypeError),
        ("progress_interval", float("inf"), ValueError),
    ],
)
def test_limits_are_checked_when_they_are_set(name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{name} must be"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_limits_can_be_zero_where_that_means_something() -> None:
    found = Limits(queue_wait=0, metadata=0, params_kept=0, buffered_events=0, streams=0, stream_lifetime=None)
    assert (found.queue_wait, found.metadata, found.stream_lifetime) == (0.0, 0, None)


async def test_head_is_handled_like_get_without_a_body(worker: AsyncTaskWorker) -> None:
    """Also by a router below another prefix, and for an endless stream of events."""
    app = FastAPI()
    app.include_router(create_task_worker_router(worker), prefix="/api")
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    getting = [path for path, operations in app.openapi()["paths"].items() if "get" in operations]
    assert len(getting) > 10
    async with client_of(app) as client:
        for path in getting:
            response = await client.head(path.format(task_id=task_id))
            assert response.content == b"", path
            if path.endswith("/events"):
                assert response.headers["content-type"].startswith("text/event-stream")
            else:
                get = await client.get(path.format(task_id=task_id))
                assert (response.status_code, response.headers) == (get.status_code, get.headers), path
        assert (await client.head("/api/tasks/unknown/events")).status_code == 404
        assert (await client.head("/api/tasks/batch")).status_code == 405


@pytest.mark.parametrize("root_path", ["", "/proxy"])
async def test_a_trailing_slash_after_tasks_makes_no_difference(worker: AsyncTaskWorker, root_path: str) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker, prefix="/api"))
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.post("/api/tasks/", json={"task_type": "own_names"})
        assert response.status_code == 201
        assert response.headers["location"] == f"{root_path}/api/tasks/{response.json()['id']}"
        await client.post("/api/tasks", json={"task_type": "own_names"})
        await worker.drain()
        with_slash, without = await client.get("/api/tasks/?limit=1"), await client.get("/api/tasks?limit=1")
        assert with_slash.json() == without.json()
        assert "//" not in with_slash.links["next"]["url"]
        assert with_slash.json()["tasks"][0]["href"].startswith(f"{root_path}/api/tasks/")


async def test_an_object_with_the_methods_of_a_worker_is_served(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    class Wrapped:
        def __getattr__(self, name: str) -> object:
            return getattr(worker, name)

    client = await serve(Wrapped())
    assert (await submit(client, "echo", params={"value": 1}, wait=1))["result"] == 1


async def gone() -> None:
    """Do nothing."""


async def test_protected_health_counts_tasks_of_unregistered_functions(folder: Path, serve: ServeWorker) -> None:
    url = f"sqlite:///{folder}/tasks.db?durability=process"
    function = task("soon gone")(gone)
    async with AsyncTaskWorker(backend=url, max_workers=1) as worker:
        await worker.add_task(wait_at, "gate")
        await worker.add_task(function)
        await worker.stop(timeout=0)
    del _REGISTRY._entries["soon gone"]
    async with AsyncTaskWorker(backend=url) as worker:
        client = await serve(worker, protect_health=True)
        assert (await client.get("/health")).json()["details"]["unregistered_tasks"] == {"soon gone": 1}
        await worker.stop(timeout=0)
