"""``create_router``: check the options of a router and put its parts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from starlette.responses import JSONResponse

from ...model.validation import checked_switch
from ..limits import Limits
from ..models.problem_body import UNAVAILABLE
from ..models.submitted_params import SubmittedParams
from ..models.task_types import TaskTypes
from ..rendering.redaction import Redact
from ..server_shutdown import ServerShutdown
from ..worker_protocol import REQUIRED_ATTRIBUTES, WebWorker, WorkerFeatures
from .endpoints import Endpoints
from .health import WorkerReports
from .openapi import operation_id
from .route_class import TaskRoute
from .routes import RouteTable, add_routes
from .scopes import CallerScopes, Scope
from .submission import TaskSubmitter
from .task_renderer import TaskRenderer


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
    submitted_params = _submitted_params(worker, limits)
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
    checked = RouteTable(router, [*access_dependencies, Depends(_loop_check(worker))], UNAVAILABLE)
    health = RouteTable(router, access_dependencies if protect_health else [], ())
    add_routes(checked, health, endpoints, types)
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


def _submitted_params(worker: WebWorker, limits: Limits) -> SubmittedParams:
    """Return the store of params, which follows the tasks that are added to the worker."""
    params = SubmittedParams(
        limits.params_kept,
        is_known=lambda task_id: worker.get_task_info(task_id) is not None,
        task_count=lambda: sum(worker.counts().values()),
    )
    if hasattr(worker.events, "subscribe_records"):  # an object that is served in place of a worker may lack it
        params.added.follow(worker.events)
    return params


def _loop_check(worker: WebWorker) -> Callable[[], Any]:
    """Return a dependency that refuses requests in a process or on an event loop that cannot use the worker."""
    features = WorkerFeatures(worker)

    async def check() -> None:
        features.check_loop()

    return check
