"""Searching: pages of tasks, and one task by its id, as the backend knows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskPage, TaskStatus
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, fail_with, wait_at
from tests.support.waiting import finished


def ids_of(page: TaskPage) -> list[str]:
    return [info.id for info in page.tasks]


async def all_pages(worker: AsyncTaskWorker, **query: Any) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await worker.search_tasks(**query, cursor=cursor)
        found += ids_of(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_a_task_is_fetched_as_it_is_known(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1)
    await finished(worker, task_id)
    assert await worker.fetch_task_info(task_id) == worker.get_task_info(task_id)
    assert await worker.fetch_task_info("nobody") is None


async def test_without_filters_a_page_holds_the_newest_fifty(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, number) for number in range(60)]
    page = await worker.search_tasks()
    assert ids_of(page) == ids[:9:-1]
    rest = await worker.search_tasks(cursor=page.next_cursor)
    assert ids_of(rest) == ids[9::-1]
    assert rest.next_cursor is None


async def test_a_full_last_page_is_the_last(worker: AsyncTaskWorker) -> None:
    for number in range(4):
        await worker.add_task(echo, number)
    first = await worker.search_tasks(limit=2)
    second = await worker.search_tasks(limit=2, cursor=first.next_cursor)
    assert second.next_cursor is None


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_pages_of_any_size_have_every_task_once(worker: AsyncTaskWorker, limit: int) -> None:
    ids = [await worker.add_task(echo, number) for number in range(30)]
    assert await all_pages(worker, limit=limit) == ids[::-1]


async def test_a_cursor_stays_good_while_tasks_come_and_go(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_history=20)
    ids = [await worker.add_task(echo, number) for number in range(20)]
    await finished(worker, *ids)
    first = await worker.search_tasks(limit=5)
    newer = [await worker.add_task(echo, number) for number in range(5)]
    await finished(worker, *newer)  # the five oldest are forgotten

    assert await all_pages(worker, limit=4) == [*newer[::-1], *ids[:4:-1]]
    rest = await worker.search_tasks(cursor=first.next_cursor)

    assert ids_of(rest) == ids[14:4:-1]


async def test_filters_hold_together(worker: AsyncTaskWorker) -> None:
    good = await worker.add_task(echo, 1, metadata={"tenant": "Acme"})
    bad = await worker.add_task(fail_with, "Disk FULL")
    await finished(worker, good, bad)
    waiting = await worker.add_task(wait_at, "gate")
    assert await all_pages(worker, status="failed") == [bad]
    assert await all_pages(worker, status=[TaskStatus.FAILED, "completed"]) == [bad, good]
    assert await all_pages(worker, task_type="wait_at") == [waiting]
    assert await all_pages(worker, text="disk full") == [bad]
    assert await all_pages(worker, text="acme") == [good]
    assert await all_pages(worker, text=waiting[-8:].upper()) == [waiting]
    assert await all_pages(worker, text="acme", status="failed") == []


async def test_moments_bound_the_search(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1)
    info = worker.get_task_info(task_id)
    assert info is not None
    created, later = info.created_at, info.created_at + timedelta(seconds=1)
    assert await all_pages(worker, after=created, before=later) == [task_id]
    assert await all_pages(worker, before=created) == []
    assert await all_pages(worker, after=later) == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"status": "lost"}, ValueError),
        ({"task_type": 5}, TypeError),
        ({"text": b"x"}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": True}, TypeError),
        ({"before": 5.0}, TypeError),
        ({"after": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001 - that it has no time zone is the mistake
        ({"cursor": 5}, TypeError),
        ({"cursor": "no cursor"}, ValueError),
        ({"cursor": "AAAA"}, ValueError),
        ({"cursor": "ä"}, ValueError),
    ],
    ids=str,
)
async def test_a_query_that_is_none_is_refused(
    worker: AsyncTaskWorker, query: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await worker.search_tasks(**query)


async def test_a_search_that_finds_nothing_ends(worker: AsyncTaskWorker) -> None:
    assert await worker.search_tasks() == TaskPage([], None)
    assert (await worker.search_tasks(after=datetime.now(UTC))).next_cursor is None


async def test_a_lifespan_is_that_of_the_worker(make_worker: MakeWorker) -> None:
    worker = await make_worker(started=False)
    async with worker.lifespan(object()):
        assert worker.is_running
        assert await worker.get_task_future(await worker.add_task(echo, 1)) == 1
    assert not worker.is_running


async def test_a_search_through_long_texts_goes_on_in_its_next_pages(worker: AsyncTaskWorker, backend: Backend) -> None:
    ids = [await worker.add_task(echo, 1, metadata={"text": "x" * 20_000 + f"{n % 100:03}"}) for n in range(300)]
    if not backend.durable:  # a file is searched in a thread of its own, which holds up nobody
        assert (await worker.search_tasks(text="x007")).next_cursor is not None
    assert await all_pages(worker, text="x007") == [ids[207], ids[107], ids[7]]


FILTERS: dict[str, Any] = {
    "status": "completed",
    "task_type": "echo",
    "text": "x",
    "after": datetime(2020, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("changed", [*FILTERS, "before"])
async def test_a_filter_that_changed_between_pages_is_an_error(worker: AsyncTaskWorker, changed: str) -> None:
    await finished(worker, *[await worker.add_task(echo, n, metadata={"tag": "x"}) for n in range(4)])
    cursor = (await worker.search_tasks(limit=2, **FILTERS)).next_cursor
    assert len((await worker.search_tasks(limit=5, cursor=cursor, **FILTERS)).tasks) == 2

    other = {**FILTERS, changed: datetime.now(UTC) if changed == "before" else None}
    with pytest.raises(ValueError, match="filters differ"):
        await worker.search_tasks(limit=2, cursor=cursor, **other)


async def test_a_cursor_of_another_worker_or_an_edited_one_is_an_error(
    worker: AsyncTaskWorker, make_worker: MakeWorker, backend: Backend
) -> None:
    for number in range(3):
        await worker.add_task(echo, number)
    cursor = (await worker.search_tasks(limit=1)).next_cursor
    assert cursor is not None
    wrong = [cursor[:-1], cursor + "A", cursor.swapcase(), cursor[::-1]]
    if not backend.durable:
        other = await make_worker()
        for number in range(3):
            await other.add_task(echo, number)
        wrong.append((await other.search_tasks(limit=1)).next_cursor or "")
    for text in wrong:
        with pytest.raises(ValueError, match="is not a cursor that a search of this worker returned"):
            await worker.search_tasks(cursor=text)


async def test_pages_begun_while_running_go_on_when_stopped_and_after_a_restart(worker: AsyncTaskWorker) -> None:
    """One format for all three: a file answers while the worker runs, memory while it does not."""
    ids = [await worker.add_task(echo, number) for number in range(9)]
    await finished(worker, *ids)
    first = await worker.search_tasks(limit=3)
    await worker.stop()
    second = await worker.search_tasks(limit=3, cursor=first.next_cursor)
    await worker.start()
    third = await worker.search_tasks(limit=3, cursor=second.next_cursor)
    assert [ids_of(first), ids_of(second), ids_of(third)] == [ids[:5:-1], ids[5:2:-1], ids[2::-1]]
    assert third.next_cursor is None
