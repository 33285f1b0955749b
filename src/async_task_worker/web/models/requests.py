"""The bodies of requests: read within their limits, and checked against their models."""

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
"""Bytes of a body too large that are read and dropped, so that its sender gets to read the answer."""

_DEFAULT_BATCH: Final = Limits().batch

TaskId = Annotated[str, Field(pattern=ID_PATTERN, examples=["nightly-2026-01-05"])]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TaskSubmission(BaseModel):
    """A task to be run."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"task_type": "resize", "params": {"path": "cat.png"}, "priority": 1}]},
    )

    task_type: str = Field(min_length=1, max_length=200, description="One of those `GET /tasks/types` lists.")
    params: dict[str, JsonValue] = Field(default={}, description="Arguments of the task function, by name.")
    priority: int = Field(default=0, ge=-(2**63), le=2**63 - 1, description="Lower numbers run first.")
    task_id: TaskId | None = Field(default=None, description="An id of your own.")
    metadata: dict[str, JsonValue] | None = Field(default=None, description="Kept with the task.")
    timeout: Seconds | None = Field(default=None, description="Seconds it may run.")
    use_cache: bool | None = Field(default=None, description="Null follows the worker.")
    cache_ttl: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds its result stays cached."
    )


def _check_count(items: object, validation: ValidationInfo) -> object:
    """Refuse more than one request is for, before each of them is looked at."""
    max_items = (validation.context or {}).get("batch", _DEFAULT_BATCH)
    if isinstance(items, list) and len(items) > max_items:
        raise Problem("body_too_large", f"one request is for {max_items} tasks at most")
    return items


class TaskBatch(BaseModel):
    """Tasks to be run. Each is taken or refused on its own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tasks: Annotated[list[TaskSubmission], BeforeValidator(_check_count)]


class TaskSelection(BaseModel):
    """Which tasks an action is for: the same filters as for listing tasks."""

    model_config = ConfigDict(extra="forbid")

    status: list[TaskStatus] | None = None
    task_type: str | None = Field(default=None, max_length=200)
    q: str | None = Field(default=None, max_length=200)
    cursor: str | None = Field(
        default=None,
        max_length=10_000,
        description="`next_cursor` of the same action before: the tasks that were not looked at then.",
    )


class TaskAction(BaseModel):
    """Something to be done to several tasks: those with the *ids*, or those that match the *query*."""

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
    dry_run: Annotated[bool, Field(strict=True)] = Field(default=False, description="Only tell what would be done.")


async def read_body(request: Request, model: type[M], limits: Limits) -> M:
    """Return the request's body, checked against *model*.

    Raises:
        Problem: It is too large or for too many tasks, is not JSON, or has another form.
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
        detail = "; ".join(f"{error_item['field'] or 'the body'}: {error_item['message']}" for error_item in errors)
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
    """Return about how many bytes plain JSON data takes."""
    return len(repr(value))
