"""Bodies of answers that are about more than one task."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .responses import TaskBody


class ListedTask(TaskBody):
    """A task in a list, and where it is."""

    href: str | None = Field(description="The path of the task on this server.")


class TaskPageBody(BaseModel):
    """A page of tasks."""

    model_config = ConfigDict(extra="allow")

    tasks: list[ListedTask]
    count: int
    next_cursor: str | None


class TaskTypeBody(BaseModel):
    """A task type, and the params it takes as JSON Schema."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    params_schema: dict[str, JsonValue]


class TaskTypesBody(BaseModel):
    """The task types on offer."""

    model_config = ConfigDict(extra="allow")

    task_types: list[str]
    types: list[TaskTypeBody]


class HealthBody(BaseModel):
    """How the worker is. ``/health/live`` and ``/health/ready`` tell the status alone."""

    model_config = ConfigDict(extra="allow")

    status: str = Field(
        description="`/health`: `ok`, `stopped`, `failing` (the storage), `wrong_process` or `wrong_event_loop`. "
        "`/health/live`: `alive`. `/health/ready`: `ready` or `not ready`."
    )
    worker_count: int | None = Field(default=None, description="How many tasks may run at once.")
    queue_size: int | None = Field(default=None, description="How many tasks wait for a slot.")
    running: int | None = Field(default=None, description="How many tasks run.")
    abandoned_tasks: int | None = Field(
        default=None, description="How many tasks were told to stop, did not in time, and still go on."
    )
    details: dict[str, JsonValue] | None = Field(
        default=None, description="More about the worker, where only those allowed to ask get to see it."
    )
