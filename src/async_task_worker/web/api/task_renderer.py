"""Task bodies as they are shown over HTTP and in events: bounded, and with secrets hidden."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from ...model.registry import get_all_task_types
from ...model.rendering import clipped, rendered
from ...model.secret_values import HIDDEN
from ...model.status import FAILED, TaskInfo, document_of
from ..limits import Limits
from ..models.requests import TaskSubmission
from ..models.submitted_params import GivenParams
from ..models.task_types import TaskTypes
from ..problems import Problem
from ..rendering.redaction import QUOTING, REDACTED, UNKNOWN_QUOTING, Redact, SafeRedact, cut_out, hide_quotes

_BULKY: Final = ("params", "metadata", "result", "progress_detail")
_UNPROCESSABLE: Final = 422
_ALL: Final = 16 << 20
"""Characters a redaction gets to see of a field; what is larger it is told is too large."""


class TaskBodies:
    """Makes the bodies of one router's tasks.

    Args:
        limits: How large the parts may be.
        given: The params of tasks submitted over HTTP.
        types: Tell which params are secret.
        redact: Sees every body last; None for nobody.
        show_tracebacks: Whether an error's traceback is part of its detail.
    """

    def __init__(
        self, limits: Limits, given: GivenParams, types: TaskTypes, redact: Redact | None, show_tracebacks: bool
    ) -> None:
        self._limits = limits
        self._given = given
        self._types = types
        self._redact = None if redact is None else SafeRedact(redact)
        self._show_tracebacks = show_tracebacks

    def redacts(self, task_type: str | None = None) -> bool:
        """Whether something may be kept out of what is shown of tasks, or of those of one type."""
        with_secrets = self._given.added.with_secrets
        if self._redact is not None or (with_secrets if task_type is None else task_type in with_secrets):
            return True
        return any(map(self._types.hides, get_all_task_types() if task_type is None else [task_type]))

    def full(self, info: TaskInfo) -> dict[str, Any]:
        """Return the body of a task that is shown by itself."""
        return self._body(info, self._limits.result)

    def brief(self, info: TaskInfo) -> dict[str, Any]:
        """Return the body of a task among others: large parts are placeholders."""
        return self._body(info, self._limits.listed)

    async def listed(self, infos: list[TaskInfo]) -> list[dict[str, Any]]:
        """Return the brief bodies of a page, and let others have their turn where that takes long."""
        bodies, redacts = [], self.redacts()
        for info in infos:
            bodies.append(self.brief(info))
            if redacts:  # it sees each whole, results of megabytes too
                await asyncio.sleep(0)
        return bodies

    def shows(self, info: TaskInfo, wanted: str) -> bool:
        """Whether a text occurs in what is shown of a task: a search must not tell what is redacted."""
        body = self._redacted(info, _ALL)
        metadata = body.get("metadata")
        values = metadata.values() if isinstance(metadata, dict) else (metadata,)
        texts = (body.get("id"), body.get("task_type"), body.get("error"), *values)
        wanted = wanted.casefold()
        return any(isinstance(found, str) and wanted in found.casefold() for found in texts)

    def result(self, info: TaskInfo) -> Any:
        """Return a completed task's result alone; None if a redaction leaves it out."""
        return self.full(info).get("result")

    def error(self, info: TaskInfo) -> str | None:
        """Return a failed task's error alone; None if a redaction leaves it out."""
        error: str | None = self.full(info).get("error")
        return error

    def _body(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        if self._redact is None and not self._may_quote_secrets(info):
            return self._shown(info, limit)
        body = self._redacted(info, max(limit, _ALL))
        for part in _BULKY:
            if body.get(part) is not None:
                body[part] = rendered(body[part], limit)
        if isinstance(body.get("error"), str):
            body["error"] = clipped(body["error"], limit)
        return body

    def _shown(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        return document_of(info, limit, self._given.of(info.id), include_traceback=self._show_tracebacks)

    def refused(self, problem: Problem, wanted: TaskSubmission, secrets: frozenset[str]) -> Problem:
        """Return the problem of a submission without what is not to be shown of that.

        A redaction is asked what it would show of a task with these params that failed with this text.
        """
        if problem.status != _UNPROCESSABLE or (self._redact is None and not secrets):
            return problem

        detail = None if problem.detail is None else self._hidden(problem.detail, wanted, secrets)
        members = dict(problem.members)
        if "errors" in members:
            members["errors"] = [
                {
                    "field": self._hidden_keys(one["field"], wanted, secrets),
                    "message": self._hidden(one["message"], wanted, secrets),
                }
                for one in members["errors"]
            ]
        return Problem(problem.code, detail, headers=problem.headers, **members)

    def _hidden(self, message: str, wanted: TaskSubmission, secrets: frozenset[str]) -> str:
        body = cut_out(_failed(wanted, message), secrets, HIDDEN)
        if self._redact is not None:
            body = self._redact(body)
        error = body.get("error")
        return REDACTED if error is None else str(error)

    def _hidden_keys(self, field: str, wanted: TaskSubmission, secrets: frozenset[str]) -> str:
        """Return where an error is without the keys of objects that are not to be shown; the param itself may be."""
        param, dot, keys = field.partition(".")
        return f"{param}.{self._hidden(keys, wanted, secrets)}" if dot else field

    def _may_quote_secrets(self, info: TaskInfo) -> bool:
        secrets = self._given.secrets_of(info.id)
        return bool(secrets) or (secrets is None and self._types.hides(info.name))

    def _redacted(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        """Return the body without what is secret by its type, and then as the redaction leaves it."""
        body = self._shown(info, limit)
        secrets = self._given.secrets_of(info.id)
        if secrets:
            body = cut_out(body, secrets, HIDDEN)
        elif secrets is None and self._types.hides(info.name):
            known = self._given.of(info.id) is not None
            body = hide_quotes(body, HIDDEN, QUOTING if known else UNKNOWN_QUOTING)
        return body if self._redact is None else self._redact(body)


def _failed(wanted: TaskSubmission, error: str) -> dict[str, Any]:
    """Return the body of a task that was wanted like this and failed at once."""
    now = datetime.now(UTC)
    info = TaskInfo(
        id=wanted.task_id or "",
        name=wanted.task_type,
        status=FAILED,
        phase=None,
        created_at=now,
        started_at=None,
        completed_at=now,
        progress=0.0,
        progress_detail=None,
        result=None,
        error=error,
        error_detail=None,
        metadata={**(wanted.metadata or {})},
        priority=wanted.priority,
        attempt=0,
        from_cache=False,
        revision=0,
    )
    return document_of(info, _ALL, wanted.params)
