"""Bulk requests: batches of submissions, and actions on many tasks by id or by query."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

from ...model.query import TaskPage
from ...model.status import PENDING, RUNNING, TaskInfo
from ..limits import Limits
from ..models.page_cursors import CursorExtension
from ..models.requests import TaskAction, TaskBatch, TaskSelection
from ..problems import Problem
from ..worker_protocol import WebWorker
from .listing import visible_page
from .submission import TaskSubmitter
from .task_renderer import TaskRenderer


class BulkRequests:
    """Executes batches and actions.

    Args:
        worker: The worker that has the tasks.
        submitter: Submits each task of a batch.
        renderer: Renders the submitted tasks.
        limits: How many tasks one request may have.
    """

    def __init__(self, worker: WebWorker, submitter: TaskSubmitter, renderer: TaskRenderer, limits: Limits) -> None:
        self._worker = worker
        self._submitter = submitter
        self._renderer = renderer
        self._limits = limits

    async def submit(self, batch: TaskBatch) -> dict[str, Any]:
        """Submit each task independently; return the outcomes.

        Only one submission waits in vain for capacity in a full queue; the ones after it do not wait.
        """
        results: list[dict[str, Any]] = []
        wait_for_capacity = True
        for request in batch.tasks:
            try:
                task_id = await self._submitter.submit(request, wait_for_capacity=wait_for_capacity)
            except Problem as problem:
                wait_for_capacity = wait_for_capacity and problem.code != "queue_full"
                results.append({"status": problem.status, "problem": problem.document()})
                continue
            info = await self._worker.fetch_task_info(task_id)
            results.append({"status": 201, "task": None if info is None else self._renderer.render_brief(info)})
        accepted = sum("task" in result for result in results)
        return {"results": results, "count": len(results), "accepted": accepted}

    async def act(self, request: TaskAction) -> dict[str, Any]:
        """Apply the action to each of the tasks; return the outcomes."""
        if ("ids" in request.model_fields_set) == ("query" in request.model_fields_set):
            raise Problem("invalid_request", "give either ids or a query, not both")
        ids, next_cursor = await self._select(request)
        outcomes = await asyncio.gather(*(self._cancel(task_id, request.dry_run) for task_id in ids))
        results = [{"id": task_id, "outcome": outcome} for task_id, outcome in zip(ids, outcomes, strict=True)]
        return {
            "action": request.action,
            "dry_run": request.dry_run,
            "results": results,
            "count": len(results),
            "more": next_cursor is not None,
            "next_cursor": next_cursor,
        }

    async def _select(self, request: TaskAction) -> tuple[list[str], str | None]:
        """Return the ids of the tasks to act on, and the cursor of the tasks that were not reached."""
        if "ids" in request.model_fields_set:
            return list(dict.fromkeys(request.ids)), None
        selection = request.query
        try:
            page = await self._search(selection)
        except (ValueError, OverflowError) as error:
            raise Problem("invalid_request" if selection.cursor is None else "invalid_cursor", str(error)) from None
        return [info.id for info in page.tasks], page.next_cursor

    async def _search(self, selection: TaskSelection) -> TaskPage:
        """Return the newest matching tasks, up to ``Limits.batch``.

        A text is searched in redacted bodies, of at most ``Limits.searched`` tasks.
        """
        hidden = selection.q if self._renderer.may_redact(selection.task_type) else None
        extension = CursorExtension.for_filters(hidden or None)
        search = partial(
            self._worker.search_tasks,
            status=selection.status or [PENDING, RUNNING],  # finished tasks cannot be cancelled
            task_type=selection.task_type,
            text=None if hidden else selection.q,
        )
        is_visible = (lambda info: self._renderer.is_text_visible(info, hidden)) if hidden else _always
        page = await visible_page(
            search,
            is_visible,
            limit=self._limits.batch,
            cursor=extension.strip_extension(selection.cursor),
            max_scanned=self._limits.searched if hidden else sys.maxsize,
        )
        return TaskPage(page.tasks, extension.extend(page.next_cursor))

    async def _cancel(self, task_id: str, dry_run: bool) -> str:
        info = await self._worker.fetch_task_info(task_id)
        if info is None:
            return "not_found"
        if info.finished:
            return "already_finished"
        if dry_run:
            return "would_cancel"
        return "cancelled" if await self._worker.cancel_task(task_id) else "not_cancelled"


def _always(_: TaskInfo) -> bool:
    return True
