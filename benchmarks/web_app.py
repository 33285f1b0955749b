"""What the benchmark of the HTTP API serves: the router, and beside it a bare route with the same answer."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from async_task_worker import AsyncTaskWorker, create_task_worker_router, register_task, task

KNOWN = int(os.environ.get("KNOWN_TASKS", "0"))
FILE = os.environ.get("TASKS_FILE")
ANSWER = {
    "id": "5ab5ddb9-b6c1-4f0e-8e0d-a9c9d2e0b2f4",
    "status": "pending",
    "progress": 0.0,
    "metadata": {"task_type": "noop"},
    "result": None,
    "error": None,
    "task_type": "noop",
    "phase": None,
    "params": {},
    "priority": 0,
    "progress_detail": None,
    "error_detail": None,
    "attempt": 0,
    "cached": False,
    "worker_id": None,
    "created_at": "2026-01-05T12:00:00.250000Z",
    "started_at": None,
    "completed_at": None,
    "wait_time": None,
    "run_time": None,
}


@task("noop")
async def noop() -> None:
    """Do nothing."""


async def fail() -> None:
    """Fail, as one in a thousand of the listed tasks does."""
    raise ValueError("no luck")


register_task("rare", fail)
worker = AsyncTaskWorker(max_workers=10)
if FILE:
    worker = AsyncTaskWorker(max_workers=10, backend=f"sqlite:///{FILE}", max_history=None, retention=None)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run the worker, with as many tasks known to it as were asked for."""
    async with worker:
        for number in range(KNOWN):
            await worker.add_task(fail if number % 1000 == 0 else noop, metadata={"number": number, "tenant": "acme"})
        await worker.drain()
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(create_task_worker_router(worker))


@app.post("/bare", status_code=201)
async def bare(body: dict[str, Any]) -> dict[str, Any]:
    """Return the same JSON, the way a FastAPI route does it."""
    return ANSWER if body else {}


@app.post("/lean", status_code=201)
async def lean(request: Request) -> JSONResponse:
    """Return the same JSON by the shortest way there is: nothing is checked or converted."""
    return JSONResponse(ANSWER if await request.json() else {}, 201)


def main() -> None:
    """Serve on a free port; say on which."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
