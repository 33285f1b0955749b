"""Hostile bodies: each is refused with a problem, and the service continues."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.web import Limits
from tests.http.conftest import ServeWorker
from tests.http.requests import problem_code
from tests.support.uvicorn_process import Server

JSON = {"Content-Type": "application/json"}
LEVELS = 10_000
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nan": (b'{"task_type": "echo_value", "timeout": NaN}', "invalid_json"),
    "infinity": (b'{"task_type": "echo_value", "timeout": Infinity}', "invalid_json"),
    "minus infinity": (b'{"task_type": "echo_value", "params": {"value": -Infinity}}', "invalid_json"),
    "overflow": (b'{"task_type": "echo_value", "params": {"value": 1e999}}', "invalid_json"),
    "long overflow": (b'{"task_type": "echo_value", "cache_ttl": ' + b"9" * 400 + b".0}", "invalid_json"),
    "integer for a float": (
        b'{"task_type": "takes_float", "params": {"value": 1' + b"0" * 400 + b"}}",
        "invalid_params",
    ),
    "endless integer": (b'{"task_type": "echo_value", "priority": ' + b"9" * 5000 + b"}", "invalid_json"),
    "lone surrogate": (b'{"task_type": "echo_value", "params": {"value": "\\ud800"}}', "invalid_json"),
    "surrogate as a name": (b'{"task_type": "echo_value", "params": {"\\udfff": 1}}', "invalid_json"),
    "no utf-8": (b'{"task_type": "\xff\xfe"}', "invalid_json"),
    "20 MB": (b'{"task_type": "' + b"x" * 20_000_000 + b'"}', "body_too_large"),
    "depth 10,000": (b'{"params": ' + b"[" * LEVELS + b"]" * LEVELS + b"}", "invalid_json"),
    "depth 100": (b'{"params": {"value": ' + b"[" * 100 + b"]" * 100 + b"}}", "invalid_json"),
    "unknown fields": (b'{"task_type": "echo_value", "delay": 5, "__class__": "x"}', "invalid_request"),
    "option as a param": (b'{"task_type": "echo_value", "params": {"timeout": 5}}', "invalid_params"),
    "self as a param": (b'{"task_type": "echo_value", "params": {"self": 5}}', "invalid_params"),
    "func as a param": (
        b'{"task_type": "echo_value", "params": {"func": 5, "args": [], "kwargs": {}}}',
        "invalid_params",
    ),
    "id with a newline": (b'{"task_type": "echo_value", "task_id": "a\\nb"}', "invalid_request"),
    "id with a slash": (b'{"task_type": "echo_value", "task_id": "../../etc/passwd"}', "invalid_request"),
    "type with a newline": (b'{"task_type": "echo_value\\nINFO forged"}', "unknown_task_type"),
    "zero bytes": (b"\x00" * 100, "invalid_json"),
    "nothing": (b"", "invalid_json"),
    "null": (b"null", "invalid_request"),
    "a list": (b"[]", "invalid_request"),
    "text": (b'"echo_value"', "invalid_request"),
    "two values": (b"{}{}", "invalid_json"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_body_is_refused(worker: AsyncTaskWorker, client: httpx.AsyncClient, name: str) -> None:
    content, code = HOSTILE[name]
    response = await client.post("/tasks", content=content, headers=JSON)
    assert 400 <= response.status_code < 500
    assert problem_code(response) == code
    assert (await client.get("/health")).status_code == 200
    assert worker.get_all_tasks() == []


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_body_with_another_content_type_than_json_is_refused(
    client: httpx.AsyncClient, content_type: str
) -> None:
    """A browser sends forms to any site without a preflight request, but not JSON."""
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/tasks", content=b'{"task_type": "own_names"}', headers=headers)
    assert (response.status_code, problem_code(response)) == (415, "unsupported_media_type")


async def test_a_content_type_that_ends_in_json_is_accepted(client: httpx.AsyncClient) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.tasks+json"):
        headers = {"Content-Type": content_type}
        response = await client.post("/tasks", content=b'{"task_type": "own_names"}', headers=headers)
        assert response.status_code == 201


async def test_the_limit_of_a_body_can_be_set(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, limits=Limits(body=100))
    body = {"task_type": "own_names", "params": {"priority": "x" * 100}}
    assert problem_code(await client.post("/tasks", json=body)) == "body_too_large"


@pytest.mark.real_time
@pytest.mark.slow
async def test_the_service_responds_while_it_is_attacked() -> None:
    """All hostile bodies at once, over real sockets, while the health of the service is requested."""
    with Server("tests.support.served_app:app") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            requests = [client.post("/tasks", content=content, headers=JSON) for content, _ in HOSTILE.values()]
            requests.append(client.get("/tasks?older_than_minutes=1e18"))
            attack = asyncio.gather(*requests)
            while not attack.done():
                assert (await client.get("/health")).status_code == 200
            answers = await attack
        codes = [problem_code(answer) for answer in answers]
        assert codes == [*(code for _, code in HOSTILE.values()), "invalid_request"]
        server.terminate()
    assert "Traceback" not in server.output


async def test_log_lines_cannot_be_forged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    body = {"task_type": "log_in", "params": {"user": "x\nERROR forged", "password": "p"}, "task_id": "t"}
    await client.post("/tasks", content=json.dumps(body).encode(), headers={**JSON, "Prefer": "wait=1"})
    await client.get("/tasks/a%0AERROR%20forged")
    assert not [record for record in caplog.records if "\nERROR forged" in record.getMessage()]
