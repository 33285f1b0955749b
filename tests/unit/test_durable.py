"""A worker on a file: what it refuses, what it takes up again, and what it makes of what it finds."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from async_task_worker import (
    AsyncTaskWorker,
    DuplicateTaskError,
    ForkedWorkerError,
    MissingResult,
    NotRegisteredError,
    NotStorableError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    TaskInfo,
    TaskInterruptedError,
    TaskStatus,
    WorkerNotRunningError,
    get_task_function,
    register_task,
    task,
)
from async_task_worker.journal import acknowledgements, serialization
from async_task_worker.journal.restore import RestoredRecords
from async_task_worker.journal.unfinished import UnfinishedRows
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.registry import _REGISTRY
from tests.support import tasks
from tests.support.tasks import (
    add,
    collect,
    echo,
    fail_with,
    note,
    open_gate,
    report_progress,
    sleep_for,
    take_turns,
    wait_at,
)
from tests.support.virtual_time import run_virtual
from tests.support.waiting import finished, running, settled

Open = Callable[..., Awaitable[AsyncTaskWorker]]


class Unwritable:
    """Nothing any codec knows."""


@task("make_unwritable")
async def make_unwritable() -> Unwritable:
    return Unwritable()


@task("make_bytes")
async def make_bytes(count: int) -> bytes:
    return bytes(count)


@task("only_once", idempotent=False)
async def only_once() -> None:
    await asyncio.sleep(3600)


@task("wait_once", idempotent=False)
async def wait_once(what: str) -> str:
    open_gate("called")
    return await tasks.note(what, gate="gate")


@task("refuse_to_stop_once", idempotent=False)
async def refuse_to_stop_once(gate: str) -> None:
    await tasks.stubborn(gate)


@task("count_once", idempotent=False)
async def count_once(items: list[str]) -> int:
    return len(items)


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "tasks.db"


@pytest_asyncio.fixture
async def opened(path: Path) -> AsyncIterator[Open]:
    """``await opened(**options)`` returns a worker started on the one file, stopped with the test."""
    made: list[AsyncTaskWorker] = []

    async def open_worker(query: str = "", **options: Any) -> AsyncTaskWorker:
        worker = AsyncTaskWorker(**{"backend": f"sqlite:///{path}?durability=process{query}", **options})
        made.append(worker)
        await worker.start()
        return worker

    yield open_worker
    tasks.open_all_gates()
    for worker in made:
        await worker.stop(timeout=0)


async def info_of(worker: AsyncTaskWorker, task_id: str) -> TaskInfo:
    info = await worker.fetch_task_info(task_id)
    assert info is not None
    return info


def in_file(path: Path, statement: str, *values: object) -> list[Any]:
    """Do something to the file while no worker has it."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def died_while_running(path: Path, task_id: str, times: int = 1) -> None:
    """Leave the file as a process would that died while it ran the task."""
    in_file(path, "UPDATE task SET status = 1, attempt = ?, started_at = created_at WHERE id = ?", times, task_id)
    in_file(path, "INSERT OR IGNORE INTO fact VALUES ('in use', 1)")


# What is refused


async def test_a_function_without_a_registered_name_is_refused_and_nothing_recorded(opened: Open) -> None:
    async def unknown() -> None: ...

    worker = await opened()
    with pytest.raises(NotRegisteredError, match="@task"):
        await worker.add_task(unknown)
    assert (await worker.search_tasks()).tasks == []


@pytest.mark.parametrize(
    "call", [{"args": [Unwritable()]}, {"kwargs": {"x": Unwritable()}}, {"metadata": {1: Unwritable()}}]
)
async def test_what_cannot_be_written_down_is_refused_and_nothing_recorded(opened: Open, call: dict[str, Any]) -> None:
    worker = await opened()
    with pytest.raises(NotStorableError, match="Unwritable"):
        await worker.submit(collect, **call)
    assert worker.get_all_tasks() == []
    assert (await worker.search_tasks()).tasks == []


async def test_an_id_that_is_no_text_is_refused_and_does_no_harm_to_others(opened: Open) -> None:
    worker = await opened()
    odd, other = await asyncio.gather(
        worker.add_task(echo, 1, task_id="\udc80"), worker.add_task(echo, 2), return_exceptions=True
    )
    assert isinstance(odd, NotStorableError)
    assert await worker.get_task_future(str(other)) == 2
    assert await worker.fetch_task_info("\udc80") is None
    assert (await worker.search_tasks(task_type="\udc80")).tasks == []


async def test_what_is_too_large_for_the_file_is_no_obstacle_to_the_rest(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization, "MAX_VALUE_SIZE", 1_000)
    worker = await opened()
    with pytest.raises(NotStorableError, match="too large"):
        await worker.add_task(echo, b"x" * 1_000)
    task_id = await worker.add_task(make_bytes, 1_000)
    assert await worker.get_task_future(task_id) == bytes(1_000)
    await worker.stop()
    result = (await info_of(await opened(), task_id)).result
    assert isinstance(result, MissingResult)
    assert "too large" in result.reason


async def test_a_page_can_have_any_limit(opened: Open) -> None:
    worker = await opened()
    await worker.add_task(echo, 1)
    assert len((await worker.search_tasks(limit=2**64)).tasks) == 1


async def test_a_second_owner_is_told_the_name_of_the_file_and_may_take_over(opened: Open, path: Path) -> None:
    first = await opened()
    second = AsyncTaskWorker(backend=f"sqlite:///{path}")
    with pytest.raises(StorageInUseError, match=str(path)):
        await second.start()
    assert not second.is_running
    task_id = await first.add_task(echo, "still there")
    assert await first.get_task_future(task_id) == "still there"
    await first.stop()
    async with second:
        assert (await info_of(second, task_id)).result == "still there"


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///x\0.db", "sqlite://host/x.db"),
        *(
            "sqlite:///x.db?durability=some",
            "sqlite:///x.db?mode=ro",
            "sqlite:///x.db?filesystem=nfs",
            f"sqlite:///x.db?max_recoveries={10**30}",
        ),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite://|durability|max_recoveries|filesystem"):
        AsyncTaskWorker(backend=url)


def test_other_files_are_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database, but somebody's work " * 100)
    before = path.read_bytes()
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}")
    with pytest.raises(StorageDamagedError, match=r"tasks\.db"):
        run_virtual(worker.start)
    assert path.read_bytes() == before


async def test_another_programs_database_is_left_alone(opened: Open, path: Path) -> None:
    in_file(path, "CREATE TABLE invoice (number)")
    with pytest.raises(StorageDamagedError, match="another program"):
        await opened()


async def test_a_file_of_a_later_version_is_refused(opened: Open, path: Path) -> None:
    await (await opened()).stop()
    in_file(path, "PRAGMA user_version = 99")
    with pytest.raises(StorageDamagedError, match="later version"):
        await opened()


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DROP TABLE fact", "lacks fact"),
        ("DROP TABLE task", "lacks task, task_created, .*, task_running"),
        ("DROP INDEX task_pending", "lacks task_pending"),
        ("PRAGMA user_version = 1", "does not match its tables"),
        ("PRAGMA user_version = 0", "does not match its tables"),
        ("PRAGMA user_version = -1", "does not match its tables"),
    ],
)
async def test_a_file_that_lacks_something_says_what_and_is_left_alone(
    opened: Open, path: Path, damage: str, what: str
) -> None:
    worker = await opened()
    await worker.add_task(echo, 1)
    await worker.stop()
    in_file(path, damage)
    before = path.read_bytes()  # noqa: ASYNC240 - it takes no time
    with pytest.raises(StorageDamagedError, match=what):
        await opened()
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_a_file_of_an_earlier_version_is_brought_to_this_one(opened: Open, path: Path) -> None:
    await (await opened()).stop()
    for statement in ("DROP TABLE cached", "DROP TABLE cached_value", "PRAGMA user_version = 1"):
        in_file(path, statement)
    worker = await opened(cache_enabled=True, cache_adapter="sqlite")
    assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1


@pytest.mark.parametrize(("name", "what"), [("missing/tasks.db", "no folder .*missing"), ("", "is a folder")])
async def test_a_place_where_no_file_can_be_is_an_error_that_names_it(folder: Path, name: str, what: str) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{folder / name}")
    with pytest.raises(StorageError, match=what) as caught:
        await worker.start()
    assert "safe" not in str(caught.value)  # nobody has seen what is there


async def test_a_relative_file_stays_where_it_is_when_the_current_folder_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    worker = AsyncTaskWorker(backend="sqlite:///tasks.db?durability=process")
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    async with worker:
        await worker.add_task(echo, 1)
    assert in_file(folder / "tasks.db", "SELECT count(*) FROM task") == [(1,)]


async def test_a_damaged_index_is_found_if_asked_for(opened: Open, path: Path) -> None:
    worker = await opened()
    await worker.add_task(echo, 1)
    await worker.stop()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'status >= 2', 'status >= 9') WHERE name = 'task_ended'"
    )
    connection.commit()
    connection.close()
    with pytest.raises(StorageDamagedError, match="task_ended"):
        await opened("&check=yes")


@pytest.mark.parametrize("linked", [False, True])
async def test_the_file_is_for_its_owners_eyes_only(opened: Open, path: Path, linked: bool) -> None:
    if linked:
        path.symlink_to(path.with_name("elsewhere.db"))  # noqa: ASYNC240 - it takes no time
        path = path.with_name("elsewhere.db")
    worker = await opened()
    await worker.add_task(echo, 1)
    for file in (path, path.with_name(f"{path.name}-wal")):
        assert file.stat().st_mode & 0o777 == 0o600


# What is taken up again


async def test_what_waited_and_what_was_cut_off_runs_after_the_next_start(opened: Open) -> None:
    first = await opened(max_workers=1)
    cut_off = await first.add_task(wait_at, "gate", {"what": ("was", 1)}, metadata={"tenant": "acme"})
    waited = [await first.add_task(note, number, priority=-number) for number in range(5)]
    await running(first, cut_off)
    await first.stop(timeout=0)
    tasks.forget_everything()
    open_gate("gate")
    second = await opened(max_workers=1)
    assert second.counts()[TaskStatus.PENDING] + second.counts()[TaskStatus.RUNNING] == 6
    assert await second.wait_for_tasks([cut_off, *waited]) == [{"what": ("was", 1)}, *range(5)]
    assert tasks.notes == [4, 3, 2, 1, 0]
    info = second.get_task_info(cut_off)
    assert info is not None
    assert (info.attempt, info.metadata) == (2, {"tenant": "acme"})


async def test_a_worker_started_again_goes_on_with_what_it_left(opened: Open) -> None:
    worker = await opened(max_workers=1)
    first, second = await worker.add_task(sleep_for, 5, "slept"), await worker.add_task(echo, 2)
    await running(worker, first)
    await worker.stop(timeout=0)
    assert [info.status for info in worker.get_all_tasks()] == [TaskStatus.PENDING] * 2
    await worker.start()
    assert await worker.wait_for_tasks([first, second]) == ["slept", 2]


async def test_a_task_whose_process_died_runs_again_as_recovered(opened: Open, path: Path) -> None:
    first = await opened()
    task_id = await first.add_task(wait_at, "gate", "value")
    await first.stop(timeout=0)
    died_while_running(path, task_id)
    second = await opened()
    await running(second, task_id)
    info = second.get_task_info(task_id)
    assert info is not None
    assert (info.phase, info.attempt) == ("recovered", 2)
    open_gate("gate")
    (info,) = await finished(second, task_id)
    assert (info.result, info.phase) == ("value", None)


async def test_a_task_its_process_dies_of_again_and_again_ends_failed(opened: Open, path: Path) -> None:
    first = await opened()
    task_id = await first.add_task(wait_at, "gate")
    await first.stop(timeout=0)
    for deaths in (1, 2):
        died_while_running(path, task_id, deaths)
        worker = await opened()
        await running(worker, task_id)
        await worker.stop(timeout=0)
    died_while_running(path, task_id, 3)
    worker = await opened()
    info = await info_of(worker, task_id)
    assert (info.status, info.error) == (TaskStatus.FAILED, "worker died 3 times while running this task")
    assert worker.get_task_info(task_id) is None


async def test_a_task_that_must_not_run_twice_ends_failed(opened: Open, path: Path) -> None:
    first = await opened()
    task_id = await first.add_task(only_once)
    await first.stop(timeout=0)
    died_while_running(path, task_id)
    info = await info_of(await opened(), task_id)
    assert info.status is TaskStatus.FAILED
    assert "must not run twice" in str(info.error)


async def test_a_task_that_must_not_run_twice_ends_failed_when_the_worker_stops_in_the_middle_of_it(
    opened: Open,
) -> None:
    first = await opened()
    once, other = await first.add_task(wait_once, "charge"), await first.add_task(wait_at, "gate")
    future = first.get_task_future(once)
    await running(first, once)
    await first.stop(timeout=0)
    with pytest.raises(TaskInterruptedError, match="must not run twice"):
        await future
    ended = first.get_task_info(once)
    second = await opened()
    assert second.get_task_info(once) is None
    open_gate("gate")
    await second.wait_for_tasks([other])
    written = await info_of(second, once)
    for info in (written, ended):
        assert info is not None
        assert (info.status, info.error, info.attempt) == (TaskStatus.FAILED, str(TaskInterruptedError()), 1)
    assert tasks.notes == ["charge"]


async def test_it_does_so_if_it_takes_no_notice_of_the_stop(opened: Open) -> None:
    worker = await opened()
    task_id = await worker.add_task(refuse_to_stop_once, "gate")
    await running(worker, task_id)
    stop = asyncio.create_task(worker.stop(timeout=0))
    assert (await finished(worker, task_id))[0].status is TaskStatus.FAILED
    await stop


async def test_it_does_so_too_if_it_had_waited_for_an_earlier_worker(opened: Open) -> None:
    first = await opened(max_workers=1)
    await first.add_task(wait_at, "gate", priority=1)
    task_id = await first.add_task(wait_once, "charge")
    await first.stop(timeout=0)
    second = await opened()
    await running(second, task_id)
    await second.stop(timeout=0)
    info = second.get_task_info(task_id)
    assert info is not None
    assert (info.status, info.error) == (TaskStatus.FAILED, str(TaskInterruptedError()))


async def test_who_waits_for_a_task_that_must_not_run_twice_and_does_the_same_has_not_run(opened: Open) -> None:
    worker = await opened(cache_enabled=True)
    leader, follower = [await worker.add_task(refuse_to_stop_once, "gate") for _ in range(2)]
    await running(worker, leader)
    await worker.stop(timeout=0)
    found = [worker.get_task_info(task_id).status for task_id in (leader, follower)]  # type: ignore[union-attr]
    assert found == [TaskStatus.FAILED, TaskStatus.PENDING]


DIE_AT_ONCE = """
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
async def test_a_task_that_must_not_run_twice_does_not_even_if_its_process_dies_in_its_first_moment(
    opened: Open, path: Path, waited: bool
) -> None:
    if waited:
        first = await opened(max_workers=1)
        await first.add_task(wait_at, "gate")
        await first.add_task(only_once, task_id="charge")
        await first.stop(timeout=0)
    assert subprocess.run([sys.executable, "-c", DIE_AT_ONCE, path], check=False).returncode == 9  # noqa: ASYNC221
    assert "must not run twice" in str((await info_of(await opened(), "charge")).error)


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


async def test_a_task_its_process_dies_of_at_once_is_run_once_more_than_deaths_are_counted(
    opened: Open, path: Path
) -> None:
    """The first time it comes before the worker has written down that it runs."""
    deaths = 0
    while subprocess.run([sys.executable, "-c", POISON, path], check=False).returncode == 9:  # noqa: ASYNC221
        deaths += 1
    assert deaths in (2, 3)
    info = await info_of(await opened(), "poison")
    assert (info.status, info.error) == (TaskStatus.FAILED, "worker died 2 times while running this task")


async def test_a_task_that_must_not_run_twice_can_be_cached(opened: Open) -> None:
    worker = await opened(cache_enabled=True)
    ids = []
    for _ in range(2):
        ids.append(await worker.add_task(count_once, ["a list"]))
        await finished(worker, ids[-1])
    assert [(await info_of(worker, task_id)).from_cache for task_id in ids] == [False, True]


async def test_tasks_without_a_function_wait_until_it_is_registered(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    first = await opened(max_workers=1)
    await first.add_task(wait_at, "gate")
    ids = [await first.add_task(add, number, right=1) for number in range(3)]
    await first.stop(timeout=0)
    function = _REGISTRY._entries.pop("add").func
    tasks.open_all_gates()
    second = await opened()
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


async def test_a_recovered_task_is_recovered_still_when_its_function_is_registered(opened: Open, path: Path) -> None:
    first = await opened()
    task_id = await first.add_task(wait_at, "gate")
    await first.stop(timeout=0)
    died_while_running(path, task_id)
    function = _REGISTRY._entries.pop("wait_at").func
    second = await opened()
    assert (await info_of(second, task_id)).phase == "unregistered"
    phases: list[object] = []
    second.events.listen(lambda event: phases.append(event.task.phase))
    register_task("wait_at", function)
    await running(second, task_id)
    assert phases[0] == "recovered"


async def test_a_name_now_bound_to_another_function_is_that_one(opened: Open) -> None:
    first = await opened(max_workers=1)
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
        assert await (await opened()).get_task_future(task_id) == 6
    finally:
        register_task("add", before)


async def test_todays_function_gets_what_it_asks_for(opened: Open) -> None:
    async def plain() -> str:
        return "plain"

    async def reporting(progress_callback: Callable[[float], None]) -> str:
        progress_callback(0.5)
        return "reporting"

    kinds = {"plain": plain, "reporting": reporting}
    for name, function in kinds.items():
        register_task(name, function)
    first = await opened(max_workers=1)
    await first.add_task(wait_at, "gate")
    ids = [await first.add_task(function) for function in kinds.values()]
    await first.stop(timeout=0)
    second = await opened(max_workers=1)
    for name, function in zip(kinds, reversed(kinds.values()), strict=True):
        register_task(name, function)
    tasks.open_all_gates()
    try:
        assert await second.wait_for_tasks(ids) == ["reporting", "plain"]
    finally:
        for name in kinds:
            del _REGISTRY._entries[name]


@task("take_no_turns")
async def take_no_turns() -> None:
    """End at once."""


def put_into(path: Path, count: int) -> None:
    """Have so many tasks wait in the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = ((f"task {number}", "take_no_turns", number) for number in range(count))
        connection.executemany("INSERT INTO task (id, name, created_at) VALUES (?, ?, ?)", rows)


async def test_a_start_that_is_called_off_while_it_reads_ends_soon_and_leaves_all_to_the_next(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened()).stop()
    put_into(path, 5_000)
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


async def test_what_a_stop_cut_off_runs_after_the_next_start_while_a_task_that_stopped_the_worker_goes_on(
    opened: Open,
) -> None:
    worker = await opened(max_workers=2)

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


async def test_a_recovered_task_reports_progress(opened: Open) -> None:
    first = await opened(max_workers=1)
    await first.add_task(wait_at, "gate")
    task_id = await first.add_task(report_progress, [0.25, 0.5], 1)
    await first.stop(timeout=0)
    tasks.open_all_gates()
    second = await opened()
    seen: list[float] = []
    second.events.listen(lambda event: seen.append(event.task.progress))
    assert await second.get_task_future(task_id) == 2
    assert {0.25, 0.5} <= set(seen)


async def test_arguments_are_read_a_window_at_a_time(opened: Open) -> None:
    first = await opened(max_workers=1)
    await first.add_task(wait_at, "gate", priority=-1)
    calls = (first.add_task(note, number, priority=number % 2) for number in range(1200))
    await asyncio.gather(*calls)
    await first.stop(timeout=0)
    tasks.open_all_gates()
    second = await opened(max_workers=7)
    await second.drain()
    assert sorted(tasks.notes) == list(range(1200))


async def test_an_acknowledged_cancel_stays_one(opened: Open) -> None:
    first = await opened(max_workers=1)
    running_id = await first.add_task(wait_at, "gate")
    waiting_id = await first.add_task(note, "never")
    await running(first, running_id)
    assert await first.cancel_task(waiting_id)
    assert await first.cancel_task(running_id)
    await first.stop()
    second = await opened()
    assert [(await info_of(second, task_id)).status for task_id in (running_id, waiting_id)] == ["cancelled"] * 2
    await settled()
    assert tasks.notes == []


# What is remembered


async def test_the_history_survives_the_worker(opened: Open) -> None:
    first = await opened()
    good = await first.add_task(echo, {"a": (1, {2})}, metadata={"k": b"v"}, priority=3)
    bad = await first.add_task(fail_with, "wrong")
    known = await finished(first, good, bad)
    await first.stop()
    second = await opened()
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


async def test_a_result_that_cannot_be_written_is_kept_by_this_process_only(opened: Open) -> None:
    first = await opened()
    task_id = await first.add_task(make_unwritable)
    assert type(await first.get_task_future(task_id)) is Unwritable
    await first.stop()
    info = await info_of(await opened(), task_id)
    assert info.status is TaskStatus.COMPLETED
    assert type(info.result) is MissingResult
    assert info.result.type.endswith("Unwritable")


async def test_an_id_in_the_history_is_taken(opened: Open) -> None:
    first = await opened()
    await first.get_task_future(await first.add_task(echo, 1, task_id="mine"))
    await first.stop()
    second = await opened()
    with pytest.raises(DuplicateTaskError):
        await second.add_task(echo, 2, task_id="mine")
    assert (await info_of(second, "mine")).result == 1


async def test_only_so_much_history_is_kept(opened: Open, path: Path) -> None:
    worker = await opened(max_history=10)
    for number in range(30):
        await worker.get_task_future(await worker.add_task(echo, number))
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM task")[0][0] <= 11


async def test_a_backup_is_a_file_of_tasks(opened: Open, folder: Path) -> None:
    worker = await opened()
    task_id = await worker.add_task(echo, "copied")
    await worker.get_task_future(task_id)
    await worker.backup(folder / "copy.db")
    with pytest.raises(StorageError, match=r"copy\.db"):
        await worker.backup(folder / "copy.db")
    async with AsyncTaskWorker(backend=f"sqlite:///{folder}/copy.db") as other:
        assert (await info_of(other, task_id)).result == "copied"


@pytest.mark.schedules(20)
async def test_a_backup_while_the_worker_stops_is_made_or_told_that_it_stopped(opened: Open, folder: Path) -> None:
    worker = await opened()
    await worker.add_task(echo, "copied", task_id="copied")
    await worker.add_task(take_turns, 50)  # there is always something that a backup waits for
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
async def test_a_search_while_the_worker_stops_finds_what_is_known(opened: Open) -> None:
    worker = await opened()
    await worker.add_task(take_turns, 50, task_id="known")
    stop = asyncio.create_task(worker.stop())
    searches = []
    while not stop.done():
        searches.append(asyncio.create_task(worker.search_tasks()))
        await asyncio.sleep(0)
    for page in await asyncio.gather(*searches):
        assert [info.id for info in page.tasks] == ["known"]


async def test_tasks_in_memory_have_no_backup(folder: Path) -> None:
    async with AsyncTaskWorker() as worker:
        with pytest.raises(StorageError, match="memory"):
            await worker.backup(folder / "copy.db")
    with pytest.raises(WorkerNotRunningError):
        await worker.backup(folder / "copy.db")


async def test_who_asks_for_a_future_between_a_stop_and_the_next_start_gets_the_result(opened: Open) -> None:
    worker = await opened(max_workers=1)
    await worker.add_task(wait_at, "gate")
    task_id = await worker.add_task(echo, "later")
    await worker.stop(0)
    future = worker.get_task_future(task_id)
    await worker.stop(0)
    assert not future.done()
    open_gate("gate")
    await worker.start()
    assert await future == "later"


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_task_whose_caller_leaves_while_the_worker_stops_does_not_stay_in_the_file(
    opened: Open, turns: int
) -> None:
    worker = await opened()
    adder = asyncio.create_task(worker.add_task(echo, 1, task_id="left"))
    await asyncio.sleep(0)
    stop = asyncio.create_task(worker.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    called_off = adder.cancel()
    await stop
    await worker.start()
    assert (await worker.fetch_task_info("left") is None) is called_off


async def test_callers_who_leave_while_others_are_told_take_their_tasks_out_even_if_the_worker_stops(
    opened: Open, path: Path
) -> None:
    worker = await opened()
    adders = [asyncio.create_task(worker.add_task(echo, 1)) for _ in range(1_000)]
    await asyncio.wait(adders, return_when=asyncio.FIRST_COMPLETED)
    stop = asyncio.create_task(worker.stop())
    left = [adder.cancel() for adder in adders[100:]]
    await stop
    told = sum(not adder.cancelled() for adder in adders)
    assert all(left)
    assert in_file(path, "SELECT count(*) FROM task") == [(told,)]


@pytest.mark.parametrize("turns", range(1, 16))
@pytest.mark.parametrize("task_id", ["running", "waiting"])
async def test_a_cancel_while_the_worker_stops_is_in_the_file_or_did_not_happen(
    opened: Open, path: Path, task_id: str, turns: int
) -> None:
    worker = await opened(max_workers=1)
    await worker.add_task(wait_at, "gate", task_id="running")
    await worker.add_task(echo, 1, task_id="waiting")
    stop = asyncio.create_task(worker.stop(timeout=0))
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        cancelled = await worker.cancel_task(task_id)
    except WorkerNotRunningError:
        cancelled = False
    await stop
    assert (await info_of(worker, task_id)).status == ("cancelled" if cancelled else "pending")
    assert in_file(path, "SELECT status FROM task WHERE id = ?", task_id) == [(4 if cancelled else 0,)]


async def test_who_waits_when_the_worker_stops_is_told_that_the_task_is_safe(opened: Open) -> None:
    worker = await opened()
    task_id = await worker.add_task(sleep_for, 3600)
    future, drain = worker.get_task_future(task_id), asyncio.ensure_future(worker.drain())
    await running(worker, task_id)
    await worker.stop(timeout=0)
    with pytest.raises(WorkerNotRunningError, match="safe"):
        await future
    with pytest.raises(WorkerNotRunningError):
        await drain
    with pytest.raises(WorkerNotRunningError):
        await worker.cancel_task(task_id)


FORK = """
import asyncio, gc, os, sys
from async_task_worker import AsyncTaskWorker, ForkedWorkerError
from tests.support.tasks import echo, sleep_for

async def refused(call):
    try:
        await call
    except ForkedWorkerError:
        return True

async def all_refused(worker):
    return all([
        await refused(worker.start()),
        await refused(worker.add_task(echo, 2, task_id="in the child")),
        await refused(worker.submit(echo, [2], task_id="in the child")),
        await refused(worker.cancel_task("waiting")),
        await refused(worker.wait_for_tasks(["waiting"])),
        await refused(worker.backup("copy of the child")),
        await refused(worker.drain()),
        await refused(worker.stop()),
    ])

async def main():
    worker = AsyncTaskWorker(backend="sqlite:///" + sys.argv[1])
    async with worker:
        await worker.add_task(echo, 1, task_id="before")
        await worker.add_task(sleep_for, 0.1, task_id="waiting")
        child = os.fork()
        if not child:
            assert asyncio.run(all_refused(worker))
            assert asyncio.run(refused(worker._backend.backup("copy of the child")))
            worker._backend._journal.record_change(worker._ledger.get("before"))
            del worker
            gc.collect()  # what is closed now was opened by the parent
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        await worker.get_task_future(await worker.add_task(echo, 3, task_id="after"))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_is_refused_and_does_no_harm(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert in_file(path, "SELECT id FROM task ORDER BY seq") == [("before",), ("waiting",), ("after",)]
    assert in_file(path, "PRAGMA integrity_check") == [("ok",)]
    assert issubclass(ForkedWorkerError, RuntimeError)


def test_opening_a_file_in_memory_loads_no_database() -> None:
    code = "import sys, async_task_worker as a; a.AsyncTaskWorker(); assert 'sqlite3' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_one_worker_serves_one_loop_after_another(path: Path) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}")

    async def use() -> object:
        async with worker:
            return await worker.get_task_future(await worker.add_task(echo, "done"))

    assert [run_virtual(use) for _ in range(3)] == ["done"] * 3


async def test_tasks_that_do_the_same_share_a_result_and_a_stop_leaves_each_to_itself(opened: Open) -> None:
    worker = await opened(cache_enabled=True)
    calls = [await worker.add_task(sleep_for, 5, "slept") for _ in range(3)]
    assert await worker.wait_for_tasks(calls) == ["slept"] * 3
    assert [worker.get_task_info(task_id).from_cache for task_id in calls] == [False, True, True]  # type: ignore[union-attr]
    assert await worker.get_task_future(await worker.add_task(sleep_for, 5, "slept")) == "slept"
    left = [await worker.add_task(wait_at, "gate", "shared") for _ in range(3)]
    await running(worker, left[0])
    await worker.stop(timeout=0)
    assert [info.status for info in worker.get_all_tasks(limit=3)] == [TaskStatus.PENDING] * 3
    open_gate("gate")
    await worker.start()
    assert await worker.wait_for_tasks(left) == ["shared"] * 3
    assert (await info_of(worker, calls[1])).from_cache
    assert await worker.get_task_future(await worker.add_task(wait_at, "gate", "shared")) == "shared"


def test_nobody_follows_what_a_closed_loop_left_behind(path: Path) -> None:
    worker = AsyncTaskWorker(1, backend=f"sqlite:///{path}?durability=process", cache_enabled=True)

    async def leave_behind() -> None:
        await worker.start()
        await running(worker, await worker.add_task(wait_at, "gate", "other"))
        await worker.add_task(wait_at, "gate", "same")

    async def go_on() -> object:
        async with worker:
            open_gate("gate")
            return await worker.get_task_future(await worker.add_task(wait_at, "gate", "same"))

    leave_a_loop_behind(leave_behind)
    assert run_virtual(go_on) == "same"


def test_a_function_registered_while_the_file_is_read_after_a_loop_was_closed_runs_its_tasks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = AsyncTaskWorker(max_workers=1, backend=f"sqlite:///{path}")

    async def make_the_file() -> None:
        async with worker:
            pass

    run_virtual(make_the_file)
    put_into(path, 2)
    function, in_creation_order = get_task_function("take_no_turns"), RestoredRecords.in_creation_order
    assert function is not None
    monkeypatch.delitem(_REGISTRY._entries, "take_no_turns")
    leave_a_loop_behind(worker.start)

    def and_register(restored: RestoredRecords) -> dict[str, TaskRecord]:
        register_task("take_no_turns", function)
        return in_creation_order(restored)

    monkeypatch.setattr(RestoredRecords, "in_creation_order", and_register)

    async def go_on() -> list[str]:
        async with worker:
            await worker.drain()
            return [info.status for info in worker.get_all_tasks()]

    assert run_virtual(go_on) == ["completed"] * 2


def test_one_who_was_told_on_a_closed_loop_takes_nothing_out_of_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = AsyncTaskWorker(max_workers=1, backend=f"sqlite:///{path}")
    loop = asyncio.new_event_loop()
    resolve = acknowledgements._resolve_inserts

    def resolve_and_stop(*args: Any) -> None:
        resolve(*args)
        loop.stop()

    monkeypatch.setattr(acknowledgements, "_resolve_inserts", resolve_and_stop)
    loop.run_until_complete(worker.start())
    adding = worker.add_task(echo, "told", task_id="told")
    loop.create_task(adding)._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_forever()
    loop.close()
    monkeypatch.undo()

    async def go_on() -> object:
        async with worker:
            adding.close()  # as the collector would do it some time
            return await worker.get_task_future("told")

    assert run_virtual(go_on) == "told"


def test_what_ran_on_a_closed_loop_is_counted_once(path: Path) -> None:
    worker = AsyncTaskWorker(1, backend=f"sqlite:///{path}?durability=process")

    async def leave_behind() -> None:
        await worker.start()
        await running(worker, await worker.add_task(wait_at, "gate", task_id="left"))

    async def go_on() -> dict[TaskStatus, int]:
        async with worker:
            open_gate("gate")
            await worker.get_task_future("left")
            return worker.counts()

    leave_a_loop_behind(leave_behind)
    assert {status: count for status, count in run_virtual(go_on).items() if count} == {"completed": 1}


def test_what_must_not_run_twice_and_ran_on_a_closed_loop_ended_failed(path: Path) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process")

    async def leave_behind() -> None:
        await worker.start()
        await worker.add_task(wait_once, "charge", task_id="left")
        await wait_at("called")

    async def go_on() -> str | None:
        async with worker:
            return (await info_of(worker, "left")).error

    leave_a_loop_behind(leave_behind)
    assert run_virtual(go_on) == str(TaskInterruptedError())
    assert in_file(path, "SELECT status, error FROM task") == [(3, str(TaskInterruptedError()))]


def leave_a_loop_behind(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Close a loop on which tasks still run."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(what())
    for left in asyncio.all_tasks(loop):
        left._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    tasks.forget_everything()
