"""Requests that several tests make."""

from __future__ import annotations

import json
from typing import Any

import httpx

KEYS = ["id", "status", "progress", "metadata", "result", "error"]
"""The documented fields of a task, which come first."""


async def submit(client: httpx.AsyncClient, task_type: str, *, wait: int | None = None, **members: Any) -> Any:
    """Submit a task and return its body; with *wait*, after the task has finished or after so many seconds."""
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    response = await client.post("/tasks", json={"task_type": task_type, **members}, headers=headers)
    assert response.status_code == 201, response.text
    return response.json()


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the data of each event of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def last_id_in(text: str) -> str:
    """Return the id of the last event of a stream."""
    return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")][-1]


def problem_code(response: httpx.Response) -> str:
    """Check that the response is a problem document, and return its code."""
    assert 400 <= response.status_code < 600, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    return str(document["code"])
