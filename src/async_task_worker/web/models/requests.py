"""Models of request bodies, and reading a body within the limits."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, ValidationInfo
from starlette.requests import Request

from ...model.status import TaskStatus
from ..limits import Limits
from ..problems import Problem
from ..rendering.strict_json import parse_json
from .task_types import error_messages

M = TypeVar("M", bound=BaseModel)

ID_PATTERN: Final = "^[A-Za-z0-9._:~@-]{1,200}$"
_MAX_DISCARDED: Final = 64 << 20
"""Bytes of a body over the limit that are read and discarded, so that its client reads the response."""

_DEFAULT_BATCH: Final = Limits().batch

TaskId = Annotated[str, Field(pattern=ID_PATTERN, examples=["nightly-2026-01-05"])]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TaskSubmission(BaseModel):
    """A task to run."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"task_type": "resize", "params": {"path": "cat.png"}, "priority": 1}]},
    )

    task_type: str = Field(min_length=1, max_length=200, description="One of the names that `GET /tasks/types` lists.")
    params: dict[str, JsonValue] = Field(default={}, description="Arguments of the task function, by name.")
    priority: int = Field(default=0, ge=-(2**63), le=2**63 - 1, description="Lower numbers run first.")
    task_id: TaskId | None = Field(default=None, description="The id of the task; null for a generated one.")
    metadata: dict[str, JsonValue] | None = Field(default=None, description="Stored with the task.")
    timeout: Seconds | None = Field(default=None, description="Seconds that the task may run.")
    use_cache: bool | None = Field(
        default=None, description="Whether to use the result cache; null for the default of the worker."
    )
    cache_ttl: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds that the result stays cached."
    )


def _check_count(items: object, validation: ValidationInfo) -> object:
    """Refuse more items than one request may have, before each of them is validated."""
    max_items = (validation.context or {}).get("batch", _DEFAULT_BATCH)
    if isinstance(items, list) and len(items) > max_items:
        raise Problem("body_too_large", f"one request is for {max_items} tasks at most")
    return items


class TaskBatch(BaseModel):
    """Tasks to run. Each is accepted or refused independently."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tasks: Annotated[list[TaskSubmission], BeforeValidator(_check_count)]


class TaskSelection(BaseModel):
    """Which tasks to act on, by the same filters as listing tasks."""

    model_config = ConfigDict(extra="forbid")

    status: list[TaskStatus] | None = None
    task_type: str | None = Field(default=None, max_length=200)
    q: str | None = Field(default=None, max_length=200)
    cursor: str | None = Field(
        default=None,
        max_length=10_000,
        description="`next_cursor` of the previous response to the same action, to continue with the remaining tasks.",
    )


class TaskAction(BaseModel):
    """An action on several tasks: those with the *ids*, or those that match the *query*."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"action": "cancel", "query": {"status": ["pending"]}, "dry_run": True}],
            "oneOf": [{"required": ["ids"]}, {"required": ["query"]}],
        },
    )

    action: Literal["cancel"]
    ids: Annotated[list[str], BeforeValidator(_check_count)] = Field(default=[])
    query: TaskSelection = TaskSelection()
    dry_run: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Return what would be done, and change nothing."
    )


async def read_body(request: Request, model: type[M], limits: Limits) -> M:
    """Return the body of a request, validated by *model*.

    Raises:
        Problem: The body is too large, has too many items, is not JSON, or does not match the model.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise Problem("unsupported_media_type", f"Content-Type is {content_type or 'missing'}, not application/json")
    data = await _read_bytes(request, limits.body)
    value = parse_json(data, limits.depth)
    try:
        return model.model_validate(value, context={"batch": limits.batch})
    except ValidationError as error:
        errors = error_messages(error)
        detail = "; ".join(f"{item['field'] or 'the body'}: {item['message']}" for item in errors)
        raise Problem("invalid_request", detail, errors=errors) from None


async def _read_bytes(request: Request, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= max_bytes:
            parts.append(part)
        elif size > _MAX_DISCARDED:
            break
        else:
            parts.clear()
    if size > max_bytes:
        raise Problem("body_too_large", f"the body is over {max_bytes} bytes", headers={"Connection": "close"})
    return b"".join(parts)


def approximate_size(value: Any) -> int:
    """Return about how many bytes plain data takes as JSON."""
    return len(repr(value))
