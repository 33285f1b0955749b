"""History, searches and backups of a durable worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    DuplicateTaskError,
    MissingResult,
    StorageError,
    TaskStatus,
    WorkerNotRunningError,
)
from tests.support.tasks import (
    echo,
    fail_with,
    take_turns,
)
from tests.support.waiting import finished
from tests.unit.durable import (
    OpenWorker,
    Unwritable,
    in_file,
    info_of,
    make_unwritable,
)


async def test_the_history_survives_the_worker(open_worker: OpenWorker) -> None:
    first = await open_worker()
    good = await first.add_task(echo, {"a": (1, {2})}, metadata={"k": b"v"}, priority=3)
    bad = await first.add_task(fail_with, "wrong")
    known = await finished(first, good, bad)
    await first.stop()
    second = await open_worker()
    for before in known:
        after = await info_of(second, before.id)
        for name in ("name", "status", "created_at", "result", "error", "metadata", "priority", "attempt", "revision"):
            assert getattr(after, name) == getattr(before, name)
        assert abs(after.completed_at - before.completed_at).total_seconds() < 1e-5  # type: ignore[operator]
    detail = (await info_of(second, bad)).error_detail
    assert detail is not None
    assert (detail.type, detail.message) == ("ValueError", "wrong")
    assert "in fail_with" in detail.traceback
    page = await second.search_tasks(limit=1)
    rest = await second.search_tasks(limit=5, cursor=page.next_cursor)
    assert [info.id for info in (*page.tasks, *rest.tasks)] == [bad, good]
    assert rest.next_cursor is None
    assert [info.id for info in (await second.search_tasks("failed", text="WRONG")).tasks] == [bad]


async def test_a_result_that_cannot_be_stored_is_kept_in_memory_only(open_worker: OpenWorker) -> None:
    first = await open_worker()
    task_id = await first.add_task(make_unwritable)
    assert type(await first.get_task_future(task_id)) is Unwritable
    await first.stop()
    info = await info_of(await open_worker(), task_id)
    assert info.status is TaskStatus.COMPLETED
    assert type(info.result) is MissingResult
    assert info.result.type.endswith("Unwritable")


async def test_an_id_in_the_history_is_a_duplicate(open_worker: OpenWorker) -> None:
    first = await open_worker()
    await first.get_task_future(await first.add_task(echo, 1, task_id="mine"))
    await first.stop()
    second = await open_worker()
    with pytest.raises(DuplicateTaskError):
        await second.add_task(echo, 2, task_id="mine")
    assert (await info_of(second, "mine")).result == 1


async def test_max_history_limits_the_finished_tasks_in_the_file(open_worker: OpenWorker, path: Path) -> None:
    worker = await open_worker(max_history=10)
    for number in range(30):
        await worker.get_task_future(await worker.add_task(echo, number))
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM task")[0][0] <= 11


async def test_a_backup_can_be_opened_by_a_worker(open_worker: OpenWorker, folder: Path) -> None:
    worker = await open_worker()
    task_id = await worker.add_task(echo, "copied")
    await worker.get_task_future(task_id)
    await worker.backup(folder / "copy.db")
    with pytest.raises(StorageError, match=r"copy\.db"):
        await worker.backup(folder / "copy.db")
    async with AsyncTaskWorker(backend=f"sqlite:///{folder}/copy.db") as other:
        assert (await info_of(other, task_id)).result == "copied"


@pytest.mark.schedules(20)
async def test_a_backup_during_a_stop_is_complete_or_raises(open_worker: OpenWorker, folder: Path) -> None:
    worker = await open_worker()
    await worker.add_task(echo, "copied", task_id="copied")
    await worker.add_task(take_turns, 50)  # so that there is always something for a backup to wait for
    stop = asyncio.create_task(worker.stop())
    backups = []
    while not stop.done():
        backups.append(asyncio.create_task(worker._backend.backup(folder / f"copy {len(backups)}.db")))
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*backups, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), WorkerNotRunningError}
    for number, outcome in enumerate(outcomes):
        copy = folder / f"copy {number}.db"
        made = copy.exists() and in_file(copy, "SELECT id FROM task WHERE id = 'copied'")
        assert bool(made) is (outcome is None)


@pytest.mark.schedules(20)
async def test_a_search_during_a_stop_finds_the_tasks(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    await worker.add_task(take_turns, 50, task_id="known")
    stop = asyncio.create_task(worker.stop())
    searches = []
    while not stop.done():
        searches.append(asyncio.create_task(worker.search_tasks()))
        await asyncio.sleep(0)
    for page in await asyncio.gather(*searches):
        assert [info.id for info in page.tasks] == ["known"]


async def test_a_worker_in_memory_refuses_a_backup(folder: Path) -> None:
    async with AsyncTaskWorker() as worker:
        with pytest.raises(StorageError, match="memory"):
            await worker.backup(folder / "copy.db")
    with pytest.raises(WorkerNotRunningError):
        await worker.backup(folder / "copy.db")
