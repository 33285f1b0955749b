"""Problem documents (RFC 9457): the codes of all errors of the HTTP API, each with its HTTP status and title."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"

CODES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_json": (400, "The body is not JSON"),
    "unknown_task_type": (400, "Unknown task type"),
    "task_not_found": (404, "Unknown task"),
    "path_not_found": (404, "There is nothing at this path"),
    "method_not_allowed": (405, "The path does not allow this method"),
    "task_id_conflict": (409, "A task with this id exists"),
    "idempotency_mismatch": (409, "The key was used with another body"),
    "task_finished": (409, "The task has finished"),
    "not_finished": (409, "The task has not finished"),
    "result_dropped": (410, "The result was dropped"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "invalid_request": (422, "The request is invalid"),
    "invalid_params": (422, "The task function does not accept these params"),
    "invalid_cursor": (422, "The cursor is invalid"),
    "metadata_too_large": (422, "The metadata is too large"),
    "task_failed": (424, "The task failed"),
    "task_cancelled": (424, "The task was cancelled"),
    "queue_full": (429, "Too many tasks are waiting"),
    "too_many_streams": (429, "Too many event streams are open"),
    "not_running": (503, "The worker is not running"),
    "wrong_process": (503, "The worker runs in another process"),
    "wrong_event_loop": (503, "The worker runs on another event loop"),
    "storage_failed": (503, "The storage of the tasks failed"),
    "cache_unavailable": (503, "The cache cannot be reached"),
}
"""HTTP status and title by code. Codes never change."""


class Problem(Exception):  # noqa: N818 - it is the document, raised
    """An error of a request, which is answered with a problem document.

    Args:
        code: One of :data:`CODES`.
        detail: What is wrong with this particular request.
        headers: Headers of the response.
        members: Further members of the document, such as ``errors``.
    """

    def __init__(
        self, code: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers
        self.members = members

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code][0]

    def document(self) -> dict[str, Any]:
        """Return the members of the document."""
        status, title = CODES[self.code]
        detail = {} if self.detail is None else {"detail": self.detail}
        return {"type": "about:blank", "title": title, "status": status, "code": self.code, **detail, **self.members}

    def response(self) -> Response:
        """Return the response, in ASCII: texts of the client that cannot be encoded are escaped."""
        content = json.dumps(self.document(), allow_nan=False).encode("ascii")
        return Response(content, self.status, self.headers, MEDIA_TYPE)
