"""Submission of tasks: from a validated request body to a task in the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uuid_utils import uuid4

from ...exceptions import DuplicateTaskError, NotStorableError
from ..limits import Limits
from ..models.requests import TaskSubmission, approximate_size
from ..models.submitted_params import SubmittedParams
from ..models.task_types import TaskType, TaskTypes
from ..problems import Problem
from ..worker_protocol import WebWorker, WorkerFeatures
from .error_mapping import MAPPED_ERRORS, problem_of
from .paths import RESERVED_IDS
from .task_renderer import TaskRenderer


class TaskSubmitter:
    """Submits the tasks of one router.

    Args:
        worker: The worker that runs the tasks.
        types: The task types that can be submitted.
        submitted_params: Keeps the params of the tasks.
        renderer: Redacts the problems of refused tasks.
        limits: Limits of a submission.
    """

    def __init__(
        self,
        worker: WebWorker,
        types: TaskTypes,
        submitted_params: SubmittedParams,
        renderer: TaskRenderer,
        limits: Limits,
    ) -> None:
        self._worker = worker
        self._types = types
        self._submitted_params = submitted_params
        self._renderer = renderer
        self._limits = limits
        self._has_capacity_limit = WorkerFeatures(worker).max_queue_size is not None

    async def submit(self, request: TaskSubmission, *, wait_for_capacity: bool = True) -> str:
        """Submit the task; return its id.

        Args:
            request: The checked body of the request.
            wait_for_capacity: Whether to wait for capacity in a full queue; otherwise it refuses at once.

        Raises:
            Problem: The task is refused, and nothing of it is kept.
        """
        task_type = self._types.get(request.task_type)
        try:
            return await self._validate_and_submit(task_type, request, wait_for_capacity)
        except Problem as problem:
            raise self._renderer.redact_problem(problem, request, task_type.possible_secrets(request.params)) from None

    async def _validate_and_submit(self, task_type: TaskType, request: TaskSubmission, wait_for_capacity: bool) -> str:
        arguments = task_type.parse_arguments(request.params)
        if request.task_id in RESERVED_IDS:
            raise Problem(
                "invalid_request", f"the task_id {request.task_id!r} is reserved: a path of the HTTP API has this name"
            )
        if request.metadata and approximate_size(request.metadata) > self._limits.metadata:
            raise Problem("metadata_too_large", f"the metadata is over {self._limits.metadata} bytes")
        params = task_type.render_params(request.params, arguments)
        task_id = request.task_id or str(uuid4())
        with _problems_of_submission(request.task_id):
            secrets = task_type.secrets_in(arguments)
            size = approximate_size(params) if params else 0
            with self._submitted_params.pending(task_id, params, size, secrets):
                await self._submit(task_type.name, arguments, task_id, request, wait_for_capacity)
        return task_id

    async def _submit(
        self, task_type: str, arguments: dict[str, Any], task_id: str, request: TaskSubmission, wait_for_capacity: bool
    ) -> None:
        capacity_options = {}
        if self._has_capacity_limit:
            capacity_options["queue_timeout"] = self._limits.queue_wait if wait_for_capacity else 0.0
        await self._worker.submit(
            task_type,
            (),
            arguments,
            priority=request.priority,
            task_id=task_id,
            metadata={"task_type": request.task_type, **(request.metadata or {})},
            timeout=request.timeout,
            use_cache=request.use_cache,
            cache_ttl=request.cache_ttl,
            **capacity_options,
        )


@contextmanager
def _problems_of_submission(task_id: str | None) -> Iterator[None]:
    """Raise the errors of a submission as problems."""
    try:
        yield
    except DuplicateTaskError:
        raise Problem(
            "task_id_conflict",
            f"a task {task_id!r} exists already; omit task_id for a generated one, or choose another",
        ) from None
    except MAPPED_ERRORS as error:
        raise problem_of(error) from None
    except NotStorableError as error:
        raise _not_storable(error) from None
    # Another function, with other parameters, may have been registered under the name since the params were checked.
    except (TypeError, ValueError) as error:
        raise Problem("invalid_params", str(error)) from None


def _not_storable(error: NotStorableError) -> Problem:
    errors = [] if error.parameter is None else [{"field": error.parameter, "message": error.args[0]}]
    return Problem("invalid_params", str(error), errors=errors)
