"""The router: which endpoint stands where, and what the OpenAPI document says about it."""

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
    """Stands for an event stream in the OpenAPI document."""

    media_type = "text/event-stream"


class JsonResponse(JSONResponse):
    """Stands for a JSON body in the OpenAPI document."""


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
    if hasattr(worker.events, "subscribe_records"):  # not every object that can be served has it
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
    """Return a dependency that refuses requests where the worker cannot be used."""
    features = WorkerFeatures(worker)

    async def check() -> None:
        features.check_loop()

    return check


class _Routes:
    """Adds routes to a router.

    Args:
        router: The router.
        dependencies: Those of each of the routes.
        codes: Codes of problems that each of them can answer with.
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
            path: Below the router's prefix.
            endpoint: What answers; its name is that of the operation.
            methods: What it takes.
            responses: OpenAPI responses of a successful request.
            codes: Codes of problems it can answer with, beside those of every route.
            hidden: Whether to leave it out of the OpenAPI document.
            dependencies: Further ones of this route.
            options: Further ones of ``add_api_route``.
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
    """Add what is about tasks in general."""
    schema = submission_schema(types)  # kept by the route, so that the next router can share it
    routes.add(
        "/tasks",
        endpoints.submit_task,
        ("POST",),
        status_code=201,
        responses={
            **_response(201, TaskBody, "The task", Location="Where it is"),
            **_response(200, TaskBody, "The task this key was used for before", Location="Where it is"),
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
        responses=_response(200, TaskPageBody, "A page of tasks", Link="Where the next page is"),
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
            responses=_response(200, answer, "What became of each"),
            codes=("invalid_json", "body_too_large", "unsupported_media_type"),
            openapi_extra=json_request_body(model),
        )


def _add_task(routes: _Routes, endpoints: Endpoints) -> None:
    """Add what is about one task."""
    routes.add(
        "/tasks/{task_id}",
        endpoints.get_task,
        responses={
            **_response(200, TaskBody, "The task", ETag="Names this state of the task"),
            304: {"description": "It has not changed"},
        },
        codes=("task_not_found",),
        openapi_extra={"parameters": [IF_NONE_MATCH]},
    )
    routes.add(
        "/tasks/{task_id}",
        endpoints.delete_task,
        ("DELETE",),
        status_code=204,
        responses={204: {"description": "It is cancelled, or had ended before"}},
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
        responses={200: {"description": "What the task returned", "content": {"application/json": {"schema": {}}}}},
        codes=("task_not_found", "not_finished", "result_dropped", "task_failed", "task_cancelled"),
    )
    routes.add(
        "/tasks/{task_id}/events",
        endpoints.follow_task,
        response_class=EventStreamResponse,
        responses={204: {"description": "All has been told"}},
        codes=("task_not_found", "too_many_streams"),
        openapi_extra=EVENT_STREAM,
    )


def _add_worker(routes: _Routes, endpoints: Endpoints) -> None:
    """Add what is about the worker as a whole."""
    routes.add(
        "/events",
        endpoints.follow_everything,
        response_class=EventStreamResponse,
        codes=("too_many_streams",),
        openapi_extra=EVENT_STREAM,
    )
    routes.add("/stats", endpoints.get_stats, responses=_response(200, dict[str, JsonValue], "Its numbers"))
    routes.add(
        "/cache",
        endpoints.get_cache,
        responses=_response(200, dict[str, JsonValue], "Its numbers"),
        codes=("cache_unavailable",),
    )
    routes.add(
        "/cache",
        endpoints.clear_cache,
        ("DELETE",),
        status_code=204,
        responses={204: {"description": "It is empty"}},
        codes=("cache_unavailable",),
    )


def _add_health(routes: _Routes, endpoints: Endpoints) -> None:
    """Add what tells whether the worker is well."""
    for path, endpoint in (
        ("/health", endpoints.check_health),
        ("/health/live", endpoints.check_liveness),
        ("/health/ready", endpoints.check_readiness),
    ):
        responses = {**_response(200, HealthBody, "It is well"), **_response(503, HealthBody, "It is not")}
        routes.add(path, endpoint, responses=responses)


def _response(status: int, model: Any, description: str, **headers: str) -> dict[int | str, dict[str, Any]]:
    """Return an OpenAPI response with a body of this model."""
    named = {name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()}
    return {status: {"model": model, "description": description, **({"headers": named} if named else {})}}
