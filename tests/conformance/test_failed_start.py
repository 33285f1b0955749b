"""A start that fails, or is cancelled, releases everything it took."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from async_task_worker import AsyncCacheAdapter, AsyncTaskWorker, StorageError
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, note, notes, sleep_for
from tests.support.waiting import finished, running, settled


class Reluctant(AsyncCacheAdapter):
    """A cache that cannot start its sweeps, or takes its time for that."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = True
        self.slow = False

    async def start_cleanup_task(self) -> None:
        if self.slow:
            await asyncio.sleep(3600)
        if self.broken:
            raise OSError("the cache is away")
        await super().start_cleanup_task()


@pytest.fixture
def cache() -> Reluctant:
    return Reluctant()


@pytest.fixture
async def waiting_task(make_worker: MakeWorker, backend: Backend) -> None:
    """On a file: a task that waits for the next start."""
    if backend.durable:
        worker = await make_worker(max_workers=1)
        held = await worker.add_task(sleep_for, 3600)
        await worker.add_task(note, "recovered")
        await running(worker, held)
        await worker.stop(timeout=0)


@pytest.mark.usefixtures("waiting_task")
class TestCache:
    """The cache fails to start."""

    async def test_the_error_is_raised_and_nothing_runs(self, make_worker: MakeWorker, cache: Reluctant) -> None:
        worker = await make_worker(started=False, cache_adapter=cache)
        with pytest.raises(OSError, match="the cache is away"):
            await worker.start()
        await settled()
        assert not worker.is_running
        assert notes == []
        assert all(info.started_at is None for info in worker.get_all_tasks())

    async def test_another_worker_may_have_what_it_had(self, make_worker: MakeWorker, cache: Reluctant) -> None:
        worker = await make_worker(started=False, cache_adapter=cache)
        with pytest.raises(OSError, match="the cache is away"):
            await worker.start()
        other = await make_worker(max_workers=2)
        assert await other.get_task_future(await other.add_task(echo, 1)) == 1

    async def test_it_starts_the_next_time(self, make_worker: MakeWorker, cache: Reluctant, backend: Backend) -> None:
        worker = await make_worker(started=False, cache_adapter=cache, max_workers=2)
        for _ in range(2):
            with pytest.raises(OSError, match="the cache is away"):
                await worker.start()
        cache.broken = False
        await worker.start()
        assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1
        await settled()
        assert notes == (["recovered"] if backend.durable else [])

    async def test_a_cancelled_start_releases_everything(self, make_worker: MakeWorker, cache: Reluctant) -> None:
        cache.slow, cache.broken = True, False
        worker = await make_worker(started=False, cache_adapter=cache, max_workers=2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await worker.start()
        assert not worker.is_running
        assert notes == []
        cache.slow = False
        await worker.start()
        assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1


async def test_a_file_that_cannot_be_opened_leaves_the_cache_unswept(folder: Path) -> None:
    """The sweeps are begun before the file is opened."""
    worker = AsyncTaskWorker(backend=f"sqlite:///{folder}/missing/tasks.db", cache_enabled=True)
    with pytest.raises(StorageError):
        await worker.start()
    await settled()
    assert not worker.is_running
    assert [task.get_name() for task in asyncio.all_tasks() if "cleanup" in task.get_name()] == []
    (folder / "missing").mkdir()
    async with worker:
        assert (await finished(worker, await worker.add_task(echo, 1)))[0].result == 1


def test_after_a_failed_start_it_may_be_started_on_another_loop(cache: Reluctant) -> None:
    worker = AsyncTaskWorker(cache_adapter=cache)
    loops = [asyncio.new_event_loop() for _ in range(2)]

    async def run() -> object:
        async with worker:
            return await worker.get_task_future(await worker.add_task(echo, 1))

    try:
        with pytest.raises(OSError, match="the cache is away"):
            loops[0].run_until_complete(worker.start())
        cache.broken = False
        assert loops[1].run_until_complete(run()) == 1
    finally:
        for loop in loops:
            loop.close()


async def test_a_start_cancelled_while_it_reads_the_file_releases_the_file(
    make_worker: MakeWorker, backend: Backend
) -> None:
    worker = await make_worker(started=False, max_workers=2)
    for turns in range(6):
        start = asyncio.create_task(worker.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        if worker.is_running:
            await worker.stop()
        other = await make_worker()
        await other.stop()
    await worker.start()
    assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1
