"""A failed read, write or sync affects only the calls of that moment; the worker continues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

pytest.importorskip("apsw")

from async_task_worker import AsyncTaskWorker, StorageError, TaskStatus, task
from async_task_worker.backends.sqlite import SqliteBackend
from async_task_worker.journal import unfinished_rows as unfinished
from async_task_worker.journal.location import DatabaseLocation
from tests.chaos import crash_report
from tests.chaos.crash_report import FINAL
from tests.chaos.disk import ERRORS, Disk, Fault
from tests.chaos.run_length import FAULTS, report
from tests.support.tasks import call_a_meeting, echo, meet, note, notes, open_gate, sleep_for, wait_at
from tests.support.waiting import running

CALLERS = 5


def backend_on(path: Path, disk: Disk) -> SqliteBackend:
    return SqliteBackend(DatabaseLocation(path), disk.connect)


@task("note_once", idempotent=False)
async def note_once(label: str) -> None:
    await note(label)


async def call(worker: AsyncTaskWorker, caller: int, refused: list[str]) -> list[str]:
    """Add tasks one after the other; return the ids of those acknowledged."""
    acknowledged = []
    for number in range(6):
        task_id = f"{caller}.{number}"
        try:
            acknowledged.append(await worker.add_task(echo, number, task_id=task_id))
        except StorageError:
            refused.append(task_id)
            assert worker.get_task_info(task_id) is None
    return acknowledged


@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_fault_fails_only_the_calls_that_it_affects(folder: Path, kind: str, error: str) -> None:
    disk, refusals = Disk(), 0
    for nth in FAULTS:
        path = folder / f"{nth}.db"
        worker = AsyncTaskWorker(max_workers=2, backend=backend_on(path, disk))
        await worker.start()
        disk.inject(Fault(kind, nth, ERRORS[error]))
        refused: list[str] = []
        calls = await asyncio.gather(*(call(worker, caller, refused) for caller in range(CALLERS)))
        acknowledged = [task_id for ids in calls for task_id in ids]
        disk.heal()
        acknowledged.append(await worker.add_task(echo, "after the fault"))
        await worker.wait_for_tasks(acknowledged)
        await worker.stop()
        refusals += len(refused)
        left = crash_report.read_tasks(path)
        assert left.keys() == set(acknowledged)
        assert {row.status for row in left.values()} == {FINAL}
        path.unlink()
    disk.unregister()
    report(f"{error} at a {kind}", faults=len(FAULTS), refused=refusals, lost=0)
    assert refusals


async def test_the_end_of_a_task_that_cannot_be_written_is_written_later(folder: Path) -> None:
    disk = Disk()
    worker = AsyncTaskWorker(backend=backend_on(folder / "tasks.db", disk))
    async with worker:
        task_id = await worker.add_task(echo, "kept")
        disk.inject(Fault("write", 1, ERRORS["disk full"], times=1_000_000))
        assert await worker.get_task_future(task_id) == "kept"
        await asyncio.sleep(3)
        disk.heal()
        await asyncio.sleep(3)
        assert (await worker.search_tasks(TaskStatus.COMPLETED)).tasks[0].id == task_id
        assert not worker._backend._journal._commits.queue  # type: ignore[attr-defined]
    disk.unregister()


async def test_one_failed_commit_during_a_stop_loses_no_task_end(folder: Path) -> None:
    disk = Disk()
    worker = AsyncTaskWorker(max_workers=1_500, backend=backend_on(folder / "tasks.db", disk))
    await worker.start()
    ids = await asyncio.gather(*(worker.add_task(wait_at, "gate") for _ in range(1_500)))
    await running(worker, ids[-1])
    await worker.search_tasks(limit=1)  # the search commits that they run
    disk.inject(Fault("write", 1, ERRORS["disk full"], times=1))
    open_gate("gate")
    await worker.stop()
    assert disk.fault is None
    assert {row.status for row in crash_report.read_tasks(folder / "tasks.db").values()} == {FINAL}
    disk.unregister()


async def test_a_non_idempotent_task_is_pending_again_if_the_worker_stops_before_its_call(
    folder: Path,
) -> None:
    disk = Disk()
    worker = AsyncTaskWorker(max_workers=1, backend=backend_on(folder / "tasks.db", disk))
    async with worker:
        first, second = await worker.add_task(wait_at, "gate"), await worker.add_task(note_once, "charge")
        disk.inject(Fault("write", 1, ERRORS["disk full"], times=1_000_000))
        open_gate("gate")
        await running(worker, second)  # this cannot be committed, so the function is not called
        await worker.stop(timeout=0)
        waits, called = worker.get_task_info(second), list(notes)
        disk.heal()
        await worker.start()
        await worker.wait_for_tasks([second])
        assert waits is not None
        assert (waits.status, called, notes) == (TaskStatus.PENDING, [], ["charge"])
    disk.unregister()
    assert crash_report.read_tasks(folder / "tasks.db")[first].status == FINAL


LONG = "x" * 100_000
"""An argument so long that it is not on the same page as the rest of its row."""


async def left_waiting(worker: AsyncTaskWorker) -> str:
    """Return a restored task that runs after one that waits for the test to :func:`meet` it."""
    call_a_meeting(of=2)
    first, second = await worker.add_task(meet), await worker.add_task(echo, LONG)
    await running(worker, first)
    await worker.stop(timeout=0)
    await worker.start()
    await running(worker, first)
    return second


@pytest_asyncio.fixture
async def on_a_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[AsyncTaskWorker, Disk]]:
    """A started worker that reads arguments one task at a time, and the disk of its file."""
    monkeypatch.setattr(unfinished, "PREFETCHED", 0)
    disk = Disk()
    async with AsyncTaskWorker(1, backend=backend_on(folder / "tasks.db", disk)) as worker:
        yield worker, disk
    disk.unregister()


async def test_a_restored_task_waits_until_its_arguments_can_be_read(
    on_a_disk: tuple[AsyncTaskWorker, Disk],
) -> None:
    worker, disk = on_a_disk
    task_id = await left_waiting(worker)
    disk.inject(Fault("read", 1, ERRORS["I/O error"], times=5))
    await meet()
    assert await worker.get_task_future(task_id) == LONG
    assert disk.fault is None


async def test_a_worker_can_stop_while_a_task_waits_for_its_arguments(on_a_disk: tuple[AsyncTaskWorker, Disk]) -> None:
    worker, disk = on_a_disk
    task_id = await left_waiting(worker)
    disk.inject(Fault("read", 1, ERRORS["I/O error"], times=1_000))
    await meet()
    await running(worker, task_id)
    await worker.stop(timeout=5)
    info = worker.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.PENDING


async def test_the_commit_queue_stays_bounded_while_the_disk_fails(folder: Path) -> None:
    disk = Disk()
    worker = AsyncTaskWorker(max_workers=5, backend=backend_on(folder / "tasks.db", disk))
    async with worker:
        known = [await worker.add_task(sleep_for, 60, number) for number in range(20)]
        disk.inject(Fault("write", 1, ERRORS["disk full"], times=1_000_000))
        refused: set[type] = set()
        for _ in range(50):
            calls = (worker.add_task(echo, 1) for _ in range(10))
            refused |= {type(error) for error in await asyncio.gather(*calls, return_exceptions=True)}
            await asyncio.sleep(10)
        results = await worker.wait_for_tasks(known)
        await asyncio.sleep(0.5)  # between two attempts
        queue = worker._backend._journal._commits.queue  # type: ignore[attr-defined]
        waited, awaited = list(queue.updates), queue.is_awaited
        disk.heal()
        await asyncio.sleep(3)
        assert (results, refused) == (list(range(20)), {StorageError})
        assert sorted(waited) == sorted(known)
        assert not awaited
        assert not queue
    disk.unregister()
    assert {row.status for row in crash_report.read_tasks(folder / "tasks.db").values()} == {FINAL}


@pytest.mark.parametrize("error", ERRORS)
async def test_a_cache_on_a_failing_disk_gives_no_wrong_result_and_fails_no_task(folder: Path, error: str) -> None:
    disk, counted = Disk(), 0
    for nth in FAULTS:
        path = folder / f"{nth}.db"
        worker = AsyncTaskWorker(backend=backend_on(path, disk), cache_enabled=True, cache_adapter="sqlite")
        for fault in (Fault("write", nth, ERRORS[error]), None):
            async with worker:
                if fault is not None:
                    disk.inject(fault)
                for number in range(10):
                    try:
                        task_id = await worker.add_task(echo, number % 5)
                    except StorageError:
                        continue
                    assert await worker.get_task_future(task_id) == number % 5
                disk.heal()
        counted += worker.cache.statistics().errors
        assert worker.cache.statistics().faults.get("corrupt", 0) == 0
        crash_report.read_tasks(path)
        path.unlink()
    disk.unregister()
    report(f"{error} under a cache", faults=len(FAULTS), counted=counted, wrong=0)
    assert counted


async def test_a_cancellation_that_cannot_be_written_raises(folder: Path) -> None:
    disk = Disk()
    worker = AsyncTaskWorker(max_workers=1, backend=backend_on(folder / "tasks.db", disk))
    async with worker:
        ids = [await worker.add_task(sleep_for, 3600) for _ in range(2)]
        disk.inject(Fault("write", 1, ERRORS["disk full"], times=1_000_000))
        with pytest.raises(StorageError):
            await worker.cancel_task(ids[1])
        disk.heal()
        assert await worker.cancel_task(ids[0])
    disk.unregister()
    left = crash_report.read_tasks(folder / "tasks.db")
    assert [left[task_id].status for task_id in ids] == [FINAL + 2] * 2


@pytest.mark.parametrize("error", ["disk full", "I/O error"])
async def test_a_worker_can_stop_while_every_write_fails(folder: Path, error: str) -> None:
    """Without the error "busy": SQLite would take it for a lock during the last checkpoint, and drop the log."""
    disk = Disk()
    worker = AsyncTaskWorker(max_workers=1, backend=backend_on(folder / "tasks.db", disk))
    await worker.start()
    ended = await worker.add_task(echo, "kept")
    await worker.get_task_future(ended)
    first, second = [await worker.add_task(sleep_for, 3600) for _ in range(2)]
    disk.inject(Fault("write", 1, ERRORS[error], times=1_000_000))
    await worker.stop(timeout=0)
    disk.heal()
    async with worker:
        await running(worker, first)
        assert {info.id for info in worker.get_all_tasks(TaskStatus.PENDING)} == {second}
        await worker.stop(timeout=0)
    disk.unregister()
    left = crash_report.read_tasks(folder / "tasks.db")
    assert [left[task_id].status for task_id in (ended, first, second)] == [FINAL, 0, 0]
