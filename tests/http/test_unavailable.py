"""Every endpoint while the worker, its file or its cache cannot be used: a problem document, never a 500.

The endpoints are those of the router, so a new one is covered as soon as it is added.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from fastapi.routing import APIRoute

from async_task_worker import AsyncTaskWorker, create_task_worker_router
from async_task_worker.backends.sqlite import SqliteBackend
from async_task_worker.journal.location import DatabaseLocation
from async_task_worker.web import Limits
from tests.conftest import MakeWorker
from tests.http.conftest import client_of
from tests.http.requests import problem_code
from tests.support import served_app
from tests.support.slow_disk import Disk
from tests.support.tasks import echo, wait_at

HEALTH = ("/health", "/health/live", "/health/ready")
BODIES: dict[str, object] = {
    "/tasks": {"task_type": "own_names", "use_cache": True},
    "/tasks/": {"task_type": "own_names"},
    "/tasks/batch": {"tasks": [{"task_type": "own_names"}]},
    "/tasks/actions": {"action": "cancel", "query": {}},
    "/tasks/{task_id}/cancel": None,
    "/tasks/{rest:path}": None,
}
"""A body for each path that accepts POST."""


async def answers(worker: AsyncTaskWorker, *task_ids: str) -> dict[str, httpx.Response]:
    """Return the response of each endpoint, by method and path, for each of the tasks."""
    router = create_task_worker_router(worker, limits=Limits(stream_lifetime=0.01), protect_health=True)
    app = FastAPI()
    app.include_router(router)
    found: dict[str, httpx.Response] = {}
    async with client_of(app) as client:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods):
                body = BODIES[route.path] if method == "POST" else None  # a new path needs a body in BODIES
                for task_id in task_ids:
                    path = route.path.replace("{task_id}", task_id).replace("{rest:path}", "a/b")
                    found[f"{method} {path}"] = await client.request(method, path, json=body)
        for task_id in task_ids:
            found[f"waiting {task_id}"] = await client.get(f"/tasks/{task_id}?wait=1")
            found[f"watching {task_id}"] = await client.get(f"/tasks/{task_id}?wait=1", headers={"If-None-Match": "*"})
        found["search"] = await client.get("/tasks?q=a&status=completed")
        body = {"task_type": "own_names"}
        found["keyed"] = await client.post("/tasks", json=body, headers={"Idempotency-Key": "k"})
    return found


def check(found: dict[str, httpx.Response]) -> dict[str, str]:
    """Check that errors are problems and none is a 500; return the codes of those with status 503."""
    codes = {}
    for name, response in found.items():
        if response.status_code >= 400 and name.removeprefix("GET ") not in HEALTH:
            code = problem_code(response)
            assert response.status_code != 500, name
            if response.status_code == 503:
                codes[name] = code
    return codes


@pytest_asyncio.fixture
async def known(make_worker: MakeWorker) -> tuple[AsyncTaskWorker, str, str]:
    """A worker, a finished task and a running task."""
    worker = await make_worker(max_workers=1, max_queue_size=100)
    done = await worker.add_task(echo, 1)
    await worker.get_task_future(done)
    return worker, done, await worker.add_task(wait_at, "gate")


async def test_every_endpoint_is_available_on_a_running_worker(known: tuple[AsyncTaskWorker, str, str]) -> None:
    worker, *task_ids = known
    found = await answers(worker, *task_ids, "unknown")
    assert check(found) == {}
    assert found["GET /health"].status_code == 200


async def test_every_endpoint_on_a_stopped_worker(known: tuple[AsyncTaskWorker, str, str]) -> None:
    worker, *task_ids = known
    await worker.stop(timeout=0)
    found = await answers(worker, *task_ids, "unknown")
    codes = check(found)
    assert {"POST /tasks", "keyed"} <= codes.keys()
    assert set(codes.values()) == {"not_running"}
    assert all(found[name].headers["retry-after"] for name in codes)
    assert (found["GET /health"].status_code, found["GET /health"].json()["status"]) == (503, "stopped")


async def test_every_endpoint_on_a_worker_that_was_never_started(make_worker: MakeWorker) -> None:
    found = await answers(await make_worker(started=False), "unknown")
    codes = check(found)
    assert {"POST /tasks", "keyed"} <= codes.keys()
    assert set(codes.values()) == {"not_running"}


async def test_every_endpoint_on_another_event_loop(known: tuple[AsyncTaskWorker, str, str]) -> None:
    """The router must not touch the worker there: it belongs to another thread."""
    worker, *task_ids = known
    before = worker.get_all_tasks()
    found = await asyncio.to_thread(asyncio.run, answers(worker, *task_ids, "unknown"))
    codes = check(found)
    assert codes.keys() == {name for name in found if name.removeprefix("GET ") not in HEALTH}
    assert set(codes.values()) == {"wrong_event_loop"}
    assert not any("retry-after" in response.headers for response in found.values()), "it does not pass"
    assert found["GET /health"].status_code == 503
    assert found["GET /health"].json()["status"] == "wrong_event_loop"
    assert worker.get_all_tasks() == before


FORKED = """
import asyncio, json, os, sys, threading
from async_task_worker import AsyncTaskWorker
from tests.http.test_unavailable import answers, check
from tests.support.tasks import echo

async def forked(worker, task_id):
    found = await answers(worker, task_id, "unknown")
    print(json.dumps([check(found), len(found), found["GET /health"].json()["status"]]), flush=True)

def child(worker, task_id):
    asyncio.run(forked(worker, task_id))
    os._exit(0)

async def main():
    async with AsyncTaskWorker(backend=sys.argv[1]) as worker:
        task_id = await worker.add_task(echo, 1)
        await worker.get_task_future(task_id)
        if os.fork() == 0:
            thread = threading.Thread(target=child, args=(worker, task_id))
            thread.start()
            thread.join()
            os._exit(1)
        os.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_every_endpoint_in_a_forked_process(backend: Any, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, backend.url(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout, ran.stderr
    codes, asked, health = json.loads(ran.stdout)
    assert set(codes.values()) == {"wrong_process"}
    assert len(codes) == asked - len(HEALTH)
    assert health == "wrong_process"


@pytest_asyncio.fixture
async def on_a_disk(folder: Path) -> AsyncIterator[Callable[..., Any]]:
    """Returns a started worker on a disk that can fail."""
    async with AsyncExitStack() as stack:

        async def make(disk: Disk, **options: Any) -> AsyncTaskWorker:
            backend = SqliteBackend(DatabaseLocation(folder / "tasks.db"), disk.connect)
            return await stack.enter_async_context(AsyncTaskWorker(1, backend=backend, max_history=0, **options))

        yield make


FAULTS = {"full": "database or disk is full", "failing": "disk I/O error"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_endpoint_with_a_disk_that_is_full_or_fails(on_a_disk: Callable[..., Any], fault: str) -> None:
    """No task is in memory any more, so each response needs the file."""
    disk = Disk()
    worker = await on_a_disk(disk)
    task_id = await worker.add_task(echo, 1)
    await worker.get_task_future(task_id)
    disk.fails = sqlite3.OperationalError(FAULTS[fault])
    try:
        found = await answers(worker, task_id)
    finally:
        disk.fails = None
    codes = check(found)
    assert {"POST /tasks", "GET /tasks", f"GET /tasks/{task_id}", f"DELETE /tasks/{task_id}"} <= codes.keys()
    assert set(codes.values()) == {"storage_failed"}
    assert all(found[name].headers["retry-after"] for name in codes)
    assert not any("tasks.db" in response.text for response in found.values()), "no path of a file"


class UnavailableCache:
    """A cache whose storage does not respond."""

    async def get(self, key: str) -> tuple[bool, Any]:
        raise ConnectionError("away")

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        raise ConnectionError("away")

    async def delete(self, key: str) -> bool:
        raise ConnectionError("away")

    async def clear(self) -> None:
        raise ConnectionError("away")


async def test_every_endpoint_while_the_cache_is_unavailable(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True, cache_adapter=UnavailableCache(), max_queue_size=100)
    done = await worker.add_task(served_app.add_numbers, 1)
    await worker.get_task_future(done)
    found = await answers(worker, done, "unknown")
    codes = check(found)
    assert codes == {"DELETE /cache": "cache_unavailable"}
    assert found["DELETE /cache"].headers["retry-after"]
    assert found["POST /tasks"].status_code == 201
