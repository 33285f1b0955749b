"""The application that the tests serve: the sample tasks, and tasks with unusual results and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from async_task_worker import AsyncTaskWorker, ProgressCallback, create_task_worker_router, task
from async_task_worker.web import Limits, redact_names


class Opaque:
    """A class that JSON has no form for."""

    def __repr__(self) -> str:
        return "token=hunter2"


def _cycle() -> list[Any]:
    found: list[Any] = ["round"]
    found.append(found)
    return found


ODD_RESULTS = {
    "object": Opaque,
    "bytes": lambda: b"\x00\xff",
    "cycle": _cycle,
    "huge integer": lambda: 10**5000,
    "nan": lambda: float("nan"),
    "infinity": lambda: [float("-inf")],
    "surrogate": lambda: {"text": "\ud800"},
    "odd keys": lambda: {(1, 2): "tuple", None: "none"},
    "deep": lambda: __import__("functools").reduce(lambda inner, _: [inner], range(5000), 0),
    "megabytes": lambda: "x" * 5_000_000,
    "class": lambda: Opaque,
}


@task("odd_result")
async def odd_result(kind: str) -> Any:
    """Return something that is not JSON."""
    return ODD_RESULTS[kind]()


@task("log_in")
async def log_in(user: str, password: str) -> None:
    """Fail with an error that quotes the password."""
    raise PermissionError(f"{user} may not use {password!r}")


@task("report_steps")
async def report_steps(steps: int, pause: float = 0.0, progress_callback: ProgressCallback | None = None) -> int:
    """Report so many steps of progress, with a pause after each."""
    for step in range(steps):
        if progress_callback is not None:
            progress_callback((step + 1) / steps)
        await asyncio.sleep(pause)
    return steps


@task("echo_value")
async def echo_value(value: Any = None) -> Any:
    """Return the value."""
    return value


@task("add_numbers")
async def add_numbers(left: int, right: int = 0) -> int:
    """Return the sum."""
    return left + right


@task("takes_float")
async def takes_float(value: float) -> float:
    """Return the number."""
    return value


@task("own_names")
async def own_names(self: int = 0, priority: str = "", task_id: bool = False, args: list[int] | None = None) -> Any:
    """Return the arguments of parameters that are named like options of a submission."""
    return {"self": self, "priority": priority, "task_id": task_id, "args": args}


@task("not_for_strangers", expose=False)
async def not_for_strangers() -> str:
    """Return something that must not be reachable over HTTP."""
    return "private"


worker = AsyncTaskWorker(max_workers=4)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with worker:
        yield
    print("worker stopped", flush=True)  # noqa: T201 - a test looks for it


app = FastAPI(lifespan=lifespan)
app.include_router(create_task_worker_router(worker, redact=redact_names("password", "api_key")))

impatient_worker = AsyncTaskWorker(max_workers=4)
impatient_app = FastAPI(lifespan=impatient_worker.lifespan)
"""The same for clients that take nothing of what is sent to them."""
impatient_app.include_router(create_task_worker_router(impatient_worker, limits=Limits(send_timeout=0.1)))

brief_worker = AsyncTaskWorker(max_workers=4, task_timeout=0.2, max_queue_size=50, on_full="error")
brief_app = FastAPI(lifespan=brief_worker.lifespan)
"""The same application for thousands of requests: no task and no stream takes long."""
brief_app.include_router(create_task_worker_router(brief_worker, limits=Limits(stream_lifetime=0.01)))
