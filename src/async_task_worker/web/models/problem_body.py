"""The schema of problem documents, a component of the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from .. import problems
from ..problems import CODES, MEDIA_TYPE


class ProblemError(BaseModel):
    """One invalid field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 defines it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A URI reference; `about:blank` means that there is no more than the title.")
    title: str
    status: int
    code: str = Field(description="Identifies the kind of problem; it never changes.")
    detail: str | None = Field(default=None, description="What is wrong with this particular request.")
    errors: list[ProblemError] | None = None
    task_id: str | None = None


class ProblemContent(dict[str, Any]):
    """The ``content`` of a response that is a problem document.

    FastAPI puts the schema of a response's model under the media type of the route, which is
    that of its successful responses. This dict puts it under the media type of problem documents.
    """

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        """Return the entry of the media type of problem documents, whatever media type *key* is."""
        return super().setdefault(MEDIA_TYPE if "/" in key else key, default)


UNAVAILABLE: Final = ("not_running", "wrong_process", "wrong_event_loop", "storage_failed")
"""Codes that every endpoint may respond with, except the health endpoints."""


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these codes, with an example for each."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[CODES[code][0]].append(code)
    return {
        status: {
            "model": Problem,
            "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in same_status)}",
            "content": ProblemContent(
                {MEDIA_TYPE: {"examples": {code: {"value": problems.Problem(code).document()} for code in same_status}}}
            ),
        }
        for status, same_status in sorted(by_status.items())
    }
