"""The cache in the database of the tasks: it survives restarts, and its faults affect no task."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from async_cache import CacheUnavailableError
from async_task_worker import AsyncTaskWorker, TaskInfo, TaskStatus
from async_task_worker.model.clock import Clock
from tests.support.tasks import collect, echo, note, notes
from tests.support.waiting import finished

Open = Callable[..., Awaitable[AsyncTaskWorker]]


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "tasks.db"


@pytest_asyncio.fixture
async def opened(path: Path, clock: Clock) -> AsyncIterator[Open]:
    """``await opened(**options)`` stops the last worker and starts another one on the same file."""
    made: list[AsyncTaskWorker] = []

    async def open_worker(**options: Any) -> AsyncTaskWorker:
        if made:
            await made[-1].stop()
        settings = {"cache_enabled": True, "cache_adapter": "sqlite", "cache_cleanup_interval": 0, **options}
        made.append(AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process", clock=clock, **settings))
        await made[-1].start()
        return made[-1]

    yield open_worker
    if made:
        await made[-1].stop()


async def done(worker: AsyncTaskWorker, *call: Any, **options: Any) -> TaskInfo:
    task_id = await worker.add_task(*call, **options)
    await finished(worker, task_id)
    info = worker.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.COMPLETED
    return info


async def known(worker: AsyncTaskWorker, *values: object) -> list[bool]:
    """Return for each value whether the result of echoing it is cached."""
    return [(await worker.cache.get(echo, (value,), None))[0] for value in values]


def in_file(path: Path, *statements: str) -> list[Any]:
    """Modify the file while no worker has it open."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]
    finally:
        connection.close()


# Results that are kept


@pytest.mark.parametrize("value", [None, "text", {"a": [1, (2,), {3}]}, b"\x00" * 100_000])
async def test_a_result_is_found_after_a_restart(opened: Open, value: object) -> None:
    first = await done(await opened(), note, value)
    again = await done(await opened(), note, value)
    assert (first.from_cache, again.from_cache) == (False, True)
    assert again.result == value
    assert notes == [value]


async def test_a_result_is_found_by_its_task_id_after_a_restart(opened: Open) -> None:
    task_id = (await done(await opened(), echo, [1])).id
    worker = await opened()
    for name in (task_id, worker.cache.generate_entry_id("echo", task_id)):
        assert await worker.cache.get_by_task_id(name) == (True, [1])
    assert await worker.cache.invalidate_by_task_id(task_id)
    assert not (await done(await opened(), echo, [1])).from_cache


async def test_entries_expire_while_the_file_is_closed(opened: Open) -> None:
    worker = await opened(cache_ttl=60)
    await done(worker, echo, "short")
    await done(worker, echo, "long", cache_ttl=200)
    await done(worker, echo, "for ever", cache_ttl=float("inf"))
    await worker.stop()
    await asyncio.sleep(100)
    worker = await opened()
    assert await known(worker, "short", "long", "for ever") == [False, True, True]
    assert worker.cache.statistics().expirations == 1
    await asyncio.sleep(1e9)
    assert await known(worker, "long", "for ever") == [False, True]


async def test_the_least_recently_used_entry_is_evicted_across_restarts(opened: Open) -> None:
    worker = await opened(cache_max_size=3)
    for value in (1, 2, 3):
        await done(worker, echo, value)
    assert (await done(worker, echo, 1)).from_cache
    worker = await opened(cache_max_size=3)
    await done(worker, echo, 4)
    assert await known(worker, 1, 2, 3, 4) == [True, False, True, True]
    assert worker.cache.statistics().evictions == 1
    worker = await opened(cache_max_size=1)
    assert await known(worker, 1, 3, 4) == [False, False, True]


async def test_removed_entries_are_deleted_from_the_file(opened: Open, path: Path) -> None:
    worker = await opened(cache_max_size=5, cache_ttl=60)
    for hundred in range(0, 1000, 100):
        await asyncio.gather(*(done(worker, echo, hundred + value) for value in range(100)))
    await done(worker, echo, 1000, cache_ttl=1)
    await asyncio.sleep(2)
    await worker.cache._cache.sweep()
    assert worker.cache.statistics().size == 4
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM cached") == [(4,)]
    assert in_file(path, "SELECT count(*) FROM cached_value") == [(4,)]


async def test_a_cache_of_size_zero_stores_nothing(opened: Open) -> None:
    await done(await opened(), echo, 1)
    worker = await opened(cache_max_size=0)
    for _ in range(2):
        assert not (await done(worker, echo, 1)).from_cache
    assert await known(await opened(), 1) == [False]


async def test_an_invalidated_result_stays_deleted(opened: Open) -> None:
    worker = await opened()
    for value in (1, 2, 3):
        await done(worker, collect, value)
    assert await worker.invalidate_cache(collect, 1)
    worker = await opened()
    assert [(await done(worker, collect, value)).from_cache for value in (1, 2)] == [False, True]
    await worker.clear_cache()
    assert worker.cache.statistics().size == 0
    await done(worker, collect, 4)
    worker = await opened()
    assert [(await done(worker, collect, value)).from_cache for value in (1, 2, 3, 4)] == [False, False, False, True]


async def test_an_acknowledged_invalidation_is_in_the_file(opened: Open) -> None:
    worker = await opened()
    await done(worker, echo, 1)
    assert await worker.invalidate_cache(echo, 1)
    journal = worker._backend._journal  # type: ignore[attr-defined]
    assert await journal.read(lambda connection: connection.execute("SELECT count(*) FROM cached").fetchone()) == (0,)


async def test_the_newest_result_of_a_key_is_kept(opened: Open, path: Path) -> None:
    worker = await opened()
    for value in range(20):
        await worker.cache.set("name", (), None, value)
    assert await worker.cache.get("name", (), None) == (True, 19)
    worker = await opened()
    assert await worker.cache.get("name", (), None) == (True, 19)
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM cached") == [(1,)]


async def test_any_text_is_a_valid_key(opened: Open) -> None:
    keys = ["", "\0", "\ud800", "' OR 1", "x" * 10_000]
    worker = await opened()
    for key in keys:
        await done(worker, echo, key.encode("utf-8", "replace"), cache_key_fn=lambda _, key=key: key)
    worker = await opened()
    assert [(await worker.cache._cache.get(key))[0] for key in keys] == [True] * len(keys)


async def test_nothing_is_found_or_stored_while_the_file_is_closed(opened: Open) -> None:
    worker = await opened()
    task_id = (await done(worker, echo, 1)).id
    await worker.stop()
    assert await worker.cache.get_by_task_id(task_id) == (False, None)
    assert not await worker.cache.set(echo, (2,), None, 2)
    assert not await worker.invalidate_cache(echo, 1)
    with pytest.raises(CacheUnavailableError, match="not open"):
        await worker.clear_cache()
    assert worker.cache.statistics().errors == 0
    await worker.start()
    assert await known(worker, 1, 2) == [True, False]


async def test_a_file_of_the_first_version_gets_tables_for_results(opened: Open, path: Path) -> None:
    worker = await opened(cache_adapter=None, cache_enabled=False)
    old = (await done(worker, echo, "old")).id
    await worker.stop()
    in_file(path, "DROP TABLE cached", "DROP TABLE cached_value", "PRAGMA user_version = 1")
    worker = await opened()
    assert (await worker.fetch_task_info(old)) is not None
    await done(worker, echo, 1)
    assert await known(await opened(), 1) == [True]


# Invalid options


def test_the_memory_backend_cannot_store_results_in_a_file() -> None:
    with pytest.raises(ValueError, match=r"backend='sqlite:///"):
        AsyncTaskWorker(cache_enabled=True, cache_adapter="sqlite")


def test_the_error_for_an_unknown_adapter_name_lists_the_known_ones(path: Path) -> None:
    for backend in ("memory://", f"sqlite:///{path}"):
        with pytest.raises(ValueError, match="'redsi' is unknown; there are 'memory' and 'sqlite'"):
            AsyncTaskWorker(cache_enabled=True, cache_adapter="redsi", backend=backend)


async def test_the_memory_adapter_can_be_chosen_by_name() -> None:
    async with AsyncTaskWorker(cache_enabled=True, cache_adapter="memory") as worker:
        assert [(await done(worker, echo, 1)).from_cache for _ in range(2)] == [False, True]


# Faults


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE cached_value SET value = x'7b'",  # a msgpack for 123
        "UPDATE cached_value SET value = x''",
        "UPDATE cached_value SET value = 'text'",
        "UPDATE cached_value SET value = CAST(x'ff' AS TEXT)",
        "UPDATE cached_value SET value = 5",
        "UPDATE cached_value SET value = x'80' || value",
        "UPDATE cached_value SET value = substr(value, 1, length(value) - 1)",
        "UPDATE cached_value SET value = (SELECT max(value) FROM cached_value), number = -number",
        "UPDATE cached_value SET value = (SELECT value FROM cached_value WHERE number = 2)",
        "DELETE FROM cached_value",
        "UPDATE cached SET key = 7",
        "UPDATE cached SET key = x'ff'",
        "UPDATE cached SET used = 'late'",
        "UPDATE cached SET size = x'00'",
        "UPDATE cached SET expires_at = 'tomorrow'",
        "UPDATE cached SET entry_id = 8",
    ],
)
async def test_a_damaged_entry_is_a_miss_and_is_deleted_and_counted(opened: Open, path: Path, damage: str) -> None:
    worker = await opened()
    for value in ("damaged", "other"):
        await done(worker, echo, value)
    await worker.stop()
    in_file(path, damage)
    worker = await opened()
    again = await done(worker, echo, "damaged")
    assert (again.from_cache, again.result) == (False, "damaged")
    figures = worker.cache.statistics()
    assert figures.faults["corrupt"] >= 1
    assert figures.faults.keys() == {"corrupt"}
    assert (await done(worker, echo, "damaged")).from_cache
    await done(worker, echo, "other")
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM cached") == [(2,)]


@pytest.mark.parametrize("damage", ["DROP TABLE cached_value", "DROP TABLE cached"])
async def test_missing_tables_affect_no_task(opened: Open, path: Path, damage: str) -> None:
    await done(await opened(), echo, 0)
    await (await opened()).stop()
    in_file(path, damage)
    worker = await opened()
    infos = await asyncio.gather(*(done(worker, echo, value) for value in range(100)))
    assert [info.result for info in infos] == list(range(100))
    assert worker.cache.statistics().errors > 0
    await worker._backend._journal.flush()  # type: ignore[attr-defined]
    assert await known(worker, *range(100)) == [False] * 100
    with pytest.raises(CacheUnavailableError):
        await worker.clear_cache()
    await worker.stop()
    assert in_file(path, "SELECT count(*) FROM task WHERE status = 2") == [(101,)]


@pytest.mark.real_time
async def test_a_busy_file_delays_a_task_by_the_timeout_at_most(opened: Open) -> None:
    worker = await opened(cache_timeout=0.05)
    await done(worker, note, 1)
    journal = worker._backend._journal  # type: ignore[attr-defined]
    await journal.flush()
    go_on = threading.Event()
    busy = asyncio.create_task(journal.read(lambda _: go_on.wait()))
    await asyncio.sleep(0)
    begun = asyncio.get_running_loop().time()
    assert await worker.cache.get(note, (1,), None) == (False, None)
    assert asyncio.get_running_loop().time() - begun < 1
    assert worker.cache.statistics().faults == {"timeout": 1}
    go_on.set()
    await busy


async def test_entries_beyond_the_write_limit_are_dropped(opened: Open) -> None:
    """Entries waiting for the disk are in memory, so their number is limited."""
    worker = await opened()
    results = [bytes([number]) * 9_000_000 for number in range(6)]
    kept = [await worker.cache.set(echo, (number,), None, result) for number, result in enumerate(results)]
    assert kept == [True, True, True, False, False, False]
    assert worker.cache.statistics().skipped == 3
    await worker._backend._journal.flush()  # type: ignore[attr-defined]
    assert await known(worker, 0, 1, 2, 3) == [True, True, True, False]
