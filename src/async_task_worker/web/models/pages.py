"""Response bodies of lists and of the worker's health."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .responses import TaskBody


class ListedTask(TaskBody):
    """A task in a list, with its path."""

    href: str | None = Field(description="The path of the task on this server.")


class TaskPageBody(BaseModel):
    """A page of tasks."""

    model_config = ConfigDict(extra="allow")

    tasks: list[ListedTask]
    count: int
    next_cursor: str | None


class TaskTypeBody(BaseModel):
    """A task type, with a JSON Schema of its params."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    params_schema: dict[str, JsonValue]


class TaskTypesBody(BaseModel):
    """The task types that can be submitted."""

    model_config = ConfigDict(extra="allow")

    task_types: list[str]
    types: list[TaskTypeBody]


class HealthBody(BaseModel):
    """Health of the worker. ``/health/live`` and ``/health/ready`` return the status only."""

    model_config = ConfigDict(extra="allow")

    status: str = Field(
        description="`/health`: `ok`, `stopped`, `failing` (the storage), `wrong_process` or `wrong_event_loop`. "
        "`/health/live`: `alive`. `/health/ready`: `ready` or `not ready`."
    )
    worker_count: int | None = Field(default=None, description="How many tasks may run at once.")
    queue_size: int | None = Field(default=None, description="How many tasks are pending.")
    running: int | None = Field(default=None, description="How many tasks are running.")
    abandoned_tasks: int | None = Field(
        default=None, description="How many tasks did not stop in time when they were asked to, and still run."
    )
    details: dict[str, JsonValue] | None = Field(
        default=None, description="More about the worker; only on a router that protects its health endpoints."
    )
