"""The directive ``http-requests``: the reference of the HTTP API, from the OpenAPI document of the router."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docutils import nodes
from fastapi import FastAPI
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from async_task_worker import AsyncTaskWorker, create_task_worker_router

Schema = Mapping[str, Any]
BOUNDS = {"minimum": "At least", "maximum": "At most"}
BODIES = ("TaskBody", "TaskPageBody", "TaskTypeBody", "BatchItem", "ActionItem", "HealthBody", "Problem")


class HttpRequests(SphinxDirective):
    """Writes every request with its parameters, body and answers, then the objects that answers consist of."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the reference."""
        return self.parse_text_to_nodes("\n".join(reference_of(openapi())), allow_section_headings=True)


def openapi() -> Schema:
    """Return the OpenAPI document of a router with its defaults."""
    app = FastAPI()
    app.include_router(create_task_worker_router(AsyncTaskWorker()))
    return app.openapi()


def reference_of(document: Schema) -> Iterator[str]:
    """Return the lines of the reference, as Markdown."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _request(f"{method.upper()} {path}", operation, schemas)
    for name in BODIES:
        yield from ["", f"## {name}", "", schemas[name].get("description", ""), ""]
        yield from _fields(schemas[name]["properties"])
    yield from ["", "## ListedTask", "", "A `TaskBody` with:", ""]
    known = schemas["TaskBody"]["properties"]
    yield from _fields(
        {name: field for name, field in schemas["ListedTask"]["properties"].items() if name not in known}
    )


def _request(title: str, operation: Schema, schemas: Schema) -> Iterator[str]:
    yield from ["", f"## `{title}`", "", operation.get("description", ""), ""]
    if parameters := operation.get("parameters"):
        yield from ["| parameter | in | type | meaning |", "|---|---|---|---|"]
        for parameter in parameters:
            cells = [f"`{parameter['name']}`", parameter["in"], _type(parameter["schema"]), _meaning(parameter)]
            yield _row(cells)
    if body := operation.get("requestBody"):
        yield from ["", "Body (JSON):", ""]
        schema = body["content"]["application/json"]["schema"]
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        yield from _fields(schema["properties"], schema.get("required", []))
    yield from ["", "| status | answer |", "|---|---|"]
    for status, answer in sorted(operation["responses"].items()):
        yield _row([status, answer["description"]])


def _fields(fields: Schema, required: Sequence[str] = ()) -> Iterator[str]:
    yield from ["| field | type | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        yield _row([f"`{name}`" + " (required)" * (name in required), _type(field), _meaning(field)])


def _meaning(described: Schema) -> str:
    """Return the description with default and bounds, where there are any."""
    schema = described.get("schema", described)
    parts = [described.get("description") or schema.get("description") or ""]
    if schema.get("default") not in (None, [], {}):
        parts.append(f"Default: `{schema['default']}`.")
    parts += [f"{word} {_number(schema[key])}." for key, word in BOUNDS.items() if key in schema]
    return " ".join(filter(None, parts))


def _type(schema: Schema) -> str:
    """Return the type in few words: ``array of string``, ``number or null``, the name of an object."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if values := schema.get("enum") or [schema[key] for key in ("const",) if key in schema]:
        return " or ".join(f'`"{value}"`' for value in values)
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    fields = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
    return f"object with {fields}" if fields else schema.get("format") or schema.get("type") or "any JSON"


def _number(bound: float) -> str:
    """Return the number without a fraction that is zero, and with thousands apart."""
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("http-requests", HttpRequests)
    return {"parallel_read_safe": True}
