"""Task types: the JSON Schema of the params of a function, and their validation."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from async_task_worker.web.models.task_types import TaskType
from async_task_worker.web.problems import Problem
from tests.support.parameter_ids import shown

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Tree(BaseModel):
    name: str
    branches: list[Tree] = []


class Foreign:
    """A class that JSON cannot be converted to."""


async def annotated(
    path: Path, when: datetime | None = None, mode: Literal["r", "w"] = "r", *, model_config: int = 1, copy: bool = True
) -> None:
    """Take much.

    More about it.
    """


async def unannotated(data, options={}, *rest, progress_callback, **more): ...  # type: ignore[no-untyped-def]  # noqa: B006


async def unresolved(known: int, later: OnlyForCheckers, foreign: Foreign, odd: "no type" = 5) -> None: ...  # type: ignore[valid-type, syntax]  # noqa: F722


async def raising(divided: 1 / 0 = 0, described: {1: 2} = 0) -> None: ...  # type: ignore[valid-type, syntax]


async def unwritable(most=float("inf"), none=float("nan"), half="\ud800") -> None: ...  # type: ignore[no-untyped-def]


async def open_ended(number: int, items: Sequence[int] = (1, 2), **more: Any) -> None: ...


async def nested(tree: Tree, table: dict[str, list[Tree]]) -> None: ...


async def positional(value: int, /) -> None: ...


def test_the_schema_follows_the_signature() -> None:
    found = TaskType("files.read", annotated)
    assert found.body()["description"] == "Take much."
    schema = found.params_schema
    assert (schema["title"], schema["required"], schema["additionalProperties"]) == ("files.read", ["path"], False)
    assert schema["properties"] == {
        "path": {"type": "string", "format": "path", "title": "path"},
        "when": {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "default": None,
            "title": "when",
        },
        "mode": {"type": "string", "enum": ["r", "w"], "default": "r", "title": "mode"},
        "model_config": {"type": "integer", "default": 1, "title": "model_config"},
        "copy": {"type": "boolean", "default": True, "title": "copy"},
    }


def test_params_without_annotations_are_not_converted() -> None:
    found = TaskType("any", unannotated)
    assert found.params_schema["properties"] == {"data": {"title": "data"}, "options": {"title": "options"}}
    assert found.params_schema["additionalProperties"] is True
    params = {"data": "2026-01-05", "extra": [1]}
    assert found.parse_arguments(params) is params


def test_an_annotation_that_cannot_be_resolved_accepts_any_value() -> None:
    found = TaskType("any", unresolved)
    properties = found.params_schema["properties"]
    assert properties["known"]["type"] == "integer"
    assert [properties[name].keys() - {"title", "default"} for name in ("later", "foreign", "odd")] == [set()] * 3


def test_an_annotation_that_raises_accepts_any_value() -> None:
    properties = TaskType("any", raising).params_schema["properties"]
    assert properties == {name: {"default": 0, "title": name} for name in ("divided", "described")}


def test_a_default_that_is_not_json_is_not_in_the_schema() -> None:
    properties = TaskType("any", unwritable).params_schema["properties"]
    assert properties == {name: {"title": name} for name in ("most", "none", "half")}


@pytest.mark.parametrize("name", ["p0", "p1", "p2", "more", "model_config", "__class__"])
def test_a_further_param_of_any_name_does_not_affect_the_others(name: str) -> None:
    assert TaskType("any", open_ended).parse_arguments({"number": 1, name: 2}) == {"number": 1, name: 2}


def test_a_schema_is_self_contained() -> None:
    """Its references are resolved within it, also those of a recursive model."""
    schema = TaskType("nested", nested).params_schema
    assert set(re.findall(r"'\$ref': '([^']*)'", str(schema))) == {"#/$defs/Tree"}
    assert schema["$defs"].keys() == {"Tree"}
    assert schema["$defs"]["Tree"]["properties"]["branches"]["items"] == {"$ref": "#/$defs/Tree"}


def test_params_are_converted_to_the_annotated_types() -> None:
    arguments = TaskType("files.read", annotated).parse_arguments(
        {"path": "a", "when": "2026-01-05T12:00:00Z", "copy": False}
    )
    assert arguments["path"] == Path("a")
    assert arguments["when"].year == 2026
    assert arguments.keys() == {"path", "when", "copy"}
    tree = TaskType("nested", nested).parse_arguments(
        {"tree": {"name": "oak", "branches": [{"name": "twig"}]}, "table": {}}
    )
    assert tree["tree"].branches[0] == Tree(name="twig")


@pytest.mark.parametrize(
    ("function", "params"),
    [
        (annotated, {}),
        (annotated, {"path": 5}),
        (annotated, {"path": "a", "p0": "b"}),
        (annotated, {"path": "a", "copy": 1}),
        (annotated, {"path": "a", "when": 0}),
        (annotated, {"path": "a", "mode": "x"}),
        (unannotated, {}),
        (unannotated, {"data": 1, "progress_callback": 1}),
        (positional, {"value": 1}),
        (positional, {}),
        (functools.partial(annotated, path="fixed"), {"when": "soon"}),
    ],
    ids=shown,
)
def test_invalid_params_raise_a_problem(function: Any, params: dict[str, Any]) -> None:
    with pytest.raises(Problem) as raised:
        TaskType("any", function).parse_arguments(params)
    assert raised.value.code == "invalid_params"


def test_a_callable_without_a_signature_accepts_any_params() -> None:
    class Silent:
        __signature__ = "none"

        async def __call__(self, **params: Any) -> None: ...

    assert TaskType("silent", Silent()).params_schema["properties"] == {}


def with_session(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function("session", *args, **kwargs)

    return wrapper


def test_params_of_a_decorated_function_are_those_of_the_function_inside_and_optional() -> None:
    async def save(session: str, row: int, *, when: datetime, mode: Literal["r", "w"] = "w") -> None: ...

    found = TaskType("save", with_session(save))
    assert found.params_schema.get("required", []) == []
    assert list(found.params_schema["properties"]) == ["session", "row", "when", "mode"]
    assert found.params_schema["properties"]["row"] == {"type": "integer", "title": "row"}
    assert found.params_schema["properties"]["mode"]["default"] == "w"
    assert found.params_schema["additionalProperties"] is True  # a decorator may accept more params
    arguments = found.parse_arguments({"row": 7, "when": "2026-01-05T12:00:00Z", "tenant": "t"})
    assert (arguments["row"], arguments["when"].year, arguments["tenant"]) == (7, 2026, "t")
    with pytest.raises(Problem):
        found.parse_arguments({"row": "seven"})


def test_an_explicit_signature_defines_the_schema() -> None:
    async def save(session: str, row: int) -> None: ...

    decorated = with_session(save)
    decorated.__signature__ = inspect.Signature(list(inspect.signature(save).parameters.values())[1:])
    found = TaskType("save", decorated)
    assert found.params_schema["required"] == ["row"]
    assert found.params_schema["additionalProperties"] is False
    assert found.parse_arguments({"row": 7}) == {"row": 7}
    with pytest.raises(Problem):
        found.parse_arguments({"session": "s", "row": 7})


def test_named_parameters_of_a_decorator_are_required() -> None:
    def for_tenant(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(tenant: str, *args: Any, **kwargs: Any) -> None:
            await function(*args, **kwargs)

        return wrapper

    found = TaskType("files.read", for_tenant(annotated))
    assert found.params_schema["required"] == ["tenant"]
    assert found.parse_arguments({"tenant": "t", "path": "a"}) == {"tenant": "t", "path": Path("a")}
    with pytest.raises(Problem):
        found.parse_arguments({"path": "a"})


def test_functions_of_asyncio_have_a_schema() -> None:
    assert TaskType("sleep", asyncio.sleep).params_schema["required"] == ["delay"]
