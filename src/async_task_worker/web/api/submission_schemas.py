"""Schemas of submissions in the OpenAPI document: one per task type, with models as shared components.

FastAPI collects the components of a document from the fields of its routes. Task types may be
registered until the document is built, so the schema of a submission enters the document through a
field of its own: a header that is neither documented nor read, whose schema is built on demand.
"""

from __future__ import annotations

import inspect
import re
from hashlib import blake2b
from typing import Annotated, Any, Final
from weakref import WeakValueDictionary

from fastapi import Depends, Header
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from ..models.requests import TaskSubmission
from ..models.task_types import TaskType, TaskTypes

_NAME: Final = "WorkerTaskSubmission"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]")
_REF: Final = "#/components/schemas/"

_schemas: Final[WeakValueDictionary[Any, type[SubmissionSchema]]] = WeakValueDictionary()


class SubmissionSchema(BaseModel):
    """A task to run. Each subclass represents the submissions of some task types."""

    __types__: TaskTypes

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schemas of all types that are registered by now."""
        schemas: list[CoreSchema] = [
            _task_type_schema(task_type).__pydantic_core_schema__ for task_type in cls.__types__.exposed_types()
        ]
        if not schemas:
            return _inlined(TaskSubmission, handler)
        union = handler(core_schema.union_schema([*schemas]))
        return {"title": "Task", "oneOf": union.get("anyOf", [union])}


class _TaskTypeSchema(BaseModel):
    """A task to run. Each subclass represents the submissions of one task type."""

    __task_type__: TaskType

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of a submission with the params of the type."""
        base, params = _inlined(TaskSubmission, handler), _inlined(cls.__task_type__.model, handler)
        name = cls.__task_type__.name
        properties = base["properties"] | {
            "task_type": {"const": name, "type": "string", "title": "Task Type"},
            "params": params,
        }
        required = ["task_type", *(["params"] if params.get("required") else [])]
        schema = base | {"title": name, "properties": properties, "required": required}
        schema.pop("examples", None)
        return schema


def _task_type_schema(task_type: TaskType) -> type[_TaskTypeSchema]:
    if task_type.submission_schema is None:
        name = "Submit" + _NOT_IN_NAMES.sub("", task_type.name.title())
        task_type.submission_schema = type(
            name, (_TaskTypeSchema,), {"__task_type__": task_type, "__module__": __name__}
        )
    schema: type[_TaskTypeSchema] = task_type.submission_schema
    return schema


def _inlined(model: type[BaseModel], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Return the schema of a model for use in place. Models inside of it become components."""
    schema: Any = model.__pydantic_core_schema__
    if schema["type"] == "definitions":
        schema = {**schema, "schema": _without_name(schema["schema"])}
    return handler.resolve_ref_schema(handler(_without_name(schema)))


def _without_name(schema: dict[str, Any]) -> Any:
    return {key: value for key, value in schema.items() if key != "ref"}


def submission_schema(types: TaskTypes) -> type[SubmissionSchema]:
    """Return the class that represents submissions of these types; routers that expose the same types share it."""
    if types.exposed not in _schemas:
        suffix = "" if types.exposed is None else _digest(sorted(types.exposed))
        _schemas[types.exposed] = schema = type(
            f"{_NAME}{suffix}", (SubmissionSchema,), {"__types__": types, "__module__": __name__}
        )
        return schema
    return _schemas[types.exposed]


def schema_reference(schema: type[SubmissionSchema]) -> dict[str, str]:
    """Return the reference to the component of the schema."""
    return {"$ref": _REF + schema.__name__}


def schema_dependency(schema: type[SubmissionSchema]) -> Any:
    """Return a dependency that adds the schema to the document, and does nothing else."""

    class _Carrier:
        @classmethod
        def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
            anything = core_schema.any_schema()
            return core_schema.json_or_python_schema(schema.__pydantic_core_schema__, anything)

    async def carrier(**_ignored: Any) -> None:
        """Accept the header whose type is the schema."""

    header: FieldInfo = Header(alias="x-submission-form", include_in_schema=False)
    parameter = inspect.Parameter(
        "carried", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_Carrier, header]
    )
    carrier.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return Depends(carrier)


def _digest(names: list[str]) -> str:
    return blake2b(repr(names).encode("ascii", "backslashreplace"), digest_size=4).hexdigest()
