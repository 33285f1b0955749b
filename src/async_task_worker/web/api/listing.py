"""Listing tasks: the filters of the query string, and the link to the next page."""

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
from ..models.page_cursors import BeyondWorker
from ..problems import Problem
from ..worker_protocol import WebWorker
from .paths import path_of

Shows = Callable[[TaskInfo], bool]

_LOOKED_AT_ONCE: Final = 50
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
    cursor: str | None = Field(
        default=None,
        max_length=10_000,
        description="`next_cursor` of the page before. The other filters have to stay the same; `limit` may change. "
        "A page can be short, or even empty, and still have a `next_cursor`: only a page without one is the last.",
    )


async def page_of(worker: WebWorker, filters: TaskFilters, shows: Shows | None, most_looks: int) -> TaskPage:
    """Return the page the filters ask for.

    Args:
        worker: Where to look.
        filters: What for.
        shows: Whether a task shows the text that is looked for; None if whatever has it also shows it.
        most_looks: About how many tasks may be looked at for that.

    Raises:
        Problem: The cursor is invalid, or the filters are not those of the page that returned it.
    """
    beyond = BeyondWorker.of(None if shows is None else filters.q, filters.older_than_minutes)
    try:
        cursor = beyond.take_off(filters.cursor)
        search = partial(
            worker.search_tasks,
            status=[*filters.status, *filters.task_status] or None,
            task_type=filters.task_type,
            before=_earliest(filters.created_before, beyond.before),
            after=filters.created_after,
        )
        if shows is None:
            page = await search(text=filters.q, limit=filters.limit, cursor=cursor)
        else:
            page = await shown(search, shows, limit=filters.limit, cursor=cursor, most_looks=most_looks)
    except (ValueError, OverflowError) as error:
        raise Problem("invalid_request" if filters.cursor is None else "invalid_cursor", str(error)) from None
    return TaskPage(page.tasks, beyond.put_on(page.next_cursor))


async def shown(
    search: Callable[..., Awaitable[TaskPage]],
    shows: Shows,
    *,
    limit: int,
    cursor: str | None = None,
    most_looks: int = sys.maxsize,
) -> TaskPage:
    """Return the newest tasks that show something, and the cursor of what was not looked at.

    Every task is looked at as it is shown, whatever is hidden in it. So neither the work nor
    where a page ends tells whether a hidden text was guessed. Other code has its turn after each.

    Args:
        search: Returns a page of the tasks to look at.
        shows: Whether a task is wanted.
        limit: How many are wanted at most.
        cursor: Where to begin.
        most_looks: About how many tasks are looked at. Then the page is short, or even empty.
    """
    found: list[TaskInfo] = []
    looks, steady = 0, True
    while True:
        room = limit - len(found)
        page = await search(limit=min(_LOOKED_AT_ONCE, most_looks) if steady else room, cursor=cursor)
        wanted = [index for index, info in enumerate(page.tasks) if await _looked_at(info, shows)]
        looks += max(1, len(page.tasks))
        if len(wanted) >= room and (end := wanted[room - 1] + 1) < len(page.tasks):
            part = await search(limit=end, cursor=cursor)  # for the cursor right behind the last one that has room
            if [info.id for info in part.tasks] != [info.id for info in page.tasks[:end]]:
                steady = False  # tasks came or went in between: go on in pieces that never hold too many
                continue
            page, wanted = part, wanted[:room]
        found += [page.tasks[index] for index in wanted]
        cursor = page.next_cursor
        if cursor is None or len(found) == limit or looks >= most_looks:
            return TaskPage(found, cursor)


async def _looked_at(info: TaskInfo, shows: Shows) -> bool:
    await asyncio.sleep(0)  # to look at a task as it is shown may take long
    return shows(info)


def next_link(request: Request, cursor: str) -> str:
    """Return the ``Link`` header that leads to the next page."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{path_of(request)}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
