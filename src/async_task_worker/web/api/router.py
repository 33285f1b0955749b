"""The router: the path of each endpoint, and its entry in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import JsonValue
from starlette.responses import JSONResponse, Response

from ...model.validation import checked_switch
from ..limits import Limits
from ..models.pages import HealthBody, TaskPageBody, TaskTypesBody
from ..models.problem_body import UNAVAILABLE, problem_responses
from ..models.requests import TaskAction, TaskBatch
from ..models.responses import TaskBody
from ..models.submitted_params import SubmittedParams
from ..models.task_types import TaskTypes
from ..rendering.redaction import Redact
from ..server_shutdown import ServerShutdown
from ..worker_protocol import REQUIRED_ATTRIBUTES, WebWorker, WorkerFeatures
from .bulk import ActionBody, BatchBody
from .endpoints import Endpoints
from .health import WorkerReports
from .openapi import EVENT_STREAM, IF_NONE_MATCH, LazyOperation, json_request_body, operation_id, submission_operation
from .route_class import TaskRoute
from .scopes import CallerScopes, Scope
from .submission import TaskSubmitter
from .submission_schemas import schema_dependency, submission_schema
from .task_renderer import TaskRenderer


class EventStreamResponse(Response):
    """Represents an event stream in the OpenAPI document."""

    media_type = "text/event-stream"


class JsonResponse(JSONResponse):
    """Represents a JSON body in the OpenAPI document."""


def create_router(  # noqa: PLR0913 - the documented options, by keyword
    worker: Any,
    prefix: str = "",
    tags: Sequence[str | Enum] | None = None,
    *,
    dependencies: Sequence[Depends] | None = None,
    protect_health: bool = False,
    expose: Iterable[str] | None = None,
    scope: Scope | None = None,
    redact: Redact | None = None,
    limits: Limits | None = None,
    show_tracebacks: bool = False,
) -> APIRouter:
    """Return a router that serves the worker; see ``create_task_worker_router``."""
    _check_options(worker, redact, scope, limits)
    checked_switch("protect_health", protect_health)
    checked_switch("show_tracebacks", show_tracebacks)
    _check_paths(prefix, dependencies)
    limits = Limits() if limits is None else limits
    types = TaskTypes(expose)
    submitted_params = SubmittedParams(
        limits.params_kept,
        is_known=lambda task_id: worker.get_task_info(task_id) is not None,
        task_count=lambda: sum(worker.counts().values()),
    )
    if hasattr(worker.events, "subscribe_records"):  # an object that is served in place of a worker may lack it
        submitted_params.added.follow(worker.events)
    renderer = TaskRenderer(limits, submitted_params, types, redact, show_tracebacks)
    submitter = TaskSubmitter(worker, types, submitted_params, renderer, limits)
    shutdown = ServerShutdown()
    reports = WorkerReports(worker, shutdown, show_details=protect_health)
    endpoints = Endpoints(worker, types, renderer, submitter, limits, reports, shutdown, CallerScopes(scope))
    router = APIRouter(
        prefix=prefix,
        tags=["tasks"] if tags is None else list(tags),
        route_class=type("RouterTaskRoute", (TaskRoute,), {}),
        default_response_class=JsonResponse,
        generate_unique_id_function=operation_id,
    )
    access_dependencies = list(dependencies or ())
    routes = _Routes(router, [*access_dependencies, Depends(_loop_check(worker))], UNAVAILABLE)
    _add_tasks(routes, endpoints, types)
    _add_task(routes, endpoints)
    _add_worker(routes, endpoints)
    _add_health(_Routes(router, access_dependencies if protect_health else [], ()), endpoints)
    routes.add("/tasks/{rest:path}", endpoints.refuse_path, ("GET", "POST", "PUT", "PATCH", "DELETE"), hidden=True)
    return router


def _check_options(worker: Any, redact: object, scope: object, limits: object) -> None:
    if missing := [name for name in REQUIRED_ATTRIBUTES if not hasattr(worker, name)]:
        raise TypeError(f"worker must be an AsyncTaskWorker or have its methods; {worker!r} lacks {', '.join(missing)}")
    if redact is not None and not callable(redact):
        raise TypeError(f"redact must be a function of a task's body, such as redact_names(...), not {redact!r}")
    if scope is not None and not callable(scope):
        raise TypeError(f"scope must be a function of the request that returns a str, not {scope!r}")
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits must be a Limits, such as Limits(body=100_000), not {limits!r}")


def _check_paths(prefix: str, dependencies: Sequence[Any] | None) -> None:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f"prefix must begin with a slash and not end with one, such as '/api', not {prefix!r}")
    for dependency in dependencies or ():
        if not hasattr(dependency, "dependency"):
            raise TypeError(f"dependencies must be a list such as [Depends(check_user)], not one of {dependency!r}")


def _loop_check(worker: WebWorker) -> Callable[[], Any]:
    """Return a dependency that refuses requests in a process or on an event loop that cannot use the worker."""
    features = WorkerFeatures(worker)

    async def check() -> None:
        features.check_loop()

    return check


class _Routes:
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


def _add_tasks(routes: _Routes, endpoints: Endpoints, types: TaskTypes) -> None:
    """Add the routes for submitting, listing and acting on tasks."""
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
    routes.add(
        "/tasks",
        endpoints.list_tasks,
        responses=_response(200, TaskPageBody, "A page of tasks", Link="The next page"),
        codes=("invalid_cursor",),
    )
    routes.add("/tasks/", endpoints.submit_task, ("POST",), hidden=True)
    routes.add("/tasks/", endpoints.list_tasks, hidden=True)
    routes.add("/tasks/types", endpoints.list_task_types, responses=_response(200, TaskTypesBody, "The task types"))
    routes.add("/types", endpoints.list_task_types, hidden=True)
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


def _add_task(routes: _Routes, endpoints: Endpoints) -> None:
    """Add the routes of a single task."""
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


def _add_worker(routes: _Routes, endpoints: Endpoints) -> None:
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


def _add_health(routes: _Routes, endpoints: Endpoints) -> None:
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
