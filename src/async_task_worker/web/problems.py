"""What can go wrong with a request, as RFC 9457 problem documents with a code that never changes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"

CODES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_json": (400, "The body is not JSON"),
    "unknown_task_type": (400, "There is no such task type"),
    "task_not_found": (404, "There is no such task"),
    "path_not_found": (404, "There is nothing at this path"),
    "method_not_allowed": (405, "The path does not take this method"),
    "task_id_conflict": (409, "A task with this id exists"),
    "idempotency_mismatch": (409, "The key was used with another body"),
    "task_finished": (409, "The task has finished"),
    "not_finished": (409, "The task has not finished"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "invalid_request": (422, "The request does not have the form it must have"),
    "invalid_params": (422, "The task function does not take these params"),
    "invalid_cursor": (422, "The cursor is not one that was returned"),
    "metadata_too_large": (422, "The metadata is too large"),
    "task_failed": (424, "The task failed"),
    "task_cancelled": (424, "The task was cancelled"),
    "queue_full": (429, "Too many tasks are waiting"),
    "too_many_streams": (429, "Too many event streams are open"),
    "not_running": (503, "The worker is not running"),
}
"""Every code with its status and title."""

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Names the problem; it never changes."},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "task_id": {"type": "string"},
    },
}


class Problem(Exception):  # noqa: N818 - it is the document, raised
    """A request that is answered with a problem document.

    Args:
        code: One of :data:`CODES`.
        detail: What is the matter with this very request.
        headers: To be sent along.
        members: More members of the document, such as ``errors``.
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
        """The HTTP status that goes with the code."""
        return CODES[self.code][0]

    def document(self) -> dict[str, Any]:
        """Return the members of the document."""
        status, title = CODES[self.code]
        detail = {} if self.detail is None else {"detail": self.detail}
        return {"type": "about:blank", "title": title, "status": status, "code": self.code, **detail, **self.members}

    def response(self) -> Response:
        """Return the answer. What cannot be encoded was the client's: it is shown escaped, in ASCII."""
        content = json.dumps(self.document(), allow_nan=False).encode("ascii")
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these codes, an example for each."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[CODES[code][0]].append(code)
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in alike)}",
            "content": {
                MEDIA_TYPE: {
                    "schema": SCHEMA,
                    "examples": {code: {"value": Problem(code).document()} for code in alike},
                }
            },
        }
        for status, alike in sorted(by_status.items())
    }
