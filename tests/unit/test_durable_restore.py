"""Restore and recovery: what a durable worker runs again after a stop or a crash."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    TaskInterruptedError,
    TaskStatus,
    get_task_function,
    register_task,
    task,
)
from async_task_worker.journal.restore import RestoredRecords
from async_task_worker.journal.unfinished import UnfinishedRows
from async_task_worker.model.registry import _REGISTRY
from tests.support import tasks
from tests.support.tasks import (
    add,
    echo,
    note,
    open_gate,
    report_progress,
    sleep_for,
    wait_at,
)
from tests.support.waiting import finished, running, settled
from tests.unit.durable import (
    OpenWorker,
    count_once,
    info_of,
    insert_pending,
    mark_as_crashed,
    only_once,
    refuse_to_stop_once,
    wait_once,
)


async def test_pending_and_interrupted_tasks_run_after_the_next_start(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    cut_off = await first.add_task(wait_at, "gate", {"what": ("was", 1)}, metadata={"tenant": "acme"})
    waited = [await first.add_task(note, number, priority=-number) for number in range(5)]
    await running(first, cut_off)
    await first.stop(timeout=0)
    tasks.forget_everything()
    open_gate("gate")
    second = await open_worker(max_workers=1)
    assert second.counts()[TaskStatus.PENDING] + second.counts()[TaskStatus.RUNNING] == 6
    assert await second.wait_for_tasks([cut_off, *waited]) == [{"what": ("was", 1)}, *range(5)]
    assert tasks.notes == [4, 3, 2, 1, 0]
    info = second.get_task_info(cut_off)
    assert info is not None
    assert (info.attempt, info.metadata) == (2, {"tenant": "acme"})


async def test_a_worker_that_starts_again_runs_the_tasks_it_left(open_worker: OpenWorker) -> None:
    worker = await open_worker(max_workers=1)
    first, second = await worker.add_task(sleep_for, 5, "slept"), await worker.add_task(echo, 2)
    await running(worker, first)
    await worker.stop(timeout=0)
    assert [info.status for info in worker.get_all_tasks()] == [TaskStatus.PENDING] * 2
    await worker.start()
    assert await worker.wait_for_tasks([first, second]) == ["slept", 2]


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


async def test_a_non_idempotent_task_can_be_cached(open_worker: OpenWorker) -> None:
    worker = await open_worker(cache_enabled=True)
    ids = []
    for _ in range(2):
        ids.append(await worker.add_task(count_once, ["a list"]))
        await finished(worker, ids[-1])
    assert [(await info_of(worker, task_id)).from_cache for task_id in ids] == [False, True]


async def test_tasks_of_an_unregistered_type_wait_until_it_is_registered(
    open_worker: OpenWorker, caplog: pytest.LogCaptureFixture
) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate")
    ids = [await first.add_task(add, number, right=1) for number in range(3)]
    await first.stop(timeout=0)
    function = _REGISTRY._entries.pop("add").func
    tasks.open_all_gates()
    second = await open_worker()
    assert "stored tasks (3) wait for functions that are not registered: 'add' (3)" in caplog.text
    assert caplog.text.count("not registered") == 1
    assert second.unregistered_tasks == {"add": 3}
    assert await second.cancel_task(gone := ids.pop())
    assert second.get_task_info(gone).phase is None  # type: ignore[union-attr]
    assert second.unregistered_tasks == {"add": 2}
    await settled()
    found = [second.get_task_info(task_id) for task_id in ids]
    assert [(info.status, info.phase) for info in found if info] == [(TaskStatus.PENDING, "unregistered")] * 2
    assert [info.phase for info in (await second.search_tasks(task_type="add", status="pending")).tasks] == [
        "unregistered"
    ] * 2
    revisions = [info.revision for info in found if info]
    register_task("add", function)
    await asyncio.sleep(0)
    assert second.unregistered_tasks == {}
    found = [second.get_task_info(task_id) for task_id in ids]
    assert all(info and info.phase is None for info in found)
    assert all(info and info.revision > before for info, before in zip(found, revisions, strict=True))
    assert await second.wait_for_tasks(ids) == [1, 2]


async def test_a_recovered_task_is_recovered_after_its_type_is_registered(open_worker: OpenWorker, path: Path) -> None:
    first = await open_worker()
    task_id = await first.add_task(wait_at, "gate")
    await first.stop(timeout=0)
    mark_as_crashed(path, task_id)
    function = _REGISTRY._entries.pop("wait_at").func
    second = await open_worker()
    assert (await info_of(second, task_id)).phase == "unregistered"
    phases: list[object] = []
    second.events.listen(lambda event: phases.append(event.task.phase))
    register_task("wait_at", function)
    await running(second, task_id)
    assert phases[0] == "recovered"


async def test_a_restored_task_calls_the_function_that_has_its_name_now(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate")
    task_id = await first.add_task(add, 2, 3)
    await first.stop(timeout=0)

    async def multiply(left: float, right: float) -> float:
        return left * right

    before = get_task_function("add")
    assert before is not None
    register_task("add", multiply)
    tasks.open_all_gates()
    try:
        assert await (await open_worker()).get_task_future(task_id) == 6
    finally:
        register_task("add", before)


async def test_a_restored_task_reports_progress_if_its_present_function_does(
    open_worker: OpenWorker,
) -> None:
    async def plain() -> str:
        return "plain"

    async def reporting(progress_callback: Callable[[float], None]) -> str:
        progress_callback(0.5)
        return "reporting"

    kinds = {"plain": plain, "reporting": reporting}
    for name, function in kinds.items():
        register_task(name, function)
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate")
    ids = [await first.add_task(function) for function in kinds.values()]
    await first.stop(timeout=0)
    second = await open_worker(max_workers=1)
    for name, function in zip(kinds, reversed(kinds.values()), strict=True):
        register_task(name, function)
    tasks.open_all_gates()
    try:
        assert await second.wait_for_tasks(ids) == ["reporting", "plain"]
    finally:
        for name in kinds:
            del _REGISTRY._entries[name]


async def test_a_start_that_is_cancelled_while_it_reads_ends_soon_and_loses_no_task(
    open_worker: OpenWorker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_worker()).stop()
    insert_pending(path, 5_000)
    taken = 0
    add = RestoredRecords.add
    loop, reads, goes_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slowly(restored: RestoredRecords, found: UnfinishedRows) -> None:
        nonlocal taken
        taken += 1
        loop.call_soon_threadsafe(reads.set)
        goes_on.wait()
        add(restored, found)

    monkeypatch.setattr(RestoredRecords, "add", slowly)
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}", max_workers=1)
    start = asyncio.create_task(worker.start())
    await reads.wait()
    start.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.wait([start])
    assert (start.cancelled(), taken) == (True, 1)
    monkeypatch.undo()
    await worker.start()
    assert worker.counts()[TaskStatus.PENDING] + worker.counts()[TaskStatus.RUNNING] == 5_000
    await worker.stop(timeout=0)


async def test_released_tasks_run_after_a_restart_while_the_task_that_stopped_the_worker_still_runs(
    open_worker: OpenWorker,
) -> None:
    worker = await open_worker(max_workers=2)

    @task("stop_and_go_on")
    async def stop_and_go_on() -> None:
        await wait_at("the stop")
        await worker.stop(timeout=0)
        await wait_at("the end")

    stops, cut_off = await worker.add_task(stop_and_go_on), await worker.add_task(note, "cut off", gate="gate")
    await running(worker, cut_off)
    waiting = [await worker.add_task(note, number, priority=-number) for number in range(2)]
    open_gate("the stop")
    while worker.counts()[TaskStatus.RUNNING] > 1 or worker.is_running:
        await asyncio.sleep(0.1)
    open_gate("gate")
    await worker.start()
    await worker.wait_for_tasks([cut_off, *waiting])
    assert tasks.notes == ["cut off", 1, "cut off", 0]
    open_gate("the end")
    await worker.wait_for_tasks([stops])


async def test_a_recovered_task_reports_progress(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate")
    task_id = await first.add_task(report_progress, [0.25, 0.5], 1)
    await first.stop(timeout=0)
    tasks.open_all_gates()
    second = await open_worker()
    seen: list[float] = []
    second.events.listen(lambda event: seen.append(event.task.progress))
    assert await second.get_task_future(task_id) == 2
    assert {0.25, 0.5} <= set(seen)


async def test_tasks_beyond_the_prefetched_ones_get_their_arguments(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate", priority=-1)
    calls = (first.add_task(note, number, priority=number % 2) for number in range(1200))
    await asyncio.gather(*calls)
    await first.stop(timeout=0)
    tasks.open_all_gates()
    second = await open_worker(max_workers=7)
    await second.drain()
    assert sorted(tasks.notes) == list(range(1200))


async def test_an_acknowledged_cancellation_survives_a_restart(open_worker: OpenWorker) -> None:
    first = await open_worker(max_workers=1)
    running_id = await first.add_task(wait_at, "gate")
    waiting_id = await first.add_task(note, "never")
    await running(first, running_id)
    assert await first.cancel_task(waiting_id)
    assert await first.cancel_task(running_id)
    await first.stop()
    second = await open_worker()
    assert [(await info_of(second, task_id)).status for task_id in (running_id, waiting_id)] == ["cancelled"] * 2
    await settled()
    assert tasks.notes == []
