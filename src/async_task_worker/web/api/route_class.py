"""The route class of the router: its errors are problem documents, and those of the host application its own."""

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
"""Marks the scope of a ``HEAD`` request, which is answered like a ``GET``; the server leaves out the body."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TaskRoute(APIRoute):
    """A route of one router. Each router makes a subclass of its own, which knows its siblings."""

    siblings: ClassVar[list[TaskRoute]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.siblings.append(self)

    def __init_subclass__(cls) -> None:
        """Begin a family."""
        cls.siblings = []

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether the request is for this route: a reserved name is no id."""
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
        """Answer the request, or say which methods its path takes."""
        scope = _as_get(scope)
        if self.methods and scope["method"] not in self.methods:
            problem = Problem("method_not_allowed", headers={"Allow": ", ".join(sorted(self._allowed_methods()))})
            await problem.response()(scope, receive, send)
            return
        await super().handle(scope, receive, send)

    def get_route_handler(self) -> Handler:
        """Return the handler, with what it raises about the request turned into an answer."""
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
                return Problem("invalid_request", "the body broke off").response()

        return handle_errors

    def _allowed_methods(self) -> set[str]:
        """Return the methods of every sibling with the same path."""
        found = {method for route in self.siblings if route.path == self.path for method in route.methods or ()}
        return found | {"HEAD"} if "GET" in found else found

    def _matches_sibling(self, rest: str) -> bool:
        """Whether the rest of a path below ``/tasks/`` is some sibling's."""
        path = self.path.removesuffix("{rest:path}") + rest
        named = [route.path_regex.match(path) for route in self.siblings if route.path != self.path]
        return any(found and found.groupdict().get("task_id") not in RESERVED_IDS for found in named)


def is_head_request(request: Request) -> bool:
    """Whether the request is a ``HEAD``: nothing of a body is sent, and none should be waited for."""
    return _HEAD in request.scope


def _as_get(scope: Scope) -> Scope:
    """Return the scope of a ``HEAD`` request as one of a ``GET``, and any other as it is."""
    return {**scope, "method": "GET", _HEAD: True} if scope.get("method") == "HEAD" else scope


def _validation_problem(error: RequestValidationError) -> Problem:
    """Return the problem, without the values: they may be secret, or not even JSON."""
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": str(one["msg"])} for one in error.errors()
    ]
    return Problem("invalid_request", "; ".join(f"{one['field']}: {one['message']}" for one in errors), errors=errors)
