"""Files of a durable worker: what is refused, and what is open_worker."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    MissingResult,
    NotRegisteredError,
    NotStorableError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
)
from async_task_worker.journal import serialization
from tests.support.tasks import (
    collect,
    echo,
)
from tests.support.virtual_time import run_virtual
from tests.unit.durable import (
    OpenWorker,
    Unwritable,
    in_file,
    info_of,
    make_bytes,
)


async def test_an_unregistered_function_is_refused_and_nothing_is_recorded(open_worker: OpenWorker) -> None:
    async def unknown() -> None: ...

    worker = await open_worker()
    with pytest.raises(NotRegisteredError, match="@task"):
        await worker.add_task(unknown)
    assert (await worker.search_tasks()).tasks == []


@pytest.mark.parametrize(
    "call", [{"args": [Unwritable()]}, {"kwargs": {"x": Unwritable()}}, {"metadata": {1: Unwritable()}}]
)
async def test_values_that_cannot_be_stored_are_refused_and_not_recorded(
    open_worker: OpenWorker, call: dict[str, Any]
) -> None:
    worker = await open_worker()
    with pytest.raises(NotStorableError, match="Unwritable"):
        await worker.submit(collect, **call)
    assert worker.get_all_tasks() == []
    assert (await worker.search_tasks()).tasks == []


async def test_an_id_with_a_lone_surrogate_is_refused_and_affects_no_other_task(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    odd, other = await asyncio.gather(
        worker.add_task(echo, 1, task_id="\udc80"), worker.add_task(echo, 2), return_exceptions=True
    )
    assert isinstance(odd, NotStorableError)
    assert await worker.get_task_future(str(other)) == 2
    assert await worker.fetch_task_info("\udc80") is None
    assert (await worker.search_tasks(task_type="\udc80")).tasks == []


async def test_a_value_that_is_too_large_for_the_file_affects_no_other_task(
    open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization, "MAX_VALUE_SIZE", 1_000)
    worker = await open_worker()
    with pytest.raises(NotStorableError, match="too large"):
        await worker.add_task(echo, b"x" * 1_000)
    task_id = await worker.add_task(make_bytes, 1_000)
    assert await worker.get_task_future(task_id) == bytes(1_000)
    await worker.stop()
    result = (await info_of(await open_worker(), task_id)).result
    assert isinstance(result, MissingResult)
    assert "too large" in result.reason


async def test_a_page_can_have_any_limit(open_worker: OpenWorker) -> None:
    worker = await open_worker()
    await worker.add_task(echo, 1)
    assert len((await worker.search_tasks(limit=2**64)).tasks) == 1


async def test_a_second_worker_is_refused_and_can_take_over_later(open_worker: OpenWorker, path: Path) -> None:
    first = await open_worker()
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
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite://|durability|max_recoveries|filesystem"):
        AsyncTaskWorker(backend=url)


def test_a_file_that_is_not_a_database_is_refused_and_not_changed(path: Path) -> None:
    path.write_bytes(b"not a database, but the work of another program " * 100)
    before = path.read_bytes()
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}")
    with pytest.raises(StorageDamagedError, match=r"tasks\.db"):
        run_virtual(worker.start)
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_refused(open_worker: OpenWorker, path: Path) -> None:
    in_file(path, "CREATE TABLE invoice (number)")
    with pytest.raises(StorageDamagedError, match="another program"):
        await open_worker()


async def test_a_file_of_a_later_version_is_refused(open_worker: OpenWorker, path: Path) -> None:
    await (await open_worker()).stop()
    in_file(path, "PRAGMA user_version = 99")
    with pytest.raises(StorageDamagedError, match="later version"):
        await open_worker()


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
async def test_an_incomplete_file_is_refused_with_the_reason_and_not_changed(
    open_worker: OpenWorker, path: Path, damage: str, what: str
) -> None:
    worker = await open_worker()
    await worker.add_task(echo, 1)
    await worker.stop()
    in_file(path, damage)
    before = path.read_bytes()  # noqa: ASYNC240 - it takes no time
    with pytest.raises(StorageDamagedError, match=what):
        await open_worker()
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_a_file_of_an_earlier_version_is_migrated(open_worker: OpenWorker, path: Path) -> None:
    await (await open_worker()).stop()
    for statement in ("DROP TABLE cached", "DROP TABLE cached_value", "PRAGMA user_version = 1"):
        in_file(path, statement)
    worker = await open_worker(cache_enabled=True, cache_adapter="sqlite")
    assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1


@pytest.mark.parametrize(("name", "what"), [("missing/tasks.db", "no folder .*missing"), ("", "is a folder")])
async def test_a_path_where_no_file_can_be_is_named_in_the_error(folder: Path, name: str, what: str) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{folder / name}")
    with pytest.raises(StorageError, match=what) as caught:
        await worker.start()
    assert "safe" not in str(caught.value)  # the file is unknown, so the message must not claim that tasks are safe


async def test_a_relative_path_is_resolved_when_the_worker_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    worker = AsyncTaskWorker(backend="sqlite:///tasks.db?durability=process")
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    async with worker:
        await worker.add_task(echo, 1)
    assert in_file(folder / "tasks.db", "SELECT count(*) FROM task") == [(1,)]


async def test_the_option_check_finds_a_damaged_index(open_worker: OpenWorker, path: Path) -> None:
    worker = await open_worker()
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
        await open_worker("&check=yes")


@pytest.mark.parametrize("linked", [False, True])
async def test_the_file_is_readable_by_its_owner_only(open_worker: OpenWorker, path: Path, linked: bool) -> None:
    if linked:
        path.symlink_to(path.with_name("elsewhere.db"))  # noqa: ASYNC240 - it takes no time
        path = path.with_name("elsewhere.db")
    worker = await open_worker()
    await worker.add_task(echo, 1)
    for file in (path, path.with_name(f"{path.name}-wal")):
        assert file.stat().st_mode & 0o777 == 0o600
