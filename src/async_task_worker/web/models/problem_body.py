"""The form of a problem document, as one component of the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from .. import problems
from ..problems import CODES, MEDIA_TYPE


class ProblemError(BaseModel):
    """One fault of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A URI reference; `about:blank` stands for no more than the title.")
    title: str
    status: int
    code: str = Field(description="Names the problem; it never changes.")
    detail: str | None = Field(default=None, description="What is the matter with this very request.")
    errors: list[ProblemError] | None = None
    task_id: str | None = None


class ProblemContent(dict[str, Any]):
    """The ``content`` of a response that is a problem document.

    FastAPI puts the schema of a response's model under the media type of the route, which is
    that of its successful answers. Here it goes under the one of problem documents.
    """

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        """Return the part of the media type of problem documents, whichever is asked for."""
        return super().setdefault(MEDIA_TYPE if "/" in key else key, default)


UNAVAILABLE: Final = ("not_running", "wrong_process", "wrong_event_loop", "storage_failed")
"""Codes that any endpoint can answer with, except those about the worker's health."""


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these codes, an example for each."""
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
