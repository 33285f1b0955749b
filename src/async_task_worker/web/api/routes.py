"""The routes of the router: the path of each endpoint, and its entry in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import JsonValue
from starlette.responses import Response

from ..models.bulk_results import ActionBody, BatchBody
from ..models.pages import HealthBody, TaskPageBody, TaskTypesBody
from ..models.problem_body import problem_responses
from ..models.requests import TaskAction, TaskBatch
from ..models.responses import TaskBody
from ..models.task_types import TaskTypes
from .endpoints import Endpoints
from .openapi import EVENT_STREAM, IF_NONE_MATCH, LazyOperation, json_request_body, submission_operation
from .submission_schemas import schema_dependency, submission_schema


class EventStreamResponse(Response):
    """Represents an event stream in the OpenAPI document."""

    media_type = "text/event-stream"


class RouteTable:
    """Adds routes to a router.

    Args:
        router: The router.
        dependencies: Dependencies of every route.
        codes: Codes of problems that every route may respond with.
    """

    def __init__(self, router: APIRouter, dependencies: Sequence[Depends], codes: Iterable[str]) -> None:
        self._router = router
        self._dependencies = dependencies
        self._codes = ("invalid_request", *codes)

    def add(
        self,
        path: str,
        endpoint: Callable[..., Any],
        methods: Sequence[str] = ("GET",),
        *,
        responses: dict[int | str, dict[str, Any]] | None = None,
        codes: Iterable[str] = (),
        hidden: bool = False,
        dependencies: Sequence[Depends] = (),
        **options: Any,
    ) -> None:
        """Add a route.

        Args:
            path: Path below the router's prefix.
            endpoint: The endpoint; its name is the operation id.
            methods: The allowed methods.
            responses: OpenAPI responses of a successful request.
            codes: Codes of problems that this route may respond with, in addition to those of every route.
            hidden: Whether to omit the route from the OpenAPI document.
            dependencies: Further dependencies of this route.
            options: Further options of ``add_api_route``.
        """
        self._router.add_api_route(
            path,
            endpoint,
            methods=list(methods),
            dependencies=[*self._dependencies, *dependencies],
            responses=None if hidden else {**problem_responses(*codes, *self._codes), **(responses or {})},
            include_in_schema=not hidden,
            **options,
        )


def add_routes(checked: RouteTable, health: RouteTable, endpoints: Endpoints, types: TaskTypes) -> None:
    """Add every route of the router; the last one refuses unknown paths.

    Args:
        checked: Adds routes that are refused where the worker cannot be used.
        health: Adds the health endpoints.
        endpoints: The endpoints.
        types: The task types that can be submitted.
    """
    _add_submission(checked, endpoints, types)
    _add_listing(checked, endpoints)
    _add_bulk_requests(checked, endpoints)
    _add_task(checked, endpoints)
    _add_task_outcome(checked, endpoints)
    _add_worker(checked, endpoints)
    _add_health(health, endpoints)
    checked.add("/tasks/{rest:path}", endpoints.refuse_path, ("GET", "POST", "PUT", "PATCH", "DELETE"), hidden=True)


def _add_submission(routes: RouteTable, endpoints: Endpoints, types: TaskTypes) -> None:
    """Add the routes that submit a task."""
    schema = submission_schema(types)  # the route keeps it alive, so that the next router can share it
    routes.add(
        "/tasks",
        endpoints.submit_task,
        ("POST",),
        status_code=201,
        responses={
            **_response(201, TaskBody, "The task", Location="The path of the task"),
            **_response(
                200, TaskBody, "The task that was submitted with this key before", Location="The path of the task"
            ),
        },
        codes=(
            *("invalid_json", "unknown_task_type", "task_not_found", "task_id_conflict", "idempotency_mismatch"),
            *("body_too_large", "unsupported_media_type", "invalid_params"),
            *("metadata_too_large", "queue_full"),
        ),
        openapi_extra=LazyOperation(lambda: submission_operation(types)),
        dependencies=[schema_dependency(schema)],
    )
    routes.add("/tasks/", endpoints.submit_task, ("POST",), hidden=True)


def _add_listing(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the routes that list tasks and task types."""
    routes.add(
        "/tasks",
        endpoints.list_tasks,
        responses=_response(200, TaskPageBody, "A page of tasks", Link="The next page"),
        codes=("invalid_cursor",),
    )
    routes.add("/tasks/", endpoints.list_tasks, hidden=True)
    routes.add("/tasks/types", endpoints.list_task_types, responses=_response(200, TaskTypesBody, "The task types"))
    routes.add("/types", endpoints.list_task_types, hidden=True)


def _add_bulk_requests(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the routes of batches and actions."""
    for path, endpoint, model, answer in (
        ("/tasks/batch", endpoints.submit_batch, TaskBatch, BatchBody),
        ("/tasks/actions", endpoints.act_on_tasks, TaskAction, ActionBody),
    ):
        routes.add(
            path,
            endpoint,
            ("POST",),
            responses=_response(200, answer, "The outcomes"),
            codes=("invalid_json", "body_too_large", "unsupported_media_type"),
            openapi_extra=json_request_body(model),
        )


def _add_task(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the routes that return and cancel a single task."""
    routes.add(
        "/tasks/{task_id}",
        endpoints.get_task,
        responses={
            **_response(200, TaskBody, "The task", ETag="Identifies this state of the task"),
            304: {"description": "The task has not changed"},
        },
        codes=("task_not_found",),
        openapi_extra={"parameters": [IF_NONE_MATCH]},
    )
    routes.add(
        "/tasks/{task_id}",
        endpoints.delete_task,
        ("DELETE",),
        status_code=204,
        responses={204: {"description": "The task is cancelled, or had finished before"}},
        codes=("task_not_found",),
    )
    routes.add(
        "/tasks/{task_id}/cancel",
        endpoints.cancel_task,
        ("POST",),
        status_code=202,
        responses=_response(202, TaskBody, "The task"),
        codes=("task_not_found", "task_finished"),
    )


def _add_task_outcome(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the routes of the result and the events of a single task."""
    routes.add(
        "/tasks/{task_id}/result",
        endpoints.get_task_result,
        responses={200: {"description": "The result of the task", "content": {"application/json": {"schema": {}}}}},
        codes=("task_not_found", "not_finished", "result_dropped", "task_failed", "task_cancelled"),
    )
    routes.add(
        "/tasks/{task_id}/events",
        endpoints.follow_task,
        response_class=EventStreamResponse,
        responses={204: {"description": "The task has finished, and all of its events were received"}},
        codes=("task_not_found", "too_many_streams"),
        openapi_extra=EVENT_STREAM,
    )


def _add_worker(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the routes of the worker as a whole: events, statistics and cache."""
    routes.add(
        "/events",
        endpoints.follow_everything,
        response_class=EventStreamResponse,
        codes=("too_many_streams",),
        openapi_extra=EVENT_STREAM,
    )
    routes.add("/stats", endpoints.get_stats, responses=_response(200, dict[str, JsonValue], "The statistics"))
    routes.add(
        "/cache",
        endpoints.get_cache,
        responses=_response(200, dict[str, JsonValue], "The statistics"),
        codes=("cache_unavailable",),
    )
    routes.add(
        "/cache",
        endpoints.clear_cache,
        ("DELETE",),
        status_code=204,
        responses={204: {"description": "The cache is empty"}},
        codes=("cache_unavailable",),
    )


def _add_health(routes: RouteTable, endpoints: Endpoints) -> None:
    """Add the health endpoints."""
    for path, endpoint in (
        ("/health", endpoints.check_health),
        ("/health/live", endpoints.check_liveness),
        ("/health/ready", endpoints.check_readiness),
    ):
        responses = {**_response(200, HealthBody, "Healthy"), **_response(503, HealthBody, "Not healthy")}
        routes.add(path, endpoint, responses=responses)


def _response(status: int, model: Any, description: str, **headers: str) -> dict[int | str, dict[str, Any]]:
    """Return an OpenAPI response with a body of this model."""
    named = {name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()}
    return {status: {"model": model, "description": description, **({"headers": named} if named else {})}}
