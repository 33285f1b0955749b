"""The router: which endpoint stands where, and what the OpenAPI document says about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel, ConfigDict, JsonValue
from starlette.responses import JSONResponse, Response

from .bodies import TaskAction, TaskBatch
from .bulk import ActionBody, BatchBody
from .endpoints import Endpoints
from .given_params import GivenParams
from .limits import Limits
from .openapi import EVENT_STREAM, IF_NONE_MATCH, LiveExtra, body_of, submission_of
from .problems import documented
from .redaction import Redact
from .routes import TaskRoute
from .submitting import Submissions
from .task_bodies import TaskBodies, TaskBody
from .task_types import TaskTypes
from .waits import ServerExit

NEEDED: Final = (
    *("submit", "fetch_task_info", "search_tasks", "get_task_info", "get_task_future", "cancel_task", "counts"),
    *("events", "is_running", "max_workers", "abandoned_tasks"),
)
"""What a worker must have to be served."""


class TaskPageBody(BaseModel):
    """A page of tasks."""

    model_config = ConfigDict(extra="allow")

    tasks: list[TaskBody]
    count: int
    next_cursor: str | None


class TaskTypeBody(BaseModel):
    """A task type, and the params it takes as JSON Schema."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    params_schema: dict[str, JsonValue]


class TaskTypesBody(BaseModel):
    """The task types on offer."""

    model_config = ConfigDict(extra="allow")

    task_types: list[str]
    types: list[TaskTypeBody]


class HealthBody(BaseModel):
    """How the worker is."""

    model_config = ConfigDict(extra="allow")

    status: str


class EventStreamResponse(Response):
    """Stands for an event stream in the OpenAPI document."""

    media_type = "text/event-stream"


class JsonResponse(JSONResponse):
    """Stands for a JSON body in the OpenAPI document."""


def create_router(
    worker: Any,
    prefix: str = "",
    tags: Sequence[str | Enum] | None = None,
    *,
    dependencies: Sequence[Depends] | None = None,
    expose: Iterable[str] | None = None,
    redact: Redact | None = None,
    limits: Limits | None = None,
    show_tracebacks: bool = False,
) -> APIRouter:
    """Return a router that serves the worker; see ``create_task_worker_router``."""
    if missing := [name for name in NEEDED if not hasattr(worker, name)]:
        raise TypeError(f"a worker has {', '.join(missing)}; {worker!r} has not")
    if redact is not None and not callable(redact):
        raise TypeError(f"redact must be a function of a task's body, such as redact_names(...), not {redact!r}")
    limits = Limits() if limits is None else limits
    types = TaskTypes(expose)
    given = GivenParams(
        limits.params_kept,
        is_known=lambda task_id: worker.get_task_info(task_id) is not None,
        known=lambda: sum(worker.counts().values()),
    )
    bodies = TaskBodies(limits, given, redact, show_tracebacks)
    submissions = Submissions(worker, types, given, limits)
    endpoints = Endpoints(worker, types, bodies, submissions, limits, ServerExit())
    router = APIRouter(
        prefix=prefix,
        tags=["tasks"] if tags is None else list(tags),
        dependencies=dependencies,
        route_class=type("RouterTaskRoute", (TaskRoute,), {}),
        default_response_class=JsonResponse,
    )
    _add_tasks(router, endpoints, types)
    _add_task(router, endpoints)
    _add_service(router, endpoints)
    router.add_api_route(
        "/tasks/{rest:path}",
        endpoints.refuse_path,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    return router


def _add_tasks(router: APIRouter, endpoints: Endpoints, types: TaskTypes) -> None:
    """Add what is about tasks in general."""
    router.add_api_route(
        "/tasks",
        endpoints.submit_task,
        methods=["POST"],
        operation_id="submit_task",
        status_code=201,
        responses={
            **_shown(201, TaskBody, "The task", Location="Where it is"),
            **_shown(200, TaskBody, "The task this key was used for before", Location="Where it is"),
            **documented(
                *("invalid_json", "unknown_task_type", "task_not_found", "task_id_conflict", "idempotency_mismatch"),
                *("body_too_large", "unsupported_media_type", "invalid_request", "invalid_params"),
                *("metadata_too_large", "queue_full", "not_running"),
            ),
        },
        openapi_extra=LiveExtra(lambda: submission_of(types)),
    )
    router.add_api_route(
        "/tasks",
        endpoints.list_tasks,
        operation_id="list_tasks",
        responses={
            **_shown(200, TaskPageBody, "A page of tasks", Link="Where the next page is"),
            **documented("invalid_request", "invalid_cursor"),
        },
    )
    for path, in_schema in (("/tasks/types", True), ("/types", False)):
        router.add_api_route(
            path,
            endpoints.list_task_types,
            operation_id="list_task_types",
            include_in_schema=in_schema,
            responses={**_shown(200, TaskTypesBody, "The task types"), **documented("invalid_request")},
        )
    for path, endpoint, model, answer in (
        ("/tasks/batch", endpoints.submit_batch, TaskBatch, BatchBody),
        ("/tasks/actions", endpoints.act_on_tasks, TaskAction, ActionBody),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            operation_id=endpoint.__name__,
            responses={
                **_shown(200, answer, "What became of each"),
                **documented("invalid_json", "body_too_large", "unsupported_media_type", "invalid_request"),
            },
            openapi_extra=body_of(model),
        )


def _add_task(router: APIRouter, endpoints: Endpoints) -> None:
    """Add what is about one task."""
    unknown = ("task_not_found", "invalid_request")
    router.add_api_route(
        "/tasks/{task_id}",
        endpoints.get_task,
        operation_id="get_task",
        responses={
            **_shown(200, TaskBody, "The task", ETag="Names this state of the task"),
            304: {"description": "It has not changed"},
            **documented(*unknown),
        },
        openapi_extra={"parameters": [IF_NONE_MATCH]},
    )
    router.add_api_route(
        "/tasks/{task_id}",
        endpoints.delete_task,
        methods=["DELETE"],
        operation_id="delete_task",
        status_code=204,
        responses={204: {"description": "It is cancelled, or had ended before"}, **documented(*unknown)},
    )
    router.add_api_route(
        "/tasks/{task_id}/cancel",
        endpoints.cancel_task,
        methods=["POST"],
        operation_id="cancel_task",
        status_code=202,
        responses={**_shown(202, TaskBody, "The task"), **documented(*unknown, "task_finished")},
    )
    router.add_api_route(
        "/tasks/{task_id}/result",
        endpoints.get_task_result,
        operation_id="get_task_result",
        responses={
            200: {"description": "What the task returned", "content": {"application/json": {"schema": {}}}},
            **documented(*unknown, "not_finished", "task_failed", "task_cancelled"),
        },
    )
    router.add_api_route(
        "/tasks/{task_id}/events",
        endpoints.follow_task,
        operation_id="follow_task",
        response_class=EventStreamResponse,
        responses={204: {"description": "All has been told"}, **documented(*unknown, "too_many_streams")},
        openapi_extra=EVENT_STREAM,
    )


def _add_service(router: APIRouter, endpoints: Endpoints) -> None:
    """Add what is about the worker as a whole."""
    router.add_api_route(
        "/events",
        endpoints.follow_everything,
        operation_id="follow_everything",
        response_class=EventStreamResponse,
        responses=documented("invalid_request", "too_many_streams"),
        openapi_extra=EVENT_STREAM,
    )
    for path, endpoint in (("/stats", endpoints.get_stats), ("/cache", endpoints.get_cache)):
        router.add_api_route(
            path,
            endpoint,
            operation_id=endpoint.__name__,
            responses={**_shown(200, dict[str, JsonValue], "Its numbers"), **documented("invalid_request")},
        )
    router.add_api_route(
        "/cache",
        endpoints.clear_cache,
        methods=["DELETE"],
        operation_id="clear_cache",
        status_code=204,
        responses={204: {"description": "It is empty"}, **documented("invalid_request")},
    )
    for path, endpoint in (
        ("/health", endpoints.check_health),
        ("/health/live", endpoints.check_liveness),
        ("/health/ready", endpoints.check_readiness),
    ):
        router.add_api_route(
            path,
            endpoint,
            operation_id=endpoint.__name__,
            responses={
                **_shown(200, HealthBody, "It is well"),
                **_shown(503, HealthBody, "It is not"),
                **documented("invalid_request"),
            },
        )


def _shown(status: int, model: Any, description: str, **headers: str) -> dict[int | str, dict[str, Any]]:
    """Return an OpenAPI response with a body of this model."""
    named = {name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()}
    return {status: {"model": model, "description": description, **({"headers": named} if named else {})}}
