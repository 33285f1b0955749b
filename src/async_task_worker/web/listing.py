"""Listing tasks: the filters of the query string, and the link to the next page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final, Protocol
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from ..search import TaskPage
from ..status import TaskInfo, TaskStatus
from .problems import Problem

_OLDEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_PLAIN_IN_PATHS: Final = "/:@!$&'()*+,;=~"
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_PLUS_READ_AS_SPACE: Final = re.compile(r"(?<=\d) (?=\d\d:\d\d$)")
"""``+`` in a query string, unless it was escaped, where an offset begins."""


def _written_out(moment: object) -> object:
    """Return the text of a moment. A bare number, which would pass for seconds since 1970, is none."""
    if not isinstance(moment, str) or not _DATE_TIME.match(moment):
        raise ValueError("must be a date and time such as 2026-01-05T12:00:00Z")
    return _PLUS_READ_AS_SPACE.sub("+", moment)


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class TaskFilters(BaseModel):
    """Which tasks to list."""

    model_config = ConfigDict(extra="forbid")

    status: list[TaskStatus] = Field(default=[], description="One of these; may be repeated.")
    task_status: list[TaskStatus] = Field(default=[], description="The same under its older name.")
    task_type: str | None = Field(default=None, max_length=200)
    q: str | None = Field(
        default=None, max_length=200, description="Occurs in the id, the type, the error or a value of the metadata."
    )
    created_after: Moment | None = None
    created_before: Moment | None = None
    older_than_minutes: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=1000, description="`next_cursor` of the page before.")


class Searchable(Protocol):
    """What listing needs of a worker."""

    async def search_tasks(self, **query: Any) -> TaskPage:
        """Return a page of tasks."""
        ...


async def page_of(worker: Searchable, filters: TaskFilters, shows: Callable[[TaskInfo], bool] | None) -> TaskPage:
    """Return the page the filters ask for.

    Args:
        worker: Where to look.
        filters: What for.
        shows: Whether a task shows what was looked for; None if every one that is found does.

    Raises:
        Problem: The cursor is none.
    """
    search = worker.search_tasks if shows is None else partial(shown, worker, shows)
    try:
        return await search(
            status=[*filters.status, *filters.task_status] or None,
            task_type=filters.task_type,
            text=filters.q,
            before=_earliest(filters.created_before, _ago(filters.older_than_minutes)),
            after=filters.created_after,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    except (ValueError, OverflowError) as error:
        raise Problem("invalid_cursor" if filters.cursor else "invalid_request", str(error)) from None


async def shown(
    worker: Searchable, shows: Callable[[TaskInfo], bool], *, limit: int, cursor: str | None = None, **query: Any
) -> TaskPage:
    """Return the newest tasks that match and show it: as many as asked for, or all there are.

    Those that match in what is hidden leave no gap: a page too short, or a cursor behind an
    empty one, would tell that a guess of a secret was right.
    """
    found: list[TaskInfo] = []
    while True:
        page = await worker.search_tasks(**query, limit=limit - len(found), cursor=cursor)
        for info in page.tasks:
            if shows(info):
                found.append(info)
            await asyncio.sleep(0)  # to look at a task as it is shown may take long
        cursor = page.next_cursor
        if cursor is None or len(found) == limit:
            return TaskPage(found, cursor)


def next_link(request: Request, cursor: str) -> str:
    """Return the ``Link`` header that leads to the next page."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{path_of(request)}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'


def path_of(request: Request) -> str:
    """Return the request's path as its client wrote it, with what a proxy may have taken off its front."""
    path, root = request.scope["path"], request.scope.get("root_path", "").rstrip("/")
    if not f"{path}/".startswith(f"{root}/"):
        path = root + path
    return quote(path, safe=_PLAIN_IN_PATHS)


def _ago(minutes: float | None) -> datetime | None:
    if minutes is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(minutes=minutes)
    except OverflowError:
        return _OLDEST


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
