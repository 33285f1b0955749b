"""Parts of the OpenAPI document that FastAPI does not derive by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from ..models.task_types import TaskType, TaskTypes, inline_references
from .submission_schemas import schema_reference, submission_schema

_MAX_EXAMPLE_DEPTH: Final = 5
"""Depth of nested objects in an example."""

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeated request with the same key and body does not run a second task.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}
PREFER: Final[dict[str, Any]] = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=10`: respond when the task has finished, or after ten seconds (60 at most).",
    "schema": {"type": "string", "examples": ["wait=10"]},
}
IF_NONE_MATCH: Final[dict[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag that the client has: 304 if it is still the same. With `wait`, waits for it to change.",
    "schema": {"type": "string"},
}
LAST_EVENT_ID: Final[dict[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Continue after this event. Browsers send it when they reconnect.",
    "schema": {"type": "string"},
}


EVENT_STREAM: Final[dict[str, Any]] = {
    "parameters": [LAST_EVENT_ID],
    "responses": {
        "200": {
            "description": "A stream of events",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "object",
                        "description": "One event. Its data is JSON with `v`, `seq`, `ts` and, in `task.*`, a `task`.",
                        "properties": {
                            "id": {"type": "string"},
                            "event": {
                                "type": "string",
                                "enum": [
                                    "hello",
                                    "task.created",
                                    "task.started",
                                    "task.progress",
                                    "task.reprioritized",
                                    "task.completed",
                                    "task.failed",
                                    "task.cancelled",
                                    "stats",
                                    "resync",
                                    "bye",
                                ],
                            },
                            "data": {"type": "string", "contentMediaType": "application/json"},
                        },
                    }
                }
            },
        }
    },
}


def operation_id(route: Any) -> str:
    """Return an operation id that no other router of the application uses.

    It is the name of the endpoint, followed by the prefix of its path: ``submit_task``, or
    ``submit_task_api_v1`` below ``/api/v1``.
    """
    prefix = route.path_format.removesuffix(_OWN_PATHS.get(route.name, ""))
    return str(route.name) + "".join(map(_escape_in_name, prefix))


def _escape_in_name(char: str) -> str:
    return _ESCAPES.get(char) or (char if char.isalnum() else f"_{ord(char):x}_")


_ESCAPES: Final = {"/": "_", "-": "__", "_": "__"}
_OWN_PATHS: Final = {
    "submit_task": "/tasks",
    "list_tasks": "/tasks",
    "list_task_types": "/tasks/types",
    "submit_batch": "/tasks/batch",
    "act_on_tasks": "/tasks/actions",
    "get_task": "/tasks/{task_id}",
    "delete_task": "/tasks/{task_id}",
    "cancel_task": "/tasks/{task_id}/cancel",
    "get_task_result": "/tasks/{task_id}/result",
    "follow_task": "/tasks/{task_id}/events",
    "follow_everything": "/events",
    "get_stats": "/stats",
    "get_cache": "/cache",
    "clear_cache": "/cache",
    "check_health": "/health",
    "check_liveness": "/health/live",
    "check_readiness": "/health/ready",
}


class LazyOperation(dict[str, Any]):
    """Part of an operation that is built with the document, since task types may be registered until then."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        super().__init__(live=True)  # FastAPI ignores an empty dict
        self._make = make

    def items(self) -> Any:
        """Build the part and return its items."""
        return self._make().items()


def json_request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of an operation that describes a JSON body of this model."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline_schema(model)}}}}


def submission_operation(types: TaskTypes) -> dict[str, Any]:
    """Return the part of the operation that describes a submission, with an example for each task type."""
    examples = {task_type.name: {"value": _example_submission(task_type)} for task_type in types.exposed_types()}
    content = {"schema": schema_reference(submission_schema(types)), "examples": examples}
    return {
        "requestBody": {"required": True, "content": {"application/json": content}},
        "parameters": [IDEMPOTENCY_KEY, PREFER],
    }


def _example_submission(task_type: TaskType) -> dict[str, Any]:
    params = task_type.params_schema
    return {"task_type": task_type.name, "params": _sample_object(params, params.get("$defs", {}), 0), "priority": 0}


def _sample_object(schema: dict[str, Any], definitions: dict[str, Any], level: int) -> dict[str, Any]:
    """Return a sample value for each required property."""
    properties = schema.get("properties", {})
    return {name: _sample_value(properties.get(name, {}), definitions, level) for name in schema.get("required", ())}


def _sample_value(schema: dict[str, Any], definitions: dict[str, Any], level: int) -> Any:
    """Return a sample value for this schema."""
    if "$ref" in schema:
        schema = {**definitions.get(schema["$ref"].removeprefix("#/$defs/"), {}), **schema}
    for source in ("examples", "enum"):
        if schema.get(source):
            return schema[source][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        return _sample_object(schema, definitions, level + 1) if level < _MAX_EXAMPLE_DEPTH else {}
    samples = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "array": [], "null": None}
    return samples.get(str(schema.get("type")), "text")


def _inline_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model's schema without references, for use inside another document."""
    schema = inline_references(model.model_json_schema())
    schema.pop("examples", None)
    return schema
