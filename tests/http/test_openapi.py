"""The OpenAPI document: complete, without repetitions, and sufficient to generate a client."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from async_task_worker import AsyncTaskWorker, create_task_worker_router, task
from tests.http.conftest import client_of
from tests.http.test_service import resolve, submission_schemas_in
from tests.support import served_app
from tests.support.uvicorn_process import Server


class Leaf(BaseModel):
    """A leaf."""

    size: int


class Branch(BaseModel):
    """A branch, which is made of branches."""

    leaf: Leaf = Field(description="The leaf at its end.")
    branches: list[Branch] = []
    more: dict[str, list[Leaf]] = {}


LEVELS = 10
BROAD: list[type[BaseModel]] = [Leaf]
for level in range(LEVELS):  # each refers to the previous one four times: inlined that would be a million
    fields: dict[str, Any] = {"__annotations__": {f"part{part}": BROAD[-1] for part in range(4)}}
    BROAD.append(type(f"Broad{level}", (BaseModel,), fields))


@task("grow")
async def grow(tree: Branch, other: Leaf) -> int:
    """Grow a tree."""
    return len(tree.branches)


@task("broad")
async def broad(it: BROAD[-1]) -> None:  # type: ignore[valid-type]
    """Take something broad."""


broad.__annotations__["it"] = BROAD[-1]  # it was a string until now


class Problem(BaseModel):
    """A model of the application with the same name as one of the router."""

    own: str


def documented(*routers: Any) -> dict[str, Any]:
    app = FastAPI()
    for router in routers:
        app.include_router(router)

    @app.get("/own", responses={400: {"model": Problem}})
    async def own() -> None: ...

    return app.openapi()


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


@pytest.fixture
def document() -> dict[str, Any]:
    """The document of an application with three routers and a model named like one of the router."""
    worker = AsyncTaskWorker()
    return documented(
        create_task_worker_router(worker),
        create_task_worker_router(worker, prefix="/api/v1", tags=["second"]),
        create_task_worker_router(AsyncTaskWorker(), prefix="/{tenant}/few", expose=["grow"]),
    )


def test_every_reference_can_be_resolved(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 10
    for reference in found:
        assert resolve(document, reference) is not None


def test_every_operation_has_a_unique_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) > 50
    assert {"submit_task", "submit_task_api_v1", "check_health_api_v1"} <= set(ids)
    assert all(name.isidentifier() for name in ids)


def test_a_router_included_twice_has_different_operation_ids() -> None:
    app, router = FastAPI(), create_task_worker_router(AsyncTaskWorker())
    app.include_router(router, prefix="/one")
    app.include_router(router, prefix="/two")
    paths = app.openapi()["paths"]  # a duplicate operation id is a warning, which the tests turn into an error
    assert paths["/two/tasks"]["post"]["operationId"] == "submit_task_two"


def test_models_are_components_and_may_be_recursive(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Branch"]["properties"]["branches"]["items"] == {"$ref": "#/components/schemas/Branch"}
    (form,) = (form for form in submission_schemas_in(document) if form["title"] == "grow")
    assert form["properties"]["params"]["properties"]["tree"]["$ref"] == "#/components/schemas/Branch"
    assert form["properties"]["params"]["required"] == ["tree", "other"]
    assert len(schemas["Broad9"]["properties"]) == 4


def test_keywords_beside_a_reference_are_kept(document: dict[str, Any]) -> None:
    leaf = document["components"]["schemas"]["Branch"]["properties"]["leaf"]
    assert leaf == {"$ref": "#/components/schemas/Leaf", "description": "The leaf at its end."}


async def test_task_types_keep_keywords_beside_references_and_stay_small() -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(AsyncTaskWorker(), expose=["grow", "broad"]))
    async with client_of(app) as client:
        response = await client.get("/tasks/types")
    types = {one["name"]: one["params_schema"] for one in response.json()["types"]}
    assert types["grow"]["$defs"]["Branch"]["properties"]["leaf"]["description"] == "The leaf at its end."
    for schema in types.values():
        assert all(resolve(schema, reference) for reference in references(schema))
    assert len(response.content) < 20_000


def test_a_document_with_many_models_stays_small() -> None:
    """Inlined, the models of the type "broad" alone would be a million."""
    names = ["grow", "broad"]  # other tests register types, too
    first = create_task_worker_router(AsyncTaskWorker(), expose=names)
    second = create_task_worker_router(AsyncTaskWorker(), prefix="/api/v1", expose=names)
    assert len(json.dumps(documented(first, second))) < 400_000


def test_errors_are_one_component(document: dict[str, Any]) -> None:
    """Also if the application has a model of that name."""
    schemas = {
        content["schema"]["$ref"]
        for path in document["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for media_type, content in response.get("content", {}).items()
        if media_type == "application/problem+json"
    }
    (schema,) = schemas
    assert resolve(document, schema)["required"] == ["type", "title", "status", "code"]
    own = document["paths"]["/own"]["get"]["responses"]["400"]["content"]["application/json"]["schema"]["$ref"]
    assert resolve(document, own)["required"] == ["own"]
    alone = create_task_worker_router(AsyncTaskWorker())
    app = FastAPI()
    app.include_router(alone)
    assert app.openapi()["components"]["schemas"]["Problem"]["title"] == "Problem"


def test_a_type_may_be_registered_again_until_the_document_is_built() -> None:
    router = create_task_worker_router(AsyncTaskWorker(), expose=["changing"])

    @task("changing")
    async def first(left: int) -> None: ...

    assert [form["properties"]["params"]["required"] for form in submission_schemas_in(documented(router))] == [
        ["left"]
    ]

    @task("changing")
    async def second(right: int) -> None: ...

    assert [form["properties"]["params"]["required"] for form in submission_schemas_in(documented(router))] == [
        ["right"]
    ]


async def test_the_header_that_carries_the_schemas_is_ignored(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))
    assert "x-submission-form" not in json.dumps(app.openapi()).lower()
    async with client_of(app) as client:
        headers = {"X-Submission-Form": "anything"}
        response = await client.post("/tasks", json={"task_type": "own_names"}, headers=headers)
        assert response.status_code == 201


@pytest.fixture
def generated_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client generated from the document of the application that the tests serve."""
    (tmp_path / "openapi.json").write_text(json.dumps(served_app.app.openapi()))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    options = "--path openapi.json --config config.yml --output-path generated_client --meta none --fail-on-warning"
    command = [sys.executable, "-m", "openapi_python_client", "generate", *options.split()]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("generated_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "generated_client"]:
        del sys.modules[name]


@pytest.mark.real_time
@pytest.mark.slow
async def test_a_client_generated_from_the_document_works_with_a_server(generated_client: Any) -> None:
    models: Any = importlib.import_module("generated_client.models")
    assert [name for name in dir(models) if "Problem" in name] == ["BatchItemProblemType0", "Problem", "ProblemError"]

    async def ask(operation: str, *args: Any, **options: Any) -> Any:
        module: Any = importlib.import_module(f"generated_client.api.tasks.{operation}")
        return await module.asyncio(*args, client=client, **options)

    with Server("tests.support.served_app:app") as server:
        async with generated_client.Client(base_url=server.url) as client:
            body = models.AddNumbers(task_type="add_numbers", params=models.AddNumbersAddNumbers(left=2, right=3))
            submitted = await ask("submit_task", body=body, prefer="wait=10")
            assert (submitted.status, submitted.result, submitted.from_cache) == ("completed", 5, False)
            page = await ask("list_tasks")
            assert [(one.id, one.href) for one in page.tasks] == [(submitted.id, f"/tasks/{submitted.id}")]
            problem = await ask("get_task", "unknown")
            assert isinstance(problem, models.Problem)
            assert problem.code == "task_not_found"
            health = await ask("check_health")
            assert (health.status, health.worker_count, health.queue_size) == ("ok", 4, 0)
        server.terminate()
