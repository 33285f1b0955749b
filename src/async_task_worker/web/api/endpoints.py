"""The endpoints, one method each. A method's docstring is the description of its operation in the OpenAPI document."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from ...model.rendering import text
from ...model.status import COMPLETED, FAILED, TaskInfo
from ..events.event_log import EventLog
from ..events.stream import EventStreams
from ..limits import Limits
from ..models.requests import TaskAction, TaskBatch, TaskSubmission, read_body
from ..models.task_types import TaskTypes
from ..problems import Problem
from ..rendering.json_text import encode_json
from ..server_shutdown import ServerShutdown
from ..worker_protocol import WebWorker
from .bulk import BulkRequests
from .etags import etag_of, has_etag
from .health import WorkerReports
from .idempotency import IdempotencyKeys
from .listing import TaskFilters, next_link, search_page
from .long_polling import MAX_WAIT, LongPolling, preferred_wait
from .paths import task_id_from, task_path
from .route_class import is_head_request
from .scopes import CallerScopes
from .submission import TaskSubmitter
from .task_renderer import TaskRenderer

TaskId = Annotated[
    str,
    AfterValidator(task_id_from),
    Path(description="The task's id, percent-encoded.", examples=["nightly-2026-01-05"]),
]
Wait = Annotated[
    float, Query(ge=0.0, le=MAX_WAIT, allow_inf_nan=False, description="Seconds that the response may be delayed.")
]


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with a JSON body."""
    return Response(encode_json(body), status, headers, "application/json")


class Endpoints:
    """The endpoints of one router.

    Args:
        worker: The worker that is served.
        types: The task types that can be submitted.
        renderer: Renders tasks.
        submitter: Submits tasks.
        limits: Limits of requests.
        reports: Builds the bodies of health and statistics.
        shutdown: Ends waiting requests when the server shuts down.
        scopes: Identifies callers, for their idempotency keys.
    """

    def __init__(
        self,
        worker: WebWorker,
        types: TaskTypes,
        renderer: TaskRenderer,
        submitter: TaskSubmitter,
        limits: Limits,
        reports: WorkerReports,
        shutdown: ServerShutdown,
        scopes: CallerScopes,
    ) -> None:
        self._worker = worker
        self._types = types
        self._renderer = renderer
        self._submitter = submitter
        self._limits = limits
        self._reports = reports
        self._scopes = scopes
        self._bulk = BulkRequests(worker, submitter, renderer, limits)
        self._keys = IdempotencyKeys(limits.idempotency_keys, self._is_known)
        self._log = EventLog(worker, renderer.render_brief, self._reports.stats, limits)
        self._polling = LongPolling(worker, self._log, shutdown, self._require_info)
        self._streams = EventStreams(self._log, worker.fetch_task_info, shutdown, limits)

    async def submit_task(self, request: Request) -> Response:
        """Submit a task.

        Responds at once, or with `Prefer: wait` when the task has finished.
        """
        wanted = await read_body(request, TaskSubmission, self._limits)
        key, replayed = request.headers.get("idempotency-key"), False
        if key is None:
            task_id = await self._submitter.submit(wanted)
        else:
            body = json.dumps(wanted.model_dump(), sort_keys=True).encode("ascii")
            scope = await self._scopes.scope_of(request)
            task_id, replayed = await self._keys.run_once(scope, key, body, lambda: self._submitter.submit(wanted))
        headers = {"Location": task_path(request, task_id)}
        if (seconds := preferred_wait(request.headers.get("prefer"))) is not None:
            await self._polling.wait_for_end(task_id, seconds)
            headers["Preference-Applied"] = f"wait={seconds:.0f}"
        return json_response(
            self._renderer.render(await self._require_info(task_id)), 200 if replayed else 201, headers
        )

    async def list_tasks(self, request: Request, filters: Annotated[TaskFilters, Query()]) -> Response:
        """List tasks, newest first, a page at a time.

        A page may be short, or even empty, and still have a `next_cursor`: a search that finds
        little stops before it takes too long. Only a page without a `next_cursor` is the last.
        The filters must be the same for every page.
        """
        wanted = filters.q if self._renderer.may_redact(filters.task_type) else None
        is_visible = (lambda info: self._renderer.is_text_visible(info, wanted)) if wanted else None
        page = await search_page(self._worker, filters, is_visible, self._limits.searched)
        bodies = await self._renderer.render_page(page.tasks)
        tasks = [
            body | {"href": _visible_href(request, body, info)} for body, info in zip(bodies, page.tasks, strict=True)
        ]
        body = {"tasks": tasks, "count": len(tasks), "next_cursor": page.next_cursor}
        headers = None if page.next_cursor is None else {"Link": next_link(request, page.next_cursor)}
        return json_response(body, headers=headers)

    async def list_task_types(self) -> Response:
        """List the task types that can be submitted, with a schema of their params."""
        types = self._types.exposed_types()
        return json_response(
            {"task_types": [found.name for found in types], "types": [found.body() for found in types]}
        )

    async def submit_batch(self, request: Request) -> Response:
        """Submit many tasks, each independently: some may be refused."""
        return json_response(await self._bulk.submit(await self._read(request, TaskBatch)))

    async def act_on_tasks(self, request: Request) -> Response:
        """Cancel many tasks, selected by their ids or by a query."""
        return json_response(await self._bulk.act(await self._read(request, TaskAction)))

    async def get_task(self, request: Request, task_id: TaskId, wait: Wait = 0.0) -> Response:
        """Return a task.

        With `wait` the response is sent when the task has finished. With `wait` and
        `If-None-Match` it is sent when anything about the task has changed.
        """
        info = await self._require_info(task_id)
        known_tags = request.headers.get("if-none-match")
        if wait and not info.finished:
            if known_tags is None:
                await self._polling.wait_for_end(task_id, wait)
            elif has_etag(known_tags, info):
                await self._polling.wait_for_change(info.id, known_tags, wait)
            info = await self._require_info(task_id)
        headers = {"ETag": etag_of(info), "Cache-Control": "no-cache"}
        if known_tags is not None and has_etag(known_tags, info):
            return Response(status_code=304, headers=headers)
        return json_response(self._renderer.render(info), headers=headers)

    async def delete_task(self, task_id: TaskId) -> Response:
        """Cancel a task, unless it has finished. Its record is kept."""
        await self._require_info(task_id)
        await self._worker.cancel_task(task_id)
        return Response(status_code=204)

    async def cancel_task(self, task_id: TaskId) -> Response:
        """Cancel a task and return it."""
        info = await self._require_info(task_id)
        if info.finished or not await self._worker.cancel_task(task_id):
            info = await self._require_info(task_id)
            raise Problem(
                "task_finished",
                f"the task is {info.status} already, and a finished task cannot be cancelled",
                task_id=task_id,
            )
        return json_response(self._renderer.render(await self._require_info(task_id)), 202)

    async def get_task_result(self, task_id: TaskId, wait: Wait = 0.0) -> Response:
        """Return the result of a task, and nothing else."""
        info = await self._require_info(task_id)
        if wait and not info.finished:
            await self._polling.wait_for_end(task_id, wait)
            info = await self._require_info(task_id)
        if info.result_dropped:
            raise Problem("result_dropped", "results exceeded the memory limit of the worker", task_id=task_id)
        if info.status is COMPLETED:
            return json_response(self._renderer.result_of(info))
        if info.status is FAILED:
            raise Problem("task_failed", self._renderer.error_of(info), task_id=task_id)
        raise Problem("task_cancelled" if info.finished else "not_finished", task_id=task_id)

    async def follow_task(self, request: Request, task_id: TaskId) -> Response:
        """Stream the events of a task until it finishes (server-sent events)."""
        if is_head_request(request):
            await self._require_info(task_id)
            return Response(media_type="text/event-stream")
        return await self._streams.respond(request.headers.get("last-event-id") or None, task_id)

    async def follow_everything(self, request: Request) -> Response:
        """Stream the events of all tasks (server-sent events)."""
        if is_head_request(request):
            return Response(media_type="text/event-stream")
        return await self._streams.respond(request.headers.get("last-event-id") or None)

    async def get_stats(self) -> Response:
        """Return how many tasks there are in each status, and how many slots are busy."""
        streams = {"open": self._log.open_streams, "last_seq": self._log.seq}
        return json_response({**self._reports.stats(), "streams": streams})

    async def get_cache(self) -> Response:
        """Return the settings and statistics of the result cache."""
        return json_response(self._reports.cache())

    async def clear_cache(self) -> Response:
        """Remove every cached result."""
        await self._reports.clear_cache()
        return Response(status_code=204)

    async def check_health(self) -> Response:
        """Return the health of the worker: 503 if it does not accept tasks."""
        status, body = self._reports.health()
        return json_response(body, status)

    async def check_liveness(self) -> Response:
        """Respond while the event loop runs."""
        return json_response({"status": "alive"})

    async def check_readiness(self) -> Response:
        """Return whether to send requests here: 503 while the worker does not run or the server shuts down."""
        status, body = self._reports.readiness()
        return json_response(body, status)

    async def refuse_path(self, request: Request) -> Response:
        """Refuse an unknown path below ``/tasks/``."""
        has_slash = "/" in request.path_params["rest"]
        raise Problem("path_not_found", "a slash in a task id must be written as %2F" if has_slash else None)

    async def _read(self, request: Request, model: type[Any]) -> Any:
        return await read_body(request, model, self._limits)

    async def _require_info(self, task_id: str) -> TaskInfo:
        info = await self._worker.fetch_task_info(task_id)
        if info is None:
            raise Problem("task_not_found", f"no task {task_id!r} is known here", task_id=task_id)
        return info

    async def _is_known(self, task_id: str) -> bool:
        return await self._worker.fetch_task_info(task_id) is not None


def _visible_href(request: Request, body: dict[str, Any], info: TaskInfo) -> str | None:
    """Return the path of a listed task; None if its id is redacted."""
    return task_path(request, info.id) if body.get("id") == text(info.id) else None
