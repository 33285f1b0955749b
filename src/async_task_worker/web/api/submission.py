"""From a checked body to a task that waits for its slot."""

from __future__ import annotations

from typing import Any

from uuid_utils import uuid4

from ...exceptions import DuplicateTaskError, NotStorableError
from ..limits import Limits
from ..models.requests import TaskSubmission, size_of
from ..models.submitted_params import GivenParams
from ..models.task_types import TaskType, TaskTypes
from ..problems import Problem
from ..worker_protocol import WebWorker, WorkerFeatures
from .error_mapping import TOLD, problem_of
from .paths import RESERVED_IDS
from .task_renderer import TaskBodies


class Submissions:
    """Submits the tasks of one router.

    Args:
        worker: What runs them.
        types: What may be submitted.
        given: Where their params are kept.
        bodies: Knows what of them is not to be shown.
        limits: How large their parts may be.
    """

    def __init__(
        self, worker: WebWorker, types: TaskTypes, given: GivenParams, bodies: TaskBodies, limits: Limits
    ) -> None:
        self._worker = worker
        self._types = types
        self._given = given
        self._bodies = bodies
        self._limits = limits
        self._is_bounded = WorkerFeatures(worker).max_queue_size is not None

    async def submit(self, wanted: TaskSubmission, *, waits: bool = True) -> str:
        """Have the task run; return its id.

        Args:
            wanted: What was asked for.
            waits: Whether a full queue is waited for; else it refuses at once.

        Raises:
            Problem: It cannot be: nothing is left of it then.
        """
        task_type = self._types.get(wanted.task_type)
        try:
            return await self._submitted(task_type, wanted, waits)
        except Problem as problem:
            raise self._bodies.refused(problem, wanted, task_type.possible_secrets(wanted.params)) from None

    async def _submitted(self, task_type: TaskType, wanted: TaskSubmission, waits: bool) -> str:
        arguments = task_type.checked(wanted.params)
        if wanted.task_id in RESERVED_IDS:
            raise Problem("invalid_request", f"{wanted.task_id!r} cannot be a task's id: it names a path")
        if wanted.metadata and size_of(wanted.metadata) > self._limits.metadata:
            raise Problem("metadata_too_large", f"the metadata is over {self._limits.metadata} bytes")
        params = task_type.shown(wanted.params, arguments)
        task_id = wanted.task_id or str(uuid4())
        try:
            secrets = task_type.secrets(arguments)
            with self._given.coming(task_id, params, size_of(params) if params else 0, secrets):
                await self._submit(task_type.name, arguments, task_id, wanted, waits)
        except DuplicateTaskError:
            raise Problem(
                "task_id_conflict",
                f"a task {wanted.task_id!r} is known already; leave out task_id to have one made, or choose another",
            ) from None
        except TOLD as error:
            raise problem_of(error) from None
        except NotStorableError as error:
            raise _not_storable(error) from None
        except (TypeError, ValueError) as error:  # the function may have been registered anew, with other parameters
            raise Problem("invalid_params", str(error)) from None
        return task_id

    async def _submit(
        self, task_type: str, arguments: dict[str, Any], task_id: str, wanted: TaskSubmission, waits: bool
    ) -> None:
        bounded = {"queue_timeout": self._limits.queue_wait if waits else 0.0} if self._is_bounded else {}
        await self._worker.submit(
            task_type,
            (),
            arguments,
            priority=wanted.priority,
            task_id=task_id,
            metadata={"task_type": wanted.task_type, **(wanted.metadata or {})},
            timeout=wanted.timeout,
            use_cache=wanted.use_cache,
            cache_ttl=wanted.cache_ttl,
            **bounded,
        )


def _not_storable(error: NotStorableError) -> Problem:
    named = [] if error.parameter is None else [{"field": error.parameter, "message": error.args[0]}]
    return Problem("invalid_params", str(error), errors=named)
