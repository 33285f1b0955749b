"""Listing of tasks: the filters of the query string, searching in redacted bodies, and the link to the next page."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlencode

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from ...model.query import TaskPage
from ...model.status import TaskInfo, TaskStatus
from ..models.page_cursors import CursorExtension
from ..problems import Problem
from ..worker_protocol import WebWorker
from .paths import request_path

IsVisible = Callable[[TaskInfo], bool]

_CHUNK: Final = 50
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_PLUS_READ_AS_SPACE: Final = re.compile(r"(?<=\d) (?=\d\d:\d\d$)")
"""The space before an offset such as ``01:00``: an unescaped ``+`` in a query string is read as a space."""


def _check_date_time(moment: object) -> object:
    """Return the text of a date and time; refuse a bare number, which pydantic reads as seconds since 1970."""
    if not isinstance(moment, str) or not _DATE_TIME.match(moment):
        raise ValueError("must be a date and time such as 2026-01-05T12:00:00Z")
    return _PLUS_READ_AS_SPACE.sub("+", moment)


Moment = Annotated[AwareDatetime, BeforeValidator(_check_date_time)]


class TaskFilters(BaseModel):
    """Which tasks to list."""

    model_config = ConfigDict(extra="forbid")

    status: list[TaskStatus] = Field(default=[], description="One of these values; may be repeated.")
    task_status: list[TaskStatus] = Field(default=[], description="Older name of `status`.")
    task_type: str | None = Field(default=None, max_length=200, description="Only tasks of this type.")
    q: str | None = Field(
        default=None, max_length=200, description="A text in the id, the type, the error or a value of the metadata."
    )
    created_after: Moment | None = Field(default=None, description="Only tasks added at this time or later.")
    created_before: Moment | None = Field(default=None, description="Only tasks added before this time.")
    older_than_minutes: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(
        default=None,
        max_length=10_000,
        description="`next_cursor` of the previous page. The filters must be the same; `limit` may change. "
        "A page may be short, or even empty, and still have a `next_cursor`: only a page without one is the last.",
    )


async def search_page(
    worker: WebWorker, filters: TaskFilters, is_visible: IsVisible | None, max_scanned: int
) -> TaskPage:
    """Return the page that the filters select.

    Args:
        worker: The worker to search.
        filters: Which tasks to return.
        is_visible: Whether the searched text occurs in what is shown of a task; None if the worker can decide that.
        max_scanned: About how many tasks may be rendered for *is_visible*.

    Raises:
        Problem: The cursor is invalid, or belongs to other filters.
    """
    extension = CursorExtension.for_filters(None if is_visible is None else filters.q, filters.older_than_minutes)
    try:
        cursor = extension.strip_extension(filters.cursor)
        search = partial(
            worker.search_tasks,
            status=[*filters.status, *filters.task_status] or None,
            task_type=filters.task_type,
            before=_earliest(filters.created_before, extension.before),
            after=filters.created_after,
        )
        if is_visible is None:
            page = await search(text=filters.q, limit=filters.limit, cursor=cursor)
        else:
            page = await visible_page(search, is_visible, limit=filters.limit, cursor=cursor, max_scanned=max_scanned)
    except (ValueError, OverflowError) as error:
        raise Problem("invalid_request" if filters.cursor is None else "invalid_cursor", str(error)) from None
    return TaskPage(page.tasks, extension.extend(page.next_cursor))


async def visible_page(
    search: Callable[..., Awaitable[TaskPage]],
    is_visible: IsVisible,
    *,
    limit: int,
    cursor: str | None = None,
    max_scanned: int = sys.maxsize,
) -> TaskPage:
    """Return the newest visible tasks, and the cursor of the tasks that were not checked.

    Every task is checked in its redacted form, whatever is hidden in it. So neither the time nor the
    end of a page reveals whether a hidden text was guessed. The event loop runs other code after each task.

    Args:
        search: Returns a page of the tasks to check.
        is_visible: Whether to return a task.
        limit: How many tasks to return at most.
        cursor: Where to begin; None for the newest task.
        max_scanned: About how many tasks to check; when these are not enough the page is short, or even empty.
    """
    found: list[TaskInfo] = []
    scanned, is_stable = 0, True
    while True:
        capacity = limit - len(found)
        page = await search(limit=min(_CHUNK, max_scanned) if is_stable else capacity, cursor=cursor)
        visible = [index for index, info in enumerate(page.tasks) if await _check_visible(info, is_visible)]
        scanned += max(1, len(page.tasks))
        if len(visible) >= capacity and (end := visible[capacity - 1] + 1) < len(page.tasks):
            part = await search(limit=end, cursor=cursor)  # for the cursor right after the last task of the page
            if [info.id for info in part.tasks] != [info.id for info in page.tasks[:end]]:
                is_stable = False  # tasks were added or removed: continue with chunks that cannot exceed the capacity
                continue
            page, visible = part, visible[:capacity]
        found += [page.tasks[index] for index in visible]
        cursor = page.next_cursor
        if cursor is None or len(found) == limit or scanned >= max_scanned:
            return TaskPage(found, cursor)


async def _check_visible(info: TaskInfo, is_visible: IsVisible) -> bool:
    await asyncio.sleep(0)  # rendering and redacting a task may take long
    return is_visible(info)


def next_link(request: Request, cursor: str) -> str:
    """Return the ``Link`` header of the next page."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{request_path(request)}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
