"""429 means that the queue is full: neither a slow disk nor an earlier refusal causes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from async_task_worker import AsyncTaskWorker
from async_task_worker.backends.sqlite import SqliteBackend
from async_task_worker.journal.location import DatabaseLocation
from async_task_worker.web import Limits
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.support.slow_disk import Disk
from tests.support.tasks import wait_at
from tests.support.waiting import running

TASK = {"task_type": "own_names"}


@pytest_asyncio.fixture
async def slow(folder: Path) -> AsyncIterator[tuple[AsyncTaskWorker, Disk]]:
    disk = Disk()
    backend = SqliteBackend(DatabaseLocation(folder / "tasks.db"), disk.connect)
    async with AsyncTaskWorker(2, max_queue_size=10, backend=backend) as worker:
        yield worker, disk


@pytest.mark.real_time
async def test_a_slow_commit_is_waited_for(slow: tuple[AsyncTaskWorker, Disk], serve: ServeWorker) -> None:
    worker, disk = slow
    client = await serve(worker, limits=Limits(queue_wait=0.01))
    with disk.commits_held_back():
        request = asyncio.create_task(client.post("/tasks", json=TASK))
        await asyncio.to_thread(disk.held.wait, 30)
        assert not (await asyncio.wait([request], timeout=0.1))[0]
    assert (await request).status_code == 201


@pytest.mark.real_time
async def test_a_batch_waits_for_a_slow_commit_too(slow: tuple[AsyncTaskWorker, Disk], serve: ServeWorker) -> None:
    worker, disk = slow
    client = await serve(worker, limits=Limits(queue_wait=0))
    with disk.commits_held_back():
        request = asyncio.create_task(client.post("/tasks/batch", json={"tasks": [TASK] * 3}))
        await asyncio.to_thread(disk.held.wait, 30)
        assert not (await asyncio.wait([request], timeout=0.1))[0]
    assert [result["status"] for result in (await request).json()["results"]] == [201] * 3


async def test_a_submission_that_does_not_wait_uses_free_capacity(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=2)
    client = await serve(worker, limits=Limits(queue_wait=0))
    await running(worker, await worker.add_task(wait_at, "gate"))
    statuses = [(await client.post("/tasks", json=TASK)).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]
