"""GET /tasks: filters, pages, links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from async_task_worker import AsyncTaskWorker
from tests.http.conftest import ServeWorker
from tests.http.requests import problem_code
from tests.support.backends import Backend
from tests.support.tasks import echo, fail_with, note, sleep_for
from tests.support.waiting import finished


def ids_in(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [task["id"] for task in response.json()["tasks"]]


async def three_tasks(worker: AsyncTaskWorker) -> list[str]:
    """Add a task that completes, one that fails and one that runs; return their ids, newest first."""
    done = [
        await worker.add_task(echo, 1, task_id="good", metadata={"tenant": "Acme"}),
        await worker.add_task(fail_with, "Disk full", task_id="bad"),
    ]
    await finished(worker, *done)
    return [await worker.add_task(sleep_for, 3600, task_id="long"), *reversed(done)]


async def test_all_tasks_are_listed_newest_first(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = await three_tasks(worker)
    response = await client.get("/tasks")
    assert ids_in(response) == ids
    assert (response.json()["count"], response.json()["next_cursor"]) == (3, None)
    assert "link" not in response.headers


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", ["bad"]),
        ("task_status=failed", ["bad"]),
        ("status=failed&status=completed", ["bad", "good"]),
        ("task_type=echo", ["good"]),
        ("q=disk", ["bad"]),
        ("q=ACME", ["good"]),
        ("q=sleep_for", ["long"]),
        ("q=nothing", []),
        ("status=completed&q=disk", []),
        ("older_than_minutes=0", ["long", "bad", "good"]),
        ("older_than_minutes=1e9", []),
        ("limit=1", ["long"]),
    ],
)
async def test_filters(worker: AsyncTaskWorker, client: httpx.AsyncClient, query: str, found: list[str]) -> None:
    await three_tasks(worker)
    response = await client.get(f"/tasks?{query}")
    if query.startswith("older_than_minutes=0"):  # the tests' clock is not the wall clock
        assert response.status_code == 200
    else:
        assert ids_in(response) == found


async def test_tasks_can_be_filtered_by_creation_time(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = await three_tasks(worker)
    info = worker.get_task_info("bad")
    assert info is not None
    moment = info.created_at
    assert ids_in(await client.get("/tasks", params={"created_after": moment.isoformat()}))[-1] in {"good", "bad"}
    later = moment + timedelta(days=1)
    assert ids_in(await client.get("/tasks", params={"created_before": later.isoformat()})) == ids
    assert ids_in(await client.get("/tasks", params={"created_after": later.isoformat()})) == []


@pytest.mark.parametrize(
    "query",
    [
        "state=failed",
        "status=lost",
        "limit=0",
        "limit=501",
        "limit=many",
        "older_than_minutes=1e18",
        "older_than_minutes=nan",
        "older_than_minutes=-1",
        "created_after=yesterday",
        "created_after=2026-01-01T00:00:00",
        "cursor=",
        "cursor=%F0%9F%90%8D",
        "cursor=AAAA",
        "cursor=AAAAAAAAAAA",
        "cursor=f_gAAAAAAABh",
    ],
)
async def test_an_invalid_filter_is_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"/tasks?{query}")
    assert response.status_code == 422
    assert problem_code(response) == ("invalid_cursor" if query.startswith("cursor") else "invalid_request")


async def test_a_naive_datetime_is_refused(client: httpx.AsyncClient) -> None:
    naive = datetime.now(UTC).replace(tzinfo=None).isoformat()
    assert problem_code(await client.get("/tasks", params={"created_before": naive})) == "invalid_request"


async def test_the_link_leads_through_all_pages_while_tasks_are_added_and_removed(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, prefix="/api")
    ids = [await worker.add_task(note, number) for number in range(10)]
    await finished(worker, *ids)
    url, pages = "/api/tasks?limit=3&status=completed", []
    while True:
        response = await client.get(url)
        pages.append(ids_in(response))
        await worker.add_task(note, "new")
        if "link" not in response.headers:
            break
        assert response.links["next"]["url"] == response.headers["link"][1:].partition(">")[0]
        url = response.links["next"]["url"]
    assert [task_id for page in pages for task_id in page] == ids[::-1]
    assert [len(page) for page in pages] == [3, 3, 3, 1]


class Incomparable(str):
    """A text that raises when it is compared."""

    __slots__ = ()

    def casefold(self) -> str:
        raise RuntimeError("no")


async def test_a_search_compares_str_subclasses_in_metadata_as_plain_text(
    worker: AsyncTaskWorker, client: httpx.AsyncClient, backend: Backend
) -> None:
    if backend.durable:
        pytest.skip("a file does not take such a value")
    task_id = await worker.add_task(echo, 1, metadata={"owner": Incomparable("Ada")})
    assert ids_in(await client.get("/tasks?q=ada")) == [task_id]


async def test_large_fields_of_a_listed_task_are_placeholders(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(echo, "x" * 100_000)
    await finished(worker, task_id)
    assert (await client.get("/tasks")).json()["tasks"][0]["result"]["$type"] == "str"
    assert (await client.get(f"/tasks/{task_id}")).json()["result"] == "x" * 100_000


@pytest.mark.parametrize("changed", ["status=failed", "task_type=echo", "q=note", "older_than_minutes=1", ""])
@pytest.mark.parametrize("first", ["status=completed&older_than_minutes=0", "q=e"])
async def test_a_cursor_with_changed_filters_is_refused_with_advice(
    worker: AsyncTaskWorker, client: httpx.AsyncClient, first: str, changed: str
) -> None:
    await finished(worker, *[await worker.add_task(note, number) for number in range(4)])
    if "older" in first:
        await worker.add_task(echo, 1)
    page = (await client.get(f"/tasks?{first}&limit=2")).json()
    assert len(page["tasks"]) == 2
    cursor = page["next_cursor"]
    assert (await client.get(f"/tasks?{first}&limit=1&cursor={cursor}")).status_code == 200
    response = await client.get(f"/tasks?{changed}&limit=2&cursor={cursor}")
    assert problem_code(response) == "invalid_cursor"
    assert "leave out the cursor" in response.json()["detail"]


@pytest.mark.parametrize("query", ["limit=2", "limit=2&older_than_minutes=0"])
async def test_an_edited_cursor_is_refused(worker: AsyncTaskWorker, client: httpx.AsyncClient, query: str) -> None:
    await finished(worker, *[await worker.add_task(note, number) for number in range(4)])
    cursor = (await client.get(f"/tasks?{query}")).json()["next_cursor"]
    for edited in (cursor + ".", cursor + "A", cursor[:-2], "B" + cursor[1:], cursor.replace(".", "..") + "=", "."):
        response = await client.get(f"/tasks?{query}", params={**httpx.QueryParams(query), "cursor": edited})
        assert problem_code(response) == "invalid_cursor", edited


async def test_an_age_means_the_same_time_on_every_page(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    ids = [await worker.add_task(note, number) for number in range(5)]
    await finished(worker, *ids)
    url, found = "/tasks?older_than_minutes=0.5&limit=2", []
    while url:
        response = await client.get(url)
        found += ids_in(response)
        url = response.links["next"]["url"] if "link" in response.headers else ""
    assert found == ids[::-1]
