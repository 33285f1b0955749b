"""The route class of the router, which responds to errors with problem documents; other routes are not affected."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ..problems import Problem
from .error_mapping import MAPPED_ERRORS, problem_of
from .paths import RESERVED_IDS, encode_inner_slashes

_HEAD: Final = "async_task_worker.head"
"""Key in the scope of a ``HEAD`` request, which is handled like a ``GET``; the server omits the body."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TaskRoute(APIRoute):
    """A route of one router. Each router has a subclass of its own, whose ``siblings`` are the router's routes."""

    siblings: ClassVar[list[TaskRoute]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.siblings.append(self)

    def __init_subclass__(cls) -> None:
        """Give the subclass a list of its own routes."""
        cls.siblings = []

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is for this route: a reserved segment is not a task id."""
        get_scope = _as_get(scope)
        path = encode_inner_slashes(scope["path"], scope.get("raw_path"))
        if path != scope["path"]:
            get_scope = {**get_scope, "path": path}
        match, child_scope = super().matches(get_scope)
        params = child_scope.get("path_params", {})
        if params.get("task_id") in RESERVED_IDS and "{task_id}" in self.path:
            return Match.NONE, {}
        if "rest" in params and self._matches_sibling(params["rest"]):
            return Match.NONE, {}
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or respond with the methods that its path allows."""
        scope = _as_get(scope)
        if self.methods and scope["method"] not in self.methods:
            problem = Problem("method_not_allowed", headers={"Allow": ", ".join(sorted(self._allowed_methods()))})
            await problem.response()(scope, receive, send)
            return
        await super().handle(scope, receive, send)

    def get_route_handler(self) -> Handler:
        """Return the handler; errors about the request that it raises become problem documents."""
        handler = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                return problem.response()
            except RequestValidationError as error:
                return _validation_problem(error).response()
            except MAPPED_ERRORS as error:
                return problem_of(error).response()
            except ClientDisconnect:
                return Problem("invalid_request", "the connection was closed before the body was complete").response()

        return handle_errors

    def _allowed_methods(self) -> set[str]:
        """Return the methods of every sibling with the same path."""
        found = {method for route in self.siblings if route.path == self.path for method in route.methods or ()}
        return found | {"HEAD"} if "GET" in found else found

    def _matches_sibling(self, rest: str) -> bool:
        """Whether *rest*, a path below ``/tasks/``, matches another route of the router."""
        path = self.path.removesuffix("{rest:path}") + rest
        named = [route.path_regex.match(path) for route in self.siblings if route.path != self.path]
        return any(found and found.groupdict().get("task_id") not in RESERVED_IDS for found in named)


def is_head_request(request: Request) -> bool:
    """Whether the request is a ``HEAD``, so that no body is sent and none need be waited for."""
    return _HEAD in request.scope


def _as_get(scope: Scope) -> Scope:
    """Return the scope of a ``HEAD`` request as one of a ``GET``, and any other as it is."""
    return {**scope, "method": "GET", _HEAD: True} if scope.get("method") == "HEAD" else scope


def _validation_problem(error: RequestValidationError) -> Problem:
    """Return the problem without the invalid values, which may be secret or not JSON."""
    errors = [{"field": ".".join(map(str, item["loc"])), "message": str(item["msg"])} for item in error.errors()]
    return Problem(
        "invalid_request", "; ".join(f"{item['field']}: {item['message']}" for item in errors), errors=errors
    )
