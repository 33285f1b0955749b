"""Restore: tasks that a worker left run after the next start, as their type is registered then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    TaskStatus,
    get_task_function,
    register_task,
    task,
)
from async_task_worker.journal.restore import RestoredRecords
from async_task_worker.journal.unfinished_rows import UnfinishedRows
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
from tests.support.waiting import running, settled
from tests.unit.durable import (
    OpenWorker,
    info_of,
    insert_pending,
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


async def test_tasks_of_an_unregistered_type_wait_until_it_is_registered(
    open_worker: OpenWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_worker(max_workers=1)
    await first.add_task(wait_at, "gate")
    ids = [await first.add_task(add, number, right=1) for number in range(3)]
    await first.stop(timeout=0)
    monkeypatch.delitem(_REGISTRY._entries, "add")  # it is back after this test, however that ends
    tasks.open_all_gates()
    second = await open_worker()
    assert second.unregistered_tasks == {"add": 3}
    assert "stored tasks (3) wait for functions that are not registered: 'add' (3)" in caplog.text
    assert caplog.text.count("not registered") == 1
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
    register_task("add", add)
    await asyncio.sleep(0)
    assert second.unregistered_tasks == {}
    found = [second.get_task_info(task_id) for task_id in ids]
    assert all(info and info.phase is None for info in found)
    assert all(info and info.revision > before for info, before in zip(found, revisions, strict=True))
    assert await second.wait_for_tasks(ids) == [1, 2]


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
