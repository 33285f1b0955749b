"""The scope of a caller: the same ``Idempotency-Key`` of two callers is two different keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from inspect import isawaitable
from typing import Final

from starlette.requests import Request

from ...model.safe_logger import SafeLogger

logger = SafeLogger("async_task_worker.web.scopes")

Scope = Callable[[Request], str | Awaitable[str]]
"""A function that returns an identifier of the caller of a request, such as a user id."""

_CREDENTIALS: Final = ("authorization", "cookie", "x-api-key")


class CallerScopes:
    """Identifies the callers of one router.

    Args:
        scope: Returns an identifier of the caller of a request; None for a hash of the request's credentials.
    """

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope
        self._warned = False

    async def scope_of(self, request: Request) -> str:
        """Return the identifier of the caller.

        Raises:
            TypeError: The ``scope`` function returned something else than a str.
        """
        if self._scope is None:
            return self._credentials_digest(request)
        scope = self._scope(request)
        if isawaitable(scope):
            scope = await scope
        if not isinstance(scope, str):
            raise TypeError(f"scope must return a str, such as a user id, not {scope!r}")
        return scope

    def _credentials_digest(self, request: Request) -> str:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Idempotency keys are kept apart by a hash of Authorization, Cookie and X-Api-Key. A retry with a "
                "renewed token or another cookie then counts as a new caller, and its task runs twice. Give "
                "create_task_worker_router(..., scope=...) a function of the request that returns the user's id."
            )
        digest = blake2b(digest_size=16)
        for name in _CREDENTIALS:
            values = request.headers.getlist(name)
            digest.update(repr((name, values)).encode("ascii", "backslashreplace"))
        return digest.hexdigest()
