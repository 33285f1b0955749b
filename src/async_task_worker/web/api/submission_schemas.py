"""The body of a submission in the OpenAPI document: one form per task type, with models as shared components.

FastAPI collects the components of a document from the fields of its routes. Task types may be
registered until the document is made, so the form of a submission comes into it through a
field of its own: a header that is neither shown nor read, whose schema is made when asked for.
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
_NO_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]")
_REF: Final = "#/components/schemas/"

_made: Final[WeakValueDictionary[Any, type[SubmissionForm]]] = WeakValueDictionary()


class SubmissionForm(BaseModel):
    """A task to be run. Each subclass stands for the forms of some task types."""

    __types__: TaskTypes

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the forms of all types that are registered by now."""
        forms: list[CoreSchema] = [_form_of(one).__pydantic_core_schema__ for one in cls.__types__.all()]
        if not forms:
            return _placed(TaskSubmission, handler)
        found = handler(core_schema.union_schema([*forms]))
        return {"title": "Task", "oneOf": found.get("anyOf", [found])}


class _TypeForm(BaseModel):
    """A task to be run. Each subclass stands for the form of one task type."""

    __task_type__: TaskType

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the form, with the params of the type in it."""
        base, params = _placed(TaskSubmission, handler), _placed(cls.__task_type__.model, handler)
        name = cls.__task_type__.name
        properties = base["properties"] | {
            "task_type": {"const": name, "type": "string", "title": "Task Type"},
            "params": params,
        }
        required = ["task_type", *(["params"] if params.get("required") else [])]
        form = base | {"title": name, "properties": properties, "required": required}
        form.pop("examples", None)
        return form


def _form_of(task_type: TaskType) -> type[_TypeForm]:
    if task_type.form is None:
        name = "Submit" + _NO_IN_NAMES.sub("", task_type.name.title())
        task_type.form = type(name, (_TypeForm,), {"__task_type__": task_type, "__module__": __name__})
    form: type[_TypeForm] = task_type.form
    return form


def _placed(model: type[BaseModel], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Return the schema of a model, to be put where it is used. Models inside of it become components."""
    schema: Any = model.__pydantic_core_schema__
    if schema["type"] == "definitions":
        schema = {**schema, "schema": _without_name(schema["schema"])}
    return handler.resolve_ref_schema(handler(_without_name(schema)))


def _without_name(schema: dict[str, Any]) -> Any:
    return {key: value for key, value in schema.items() if key != "ref"}


def form_of(types: TaskTypes) -> type[SubmissionForm]:
    """Return the form of a submission of these types; routers that offer the same ones share it."""
    if types.only not in _made:
        suffix = "" if types.only is None else _digest(sorted(types.only))
        _made[types.only] = form = type(
            f"{_NAME}{suffix}", (SubmissionForm,), {"__types__": types, "__module__": __name__}
        )
        return form
    return _made[types.only]


def reference_to(form: type[SubmissionForm]) -> dict[str, str]:
    """Return the reference to the component."""
    return {"$ref": _REF + form.__name__}


def carrier_of(form: type[SubmissionForm]) -> Any:
    """Return a dependency that brings the form into the document, and does nothing else."""

    class Carried:
        @classmethod
        def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
            anything = core_schema.any_schema()
            return core_schema.json_or_python_schema(form.__pydantic_core_schema__, anything)

    async def carry(**_ignored: Any) -> None:
        """Take the header that stands for the form."""

    header: FieldInfo = Header(alias="x-submission-form", include_in_schema=False)
    parameter = inspect.Parameter(
        "carried", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Carried, header]
    )
    carry.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return Depends(carry)


def _digest(names: list[str]) -> str:
    return blake2b(repr(names).encode("ascii", "backslashreplace"), digest_size=4).hexdigest()
