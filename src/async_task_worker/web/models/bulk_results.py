"""Response bodies of bulk requests: the outcomes of a batch or an action."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from .responses import TaskBody


class BatchItem(BaseModel):
    """The outcome of one submission of a batch."""

    model_config = ConfigDict(extra="allow")

    status: int
    task: TaskBody | None = None
    problem: dict[str, JsonValue] | None = None


class BatchBody(BaseModel):
    """The outcomes of a batch, in the order of its tasks."""

    model_config = ConfigDict(extra="allow")

    results: list[BatchItem]
    count: int
    accepted: int


class ActionItem(BaseModel):
    """The outcome of an action on one task."""

    model_config = ConfigDict(extra="allow")

    id: str
    outcome: Literal["cancelled", "would_cancel", "already_finished", "not_cancelled", "not_found"]


class ActionBody(BaseModel):
    """The outcomes of an action. If *more*, some tasks were not reached: repeat the action with *next_cursor*."""

    model_config = ConfigDict(extra="allow")

    action: str
    dry_run: bool
    results: list[ActionItem]
    count: int
    more: bool
    next_cursor: str | None = None
