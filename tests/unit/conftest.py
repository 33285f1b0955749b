"""Fixtures of the unit tests: the simplest backend, and workers on a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from async_task_worker import AsyncTaskWorker
from tests.support import tasks
from tests.support.backends import BACKENDS, Backend
from tests.unit.durable import OpenWorker


@pytest.fixture
def backend() -> Backend:
    return BACKENDS[0]


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "tasks.db"


@pytest_asyncio.fixture
async def open_worker(path: Path) -> AsyncIterator[OpenWorker]:
    """``await open_worker(**options)`` starts a worker on the file; the end of the test stops it."""
    made: list[AsyncTaskWorker] = []

    async def start_worker(query: str = "", **options: Any) -> AsyncTaskWorker:
        worker = AsyncTaskWorker(**{"backend": f"sqlite:///{path}?durability=process{query}", **options})
        made.append(worker)
        await worker.start()
        return worker

    yield start_worker
    tasks.open_all_gates()
    for worker in made:
        await worker.stop(timeout=0)
