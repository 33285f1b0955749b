"""The reference names everything that there is: public names, errors, events and requests."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import async_task_worker
from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo, create_task_worker_router

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def openapi() -> dict[str, Any]:
    app = FastAPI()
    app.include_router(create_task_worker_router(AsyncTaskWorker()))
    return app.openapi()


def test_every_public_name_is_in_the_api() -> None:
    documented = set(re.findall(r"^\.\. (?:auto\w+|data):: (\w+)(?:\(.*\))?$", page("api.md"), re.MULTILINE))
    assert set(async_task_worker.__all__) <= documented


def test_every_option_method_and_property_of_the_worker_is_in_its_tables() -> None:
    options = set(inspect.signature(AsyncTaskWorker).parameters) | set(
        inspect.signature(AsyncTaskWorker.submit).parameters
    )
    public = {name for name in dir(AsyncTaskWorker) if not name.startswith("_")}
    documented = set(re.findall(r"\w+", page("worker.md")))
    assert (options | public) - {"self"} <= documented


def test_every_attribute_of_a_snapshot_is_in_its_table() -> None:
    assert {name for name in dir(TaskInfo) if not name.startswith("_")} <= set(re.findall(r"\w+", page("task-info.md")))


@pytest.mark.parametrize("name", [name for name in async_task_worker.__all__ if name.endswith("Error")])
def test_every_error_is_in_the_table_of_errors(name: str) -> None:
    rows = [line for line in page("errors.md").splitlines() if line.startswith("|")]
    assert name == "TaskWorkerError" or any(f"`{name}`" in row for row in rows)


def test_every_event_is_in_the_table_of_events() -> None:
    documented = set(re.findall(r"^\| `(task\.\w+)`", page("events.md"), re.MULTILINE))
    assert documented == set(re.findall(r"task\.\w+", TaskEvent.__doc__ or ""))


def test_the_table_of_requests_has_every_request_and_no_other() -> None:
    requests = {
        (method.upper(), path.replace("{task_id}", "{id}"))
        for path, operations in openapi()["paths"].items()
        for method in operations
    }
    rows = [line for line in page("http.md").splitlines() if re.match(r"\| `(GET|POST|DELETE) ", line)]
    documented = {found for row in rows for found in re.findall(r"`(GET|POST|DELETE) (/[^`\s]*)`", row.split(" | ")[0])}
    assert documented == requests


def test_the_table_of_server_sent_events_has_every_event() -> None:
    section = page("http.md").partition("## Server-sent events")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([a-z.]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE))))
    operation = openapi()["paths"]["/events"]["get"]
    stream = operation["responses"]["200"]["content"]["text/event-stream"]
    assert documented == set(stream["schema"]["properties"]["event"]["enum"])


def test_the_table_of_problems_has_every_code_under_its_status() -> None:
    table = dict(re.findall(r"^\| ([\d, ]+) \| (`.*`) \|$", page("http.md"), re.MULTILINE))
    documented = {
        (status, code)
        for statuses, codes in table.items()
        for status in statuses.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    answered = {
        (status, code)
        for operations in openapi()["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        for code in re.findall(r"`(\w+)`", answer["description"])
    }
    assert answered
    assert answered <= documented
