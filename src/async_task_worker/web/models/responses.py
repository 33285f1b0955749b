"""The response body of a task."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class TaskBody(BaseModel):
    """A snapshot of a task. Later versions may add members."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "id": "5ab5ddb9-b6c1-4f0e-8e0d-a9c9d2e0b2f4",
                    "status": "running",
                    "progress": 0.5,
                    "metadata": {"task_type": "resize"},
                    "result": None,
                    "error": None,
                    "task_type": "resize",
                    "phase": None,
                    "params": {"path": "cat.png"},
                    "priority": 0,
                    "progress_detail": None,
                    "error_detail": None,
                    "attempt": 1,
                    "from_cache": False,
                    "result_dropped": False,
                    "worker_id": None,
                    "created_at": "2026-01-05T12:00:00.250000Z",
                    "started_at": "2026-01-05T12:00:00.251000Z",
                    "completed_at": None,
                    "wait_time": 0.001,
                    "run_time": None,
                }
            ]
        },
    )

    id: str
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    progress: float = Field(ge=0.0, le=1.0)
    metadata: dict[str, JsonValue] = Field(description="As submitted, with `task_type` added.")
    result: JsonValue = Field(description="A value that is not JSON is an object with its `$type`.")
    error: str | None
    task_type: str
    phase: str | None
    params: dict[str, JsonValue] | None = Field(description="The arguments by name; null if they are not known.")
    priority: int
    progress_detail: dict[str, JsonValue] | None
    error_detail: dict[str, JsonValue] | str | None
    attempt: int
    from_cache: bool
    result_dropped: bool = Field(description="Whether the result was dropped to save memory.")
    worker_id: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    wait_time: float | None = Field(description="Seconds.")
    run_time: float | None = Field(description="Seconds.")
