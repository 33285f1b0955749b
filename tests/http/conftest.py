"""Requests to the router of a worker without a network, in virtual time unless a test is marked real_time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest_asyncio
from fastapi import FastAPI

from async_task_worker import AsyncTaskWorker, create_task_worker_router
from tests.support import served_app  # noqa: F401 - importing it registers its tasks

Client = httpx.AsyncClient
ServeWorker = Callable[..., Any]


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[ServeWorker]:
    """``await serve(worker, **options)`` returns a client of an application with the worker's router."""
    async with AsyncExitStack() as stack:

        async def serve(worker: AsyncTaskWorker, **options: Any) -> Client:
            app = FastAPI()
            app.include_router(create_task_worker_router(worker, **options))
            return await stack.enter_async_context(client_of(app))

        yield serve


@pytest_asyncio.fixture
async def client(worker: AsyncTaskWorker, serve: ServeWorker) -> Client:
    """A client of the router of a worker with two slots."""
    return await serve(worker)


def client_of(app: Any) -> Client:
    return Client(transport=httpx.ASGITransport(app), base_url="http://test", timeout=None)
