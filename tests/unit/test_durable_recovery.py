"""Recovery: tasks whose process died, and non-idempotent tasks that were interrupted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from async_task_worker import (
    TaskInterruptedError,
    TaskStatus,
    register_task,
)
from async_task_worker.model.registry import _REGISTRY
from tests.support import tasks
from tests.support.tasks import (
    open_gate,
    wait_at,
)
from tests.support.waiting import finished, running
from tests.unit.durable import (
    OpenWorker,
    count_once,
    in_file,
    info_of,
    mark_as_crashed,
    only_once,
    refuse_to_stop_once,
    wait_once,
)


async def test_a_task_whose_process_died_runs_again_as_recovered(open_worker: OpenWorker, path: Path) -> None:
    first = await open_worker()
    task_id = await first.add_task(wait_at, "gate", "value")
    await first.stop(timeout=0)
    mark_as_crashed(path, task_id)
    second = await open_worker()
    await running(second, task_id)
    info = second.get_task_info(task_id)
    assert info is not None
    assert (info.phase, info.attempt) == ("recovered", 2)
    open_gate("gate")
    (info,) = await finished(second, task_id)
    assert (info.result, info.phase) == ("value", None)


async def test_a_task_fails_after_its_process_has_died_three_times(open_worker: OpenWorker, path: Path) -> None:
    first = await open_worker()
    task_id = await first.add_task(wait_at, "gate")
    await first.stop(timeout=0)
    for deaths in (1, 2):
        mark_as_crashed(path, task_id, deaths)
        worker = await open_worker()
        await running(worker, task_id)
        await worker.stop(timeout=0)
    mark_as_crashed(path, task_id, 3)
    worker = await open_worker()
    info = await info_of(worker, task_id)
    assert (info.status, info.error) == (TaskStatus.FAILED, "worker died 3 times while running this task")
    assert worker.get_task_info(task_id) is None


async def test_a_non_idempotent_task_fails_if_its_process_died(open_worker: OpenWorker, path: Path) -> None:
    first = await open_worker()
    task_id = await first.add_task(only_once)
    await first.stop(timeout=0)
    mark_as_crashed(path, task_id)
    info = await info_of(await open_worker(), task_id)
    assert info.status is TaskStatus.FAILED
    assert "must not run twice" in str(info.error)


async def test_a_non_idempotent_task_fails_if_the_worker_stops_while_it_runs(
    open_worker: OpenWorker,
) -> None:
    first = await open_worker()
    once, other = await first.add_task(wait_once, "charge"), await first.add_task(wait_at, "gate")
    future = first.get_task_future(once)
    await running(first, once)
    await first.stop(timeout=0)
    with pytest.raises(TaskInterruptedError, match="must not run twice"):
        await future
    ended = first.get_task_info(once)
    second = await open_worker()
    assert second.get_task_info(once) is None
    open_gate("gate")
    await second.wait_for_tasks([other])
    written = await info_of(second, once)
    for info in (written, ended):
        assert info is not None
        assert (info.status, info.error, info.attempt) == (TaskStatus.FAILED, str(TaskInterruptedError()), 1)
    assert tasks.notes == ["charge"]


async def test_a_non_idempotent_task_that_ignores_the_stop_fails_too(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    task_id = await worker.add_task(refuse_to_stop_once, "gate")
    await running(worker, task_id)
    stop = asyncio.create_task(worker.stop(timeout=0))
    assert (await finished(worker, task_id))[0].status is TaskStatus.FAILED
    await stop


async def test_a_restored_non_idempotent_task_fails_if_the_worker_stops_while_it_runs(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate", priority=1)
    task_id = await first.add_task(wait_once, "charge")
    await first.stop(timeout=0)
    second = await open_worker()
    await running(second, task_id)
    await second.stop(timeout=0)
    info = second.get_task_info(task_id)
    assert info is not None
    assert (info.status, info.error) == (TaskStatus.FAILED, str(TaskInterruptedError()))


async def test_a_follower_of_an_interrupted_non_idempotent_task_stays_pending(open_worker: OpenWorker) -> None:
    worker = await open_worker(cache_enabled=True)
    leader, follower = [await worker.add_task(refuse_to_stop_once, "gate") for _ in range(2)]
    await running(worker, leader)
    await worker.stop(timeout=0)
    found = [worker.get_task_info(task_id).status for task_id in (leader, follower)]  # type: ignore[union-attr]
    assert found == [TaskStatus.FAILED, TaskStatus.PENDING]


EXIT_IN_TASK = """
import asyncio, os, sys
from async_task_worker import AsyncTaskWorker, task

@task("only_once", idempotent=False)
async def only_once(): os._exit(9)

async def main():
    async with AsyncTaskWorker(backend="sqlite:///" + sys.argv[1]) as worker:
        if not worker.counts()["pending"]:
            await worker.add_task(only_once, task_id="charge")
        await worker.drain()

asyncio.run(main())
"""


@pytest.mark.parametrize("waited", [False, True])
async def test_a_non_idempotent_task_whose_process_dies_at_its_first_statement_does_not_run_again(
    open_worker: OpenWorker, path: Path, waited: bool
) -> None:
    if waited:
        first = await open_worker(max_workers=1)
        await first.add_task(wait_at, "gate")
        await first.add_task(only_once, task_id="charge")
        await first.stop(timeout=0)
    assert subprocess.run([sys.executable, "-c", EXIT_IN_TASK, path], check=False).returncode == 9  # noqa: ASYNC221
    assert "must not run twice" in str((await info_of(await open_worker(), "charge")).error)


POISON = """
import asyncio, os, sys
from async_task_worker import AsyncTaskWorker, task

@task("poison")
async def poison(): os._exit(9)

async def main():
    async with AsyncTaskWorker(backend=f"sqlite:///{sys.argv[1]}?max_recoveries=2") as worker:
        if await worker.fetch_task_info("poison") is None:
            await worker.add_task(poison, task_id="poison")
        await worker.drain()

asyncio.run(main())
"""


async def test_a_task_that_kills_its_process_at_once_runs_at_most_once_more_than_counted(
    open_worker: OpenWorker, path: Path
) -> None:
    """The first crash may come before the start of the task is committed, and then is not counted."""
    deaths = 0
    while subprocess.run([sys.executable, "-c", POISON, path], check=False).returncode == 9:  # noqa: ASYNC221
        deaths += 1
    assert deaths in (2, 3)
    info = await info_of(await open_worker(), "poison")
    assert (info.status, info.error) == (TaskStatus.FAILED, "worker died 2 times while running this task")


async def test_a_client_between_two_crashes_does_not_hide_the_task_that_causes_them(
    open_worker: OpenWorker, path: Path
) -> None:
    """A service that is restarted after each crash, and a program that adds tasks while the service is down."""
    deaths = 0
    while subprocess.run([sys.executable, "-c", POISON, path], check=False).returncode == 9:  # noqa: ASYNC221
        deaths += 1
        assert deaths <= 3
        await (await open_worker("&max_recoveries=2", consume=False)).stop()
    assert (await info_of(await open_worker(), "poison")).status is TaskStatus.FAILED


async def test_a_start_that_fails_after_a_crash_leaves_the_next_one_as_careful(
    open_worker: OpenWorker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_worker()).stop()
    mark_as_crashed(path, "of another process")
    with monkeypatch.context() as patched:
        patched.setattr("async_task_worker.backends.sqlite.RestoredRecords", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await open_worker()
    assert in_file(path, "SELECT name FROM fact") == [("in use",)]


async def test_a_non_idempotent_task_can_be_cached(open_worker: OpenWorker) -> None:
    worker = await open_worker(cache_enabled=True)
    ids = []
    for _ in range(2):
        ids.append(await worker.add_task(count_once, ["a list"]))
        await finished(worker, ids[-1])
    assert [(await info_of(worker, task_id)).from_cache for task_id in ids] == [False, True]


async def test_a_recovered_task_is_recovered_after_its_type_is_registered(
    open_worker: OpenWorker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_worker()
    task_id = await first.add_task(wait_at, "gate")
    await first.stop(timeout=0)
    mark_as_crashed(path, task_id)
    function = _REGISTRY._entries["wait_at"].func
    monkeypatch.delitem(_REGISTRY._entries, "wait_at")  # it is back after this test, however that ends
    second = await open_worker()
    assert (await info_of(second, task_id)).phase == "unregistered"
    phases: list[object] = []
    second.events.listen(lambda event: phases.append(event.task.phase))
    register_task("wait_at", function)
    await running(second, task_id)
    assert phases[0] == "recovered"
