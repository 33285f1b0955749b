"""The documented examples, many streams, and shutdown: real requests to a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.requests import submit
from tests.properties.run_length import long_or_short
from tests.support.uvicorn_process import Server

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

READERS = long_or_short(1000, 100)
MEGABYTE = 1 << 20


QUICK_START = """
from fastapi import FastAPI
from contextlib import asynccontextmanager
from async_task_worker import AsyncTaskWorker, create_task_worker_router, task

worker = AsyncTaskWorker(max_workers=10, cache_enabled=True)


@asynccontextmanager
async def lifespan(app: FastAPI):
    await worker.start()
    yield
    await worker.stop()


app = FastAPI(lifespan=lifespan)
app.include_router(create_task_worker_router(worker))
app.include_router(create_task_worker_router(worker, prefix="/api/v1", tags=["background-tasks"]))


@task("process_data")
async def process_data(data_id, options):
    return [data_id, options]


@task("might_fail")
async def might_fail(value):
    raise ValueError("Value cannot be negative")
"""


async def submit_task(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    """Submit as the documentation does."""
    response = await client.post("http://localhost:8000/tasks", json=body)
    return str(response.json()["id"])


async def check_task(client: httpx.AsyncClient, task_id: str) -> Any:
    """Fetch as the documentation does."""
    response = await client.get(f"http://localhost:8000/tasks/{task_id}")
    if response.status_code == 200:
        task = response.json()
        match task["status"]:
            case "completed":
                return task["result"]
            case "failed":
                raise RuntimeError(f"Task failed: {task['error']}")
            case status:
                return f"Task is {status} ({task['progress'] * 100:.1f}% complete)"
    return None


async def test_the_documented_quick_start_serves_the_documented_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented calls on the documented paths, under a real server."""
    (tmp_path / "quick_start.py").write_text(QUICK_START)
    monkeypatch.syspath_prepend(str(tmp_path))
    with Server("quick_start:app") as server:

        async def to_the_server(request: httpx.Request) -> None:
            request.url = request.url.copy_with(host="127.0.0.1", port=server.port)

        async with httpx.AsyncClient(event_hooks={"request": [to_the_server]}) as client:
            params = {"data_id": "123", "options": {"normalize": True}}
            task_id = await submit_task(client, {"task_type": "process_data", "params": params, "priority": 1})
            await client.get(f"{server.url}/tasks/{task_id}?wait=10")
            assert await check_task(client, task_id) == ["123", {"normalize": True}]
            failing = await submit_task(client, {"task_type": "might_fail", "params": {"value": -5}})
            await client.get(f"{server.url}/tasks/{failing}?wait=10")
            with pytest.raises(RuntimeError, match=r"^Task failed: Value cannot be negative$"):
                await check_task(client, failing)
            assert (await client.get(f"{server.url}/health")).json()["status"] == "ok"
            assert "process_data" in (await client.get(f"{server.url}/tasks/types")).json()["task_types"]
            assert (await client.get(f"{server.url}/api/v1/tasks")).json()["count"] == 2
            assert (await client.delete(f"{server.url}/api/v1/tasks/{task_id}")).status_code == 204
        server.terminate()


@pytest.fixture(scope="module")
def shutdown_seconds() -> float:
    """Seconds that a server without streams takes to exit on this machine at this time."""
    with Server("tests.support.served_app:app") as server:
        httpx.get(f"{server.url}/health")
        return server.terminate()


async def read_events(port: int, seen: Counter[str], opened: asyncio.Semaphore) -> None:
    """Read the stream of all events to its end and count them by name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
    while line := await reader.readline():
        if line.startswith(b"event: "):
            name = line[7:].decode().strip()
            seen[name] += 1
            if name == "hello":
                opened.release()
    writer.close()
    await writer.wait_closed()


def open_unread_stream(port: int) -> socket.socket:
    """Request all events, and read none of them."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
    return connection


@pytest.mark.timeout(300)
async def test_many_streams_and_one_whose_client_never_reads(shutdown_seconds: float) -> None:
    """Memory stays bounded, the other clients get all events, and SIGTERM ends the process within a second."""
    seen: Counter[str] = Counter()
    opened = asyncio.Semaphore(0)
    with Server("tests.support.served_app:app") as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            await submit(client, "echo_value", wait=10)
        before = server.resident()
        reading = [asyncio.create_task(read_events(server.port, seen, opened)) for _ in range(READERS)]
        for _ in range(READERS):
            await opened.acquire()
        with open_unread_stream(server.port):
            assert server.resident() - before < READERS * 100 * 1024 + 10 * MEGABYTE
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                await submit(client, "echo_value", params={"value": "live"}, wait=10)
                while seen["task.completed"] < READERS:
                    await asyncio.sleep(0.01)
                storm = {"tasks": [{"task_type": "echo_value", "params": {"value": "x" * 3000}}] * 100}
                for _ in range(2):
                    assert (await client.post("/tasks/batch", json=storm)).status_code == 200
                assert (await client.get("/health")).status_code == 200
            assert server.resident() - before < READERS * 200 * 1024 + 60 * MEGABYTE
            took = await asyncio.to_thread(server.terminate)
            await asyncio.gather(*reading)
    assert seen["bye"] == READERS
    assert "worker stopped" in server.output
    assert "Traceback" not in server.output
    assert took < shutdown_seconds * (10 + READERS / 100)


@pytest.mark.parametrize("count", [0, 20])
async def test_a_client_that_never_reads_does_not_delay_the_shutdown(count: int, shutdown_seconds: float) -> None:
    """It leaves more unread than the buffers of the system take, which would keep its connection open forever."""
    seen: Counter[str] = Counter()
    opened = asyncio.Semaphore(0)
    with Server("tests.support.served_app:app") as server, open_unread_stream(server.port):
        reading = [asyncio.create_task(read_events(server.port, seen, opened)) for _ in range(count)]
        for _ in range(count):
            await opened.acquire()
        storm = {"tasks": [{"task_type": "echo_value", "params": {"value": "x" * 3000}}] * 100}
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            for _ in range(10):
                assert (await client.post("/tasks/batch", json=storm)).status_code == 200
        took = await asyncio.to_thread(server.terminate)
        await asyncio.gather(*reading)
    assert seen["bye"] == count
    assert "worker stopped" in server.output
    assert took < 10 * shutdown_seconds


async def test_a_client_whose_stream_was_aborted_does_not_delay_the_shutdown(shutdown_seconds: float) -> None:
    with Server("tests.support.served_app:impatient_app") as server, open_unread_stream(server.port):
        storm = {"tasks": [{"task_type": "echo_value", "params": {"value": "x" * 3000}}] * 100}
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            assert (await client.get("/stats")).json()["streams"]["open"] == 1
            while (await client.get("/stats")).json()["streams"]["open"]:
                assert (await client.post("/tasks/batch", json=storm)).status_code == 200
            while (await client.get("/stats")).json()["tasks"]["pending"]:
                await asyncio.sleep(0.01)  # a worker that stops with pending tasks logs that
        took = await asyncio.to_thread(server.terminate)
    assert server.output == ""
    assert took < 10 * shutdown_seconds


async def test_waiting_requests_do_not_delay_the_shutdown(shutdown_seconds: float) -> None:
    with Server("tests.support.served_app:app") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            # No task runs that stop() would wait for: a pending task is cancelled at once.
            ids = [(await submit(client, "echo_value", params={"value": 1}))["id"] for _ in range(3)]
            tag = (await client.get(f"/tasks/{ids[0]}?wait=10")).headers["etag"]
            assert tag
            long = await submit(client, "report_steps", params={"steps": 1, "pause": 0.5})
            waits = [asyncio.create_task(client.get(f"/tasks/{long['id']}?wait=60")) for _ in range(5)]
            streams = [asyncio.create_task(client.get(f"/tasks/{long['id']}/events")) for _ in range(5)]
            while (await client.get("/stats")).json()["streams"]["open"] < len(streams):
                await asyncio.sleep(0)
            took = await asyncio.to_thread(server.terminate)
            answers = await asyncio.gather(*waits, *streams)
    assert {answer.status_code for answer in answers} == {200}
    assert all("event: bye" in answer.text for answer in answers[5:])
    assert "worker stopped" in server.output
    assert took < 15 * shutdown_seconds


def test_without_the_extra_the_router_says_what_to_install() -> None:
    """A None in sys.modules makes the import of a package fail."""
    code = """
import sys
for name in ("fastapi", "pydantic", "sse_starlette", "starlette"):
    sys.modules[name] = None
from async_task_worker import AsyncTaskWorker, create_task_worker_router
from async_task_worker.task_worker_api import create_task_worker_router as same
assert same is create_task_worker_router
try:
    create_task_worker_router(AsyncTaskWorker())
except ImportError as error:
    print(error)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert 'pip install "async-task-worker[web]"' in child.stdout


def test_importing_the_package_imports_nothing_of_the_extra() -> None:
    code = """
import json, sys
import async_task_worker, async_task_worker.task_worker_api
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert not {"fastapi", "pydantic", "sse_starlette", "starlette", "uvicorn"} & set(json.loads(child.stdout))
