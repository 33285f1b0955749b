"""The HTTP router under its documented import path. FastAPI is imported on first use.

from async_task_worker.task_worker_api import AsyncTaskWorker, create_task_worker_router
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .worker import AsyncTaskWorker

if TYPE_CHECKING:
    from .web import APIRouter, Depends, Limits, Redact, Scope

__all__ = ["AsyncTaskWorker", "create_task_worker_router"]

_INSTALL = 'the HTTP API needs packages that are not installed: pip install "async-task-worker[web]"'


def create_task_worker_router(  # noqa: PLR0913 - the documented options, by keyword
    worker: Any,
    prefix: str = "",
    tags: Sequence[Any] | None = None,
    *,
    dependencies: Sequence[Depends] | None = None,
    protect_health: bool = False,
    expose: Iterable[str] | None = None,
    scope: Scope | None = None,
    redact: Redact | None = None,
    limits: Limits | None = None,
    show_tracebacks: bool = False,
) -> APIRouter:
    """Return a FastAPI router that submits, lists, shows, follows and cancels the worker's tasks.

    Args:
        worker: An ``AsyncTaskWorker``, or an object with its methods. The application starts
            and stops it: ``FastAPI(lifespan=worker.lifespan)``.
        prefix: Prefix of every path; begins with a slash and does not end with one.
        tags: Tags in the OpenAPI document; None for ``["tasks"]``.
        dependencies: FastAPI dependencies of every endpoint, such as one that authorizes the caller.
            ``/health``, ``/health/live`` and ``/health/ready`` stay open for load balancers: they
            return the status, and how many tasks are pending and running.
        protect_health: Whether *dependencies* apply to those three too. ``/health`` then has ``details``.
        expose: The only task types that can be submitted; None for every registered one. Those
            registered with ``expose=False`` never can. Tasks of other types are still listed, shown
            and cancelled.
        scope: A function of the request, plain or async, that returns an identifier of its caller,
            such as a user id: the same ``Idempotency-Key`` of two callers is two keys. None for
            a hash of ``Authorization``, ``Cookie`` and ``X-Api-Key``, which changes with each new
            token.
        redact: A function that takes the body of a task, a dict of plain JSON data, and returns
            the body to show instead. ``async_task_worker.redact_names("password", …)`` returns
            one that hides fields by name, and texts that quote them.
        limits: Limits of requests and responses; None for the defaults of ``async_task_worker.Limits``.
        show_tracebacks: Whether the tracebacks of failed tasks are shown. They contain source code.

    Raises:
        ImportError: The extra ``web`` is not installed.
        TypeError: *worker* lacks a worker's methods, *expose* is a single name, or another
            option is of the wrong type.
        ValueError: *prefix* does not begin with a slash, or ends with one.
    """
    try:
        web = import_module(".web.api.router", __package__)
    except ModuleNotFoundError as error:
        raise ImportError(_INSTALL) from error
    router: APIRouter = web.create_router(
        worker,
        prefix,
        tags,
        dependencies=dependencies,
        protect_health=protect_health,
        expose=expose,
        scope=scope,
        redact=redact,
        limits=limits,
        show_tracebacks=show_tracebacks,
    )
    return router
