"""Response bodies of tasks: bounded in size, with secrets removed."""

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
from ..models.submitted_params import SubmittedParams
from ..models.task_types import TaskTypes
from ..problems import Problem
from ..rendering.redaction import (
    QUOTING_FIELDS,
    REDACTED,
    UNKNOWN_QUOTING_FIELDS,
    Redact,
    SafeRedaction,
    hide_quoting_fields,
    remove_texts,
)

_BULKY_FIELDS: Final = ("params", "metadata", "result", "progress_detail")
_UNPROCESSABLE: Final = 422
_MAX_REDACTED: Final = 16 << 20
"""Characters of a field that are redacted; a larger field is replaced by a placeholder first."""


class TaskRenderer:
    """Renders the tasks of one router as JSON data, for responses and events.

    Args:
        limits: How large the fields of a body may be.
        submitted_params: The params of tasks.
        types: The task types, which know the secret params.
        redact: The user's redaction, applied to every body last; None for none.
        show_tracebacks: Whether the detail of an error has its traceback.
    """

    def __init__(
        self,
        limits: Limits,
        submitted_params: SubmittedParams,
        types: TaskTypes,
        redact: Redact | None,
        show_tracebacks: bool,
    ) -> None:
        self._limits = limits
        self._submitted_params = submitted_params
        self._types = types
        self._redact = None if redact is None else SafeRedaction(redact)
        self._show_tracebacks = show_tracebacks

    def may_redact(self, task_type: str | None = None) -> bool:
        """Whether the bodies of tasks, or of tasks of one type, may have something removed."""
        with_secrets = self._submitted_params.added.functions_with_secrets
        if self._redact is not None or (with_secrets if task_type is None else task_type in with_secrets):
            return True
        return any(map(self._types.has_secret_params, get_all_task_types() if task_type is None else [task_type]))

    def render(self, info: TaskInfo) -> dict[str, Any]:
        """Return the body of a single task."""
        return self._body(info, self._limits.result)

    def render_brief(self, info: TaskInfo) -> dict[str, Any]:
        """Return the body of a task among others, with placeholders for large fields."""
        return self._body(info, self._limits.listed)

    async def render_page(self, infos: list[TaskInfo]) -> list[dict[str, Any]]:
        """Return the brief bodies of a page; yield to the event loop in between if they are redacted."""
        bodies, redacts = [], self.may_redact()
        for info in infos:
            bodies.append(self.render_brief(info))
            if redacts:  # a redaction reads the whole task, which may have a result of megabytes
                await asyncio.sleep(0)
        return bodies

    def is_text_visible(self, info: TaskInfo, text: str) -> bool:
        """Whether *text* occurs in the redacted body of a task: a search must not reveal what is redacted."""
        body = self._redacted(info, _MAX_REDACTED)
        metadata = body.get("metadata")
        values = metadata.values() if isinstance(metadata, dict) else (metadata,)
        texts = (body.get("id"), body.get("task_type"), body.get("error"), *values)
        text = text.casefold()
        return any(isinstance(found, str) and text in found.casefold() for found in texts)

    def result_of(self, info: TaskInfo) -> Any:
        """Return the redacted result of a completed task; None if the redaction removed it."""
        return self.render(info).get("result")

    def error_of(self, info: TaskInfo) -> str | None:
        """Return the redacted error of a failed task; None if the redaction removed it."""
        error: str | None = self.render(info).get("error")
        return error

    def _body(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        if self._redact is None and not self._may_quote_secrets(info):
            return self._document(info, limit)
        body = self._redacted(info, max(limit, _MAX_REDACTED))
        for part in _BULKY_FIELDS:
            if body.get(part) is not None:
                body[part] = rendered(body[part], limit)
        if isinstance(body.get("error"), str):
            body["error"] = clipped(body["error"], limit)
        return body

    def _document(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        return document_of(
            info, limit, self._submitted_params.params_of(info.id), include_traceback=self._show_tracebacks
        )

    def redact_problem(self, problem: Problem, submission: TaskSubmission, secrets: frozenset[str]) -> Problem:
        """Return the problem of a refused submission with its secrets removed.

        Each text is redacted as the error of a task with the submitted params.
        """
        if problem.status != _UNPROCESSABLE or (self._redact is None and not secrets):
            return problem

        detail = None if problem.detail is None else self._redact_message(problem.detail, submission, secrets)
        members = dict(problem.members)
        if "errors" in members:
            members["errors"] = [
                {
                    "field": self._redact_keys(item["field"], submission, secrets),
                    "message": self._redact_message(item["message"], submission, secrets),
                }
                for item in members["errors"]
            ]
        return Problem(problem.code, detail, headers=problem.headers, **members)

    def _redact_message(self, message: str, submission: TaskSubmission, secrets: frozenset[str]) -> str:
        body = remove_texts(_failed_document(submission, message), secrets, HIDDEN)
        if self._redact is not None:
            body = self._redact(body)
        error = body.get("error")
        return REDACTED if error is None else str(error)

    def _redact_keys(self, field: str, submission: TaskSubmission, secrets: frozenset[str]) -> str:
        """Return the path of an invalid field with the keys of objects redacted; the name of the param stays."""
        param, dot, keys = field.partition(".")
        return f"{param}.{self._redact_message(keys, submission, secrets)}" if dot else field

    def _may_quote_secrets(self, info: TaskInfo) -> bool:
        secrets = self._submitted_params.secrets_of(info.id)
        return bool(secrets) or (secrets is None and self._types.has_secret_params(info.name))

    def _redacted(self, info: TaskInfo, limit: int) -> dict[str, Any]:
        """Return the body without secrets of secret types, redacted by the user's redaction."""
        body = self._document(info, limit)
        secrets = self._submitted_params.secrets_of(info.id)
        if secrets:
            body = remove_texts(body, secrets, HIDDEN)
        elif secrets is None and self._types.has_secret_params(info.name):
            known = self._submitted_params.params_of(info.id) is not None
            body = hide_quoting_fields(body, HIDDEN, QUOTING_FIELDS if known else UNKNOWN_QUOTING_FIELDS)
        return body if self._redact is None else self._redact(body)


def _failed_document(submission: TaskSubmission, error: str) -> dict[str, Any]:
    """Return the body that a task would have which was submitted like this and failed with *error*."""
    now = datetime.now(UTC)
    info = TaskInfo(
        id=submission.task_id or "",
        name=submission.task_type,
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
        metadata={**(submission.metadata or {})},
        priority=submission.priority,
        attempt=0,
        from_cache=False,
        revision=0,
    )
    return document_of(info, _MAX_REDACTED, submission.params)
