"""Redacted fields: neither they nor their values are in any response."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from async_task_worker import AsyncTaskWorker, task
from async_task_worker.web import Limits, redact_names
from tests.http.conftest import ServeWorker
from tests.http.requests import problem_code, submit
from tests.support.tasks import echo, fail_with, wait_at
from tests.support.waiting import finished

SECRET = 'pa"ss\\word\n⁂'  # noqa: S105 - what a test hides


@task("leak")
async def leak(options: dict[str, Any], where: str) -> Any:
    """Reveal the secret in some way."""
    secret = options["password"]
    if where == "error":
        raise KeyError(secret)
    return {"repr": repr(secret), "nested": [{secret: 1}], "plain": f"it is {secret}!"}[where]


async def answers(client: httpx.AsyncClient, task_id: str) -> str:
    """Return all responses about a task."""
    paths = [f"/tasks/{task_id}", "/tasks", f"/tasks/{task_id}/result", f"/tasks/{task_id}/events"]
    return "".join([(await client.get(path)).text for path in paths])


@pytest.mark.parametrize("where", ["error", "repr", "nested", "plain"])
async def test_a_secret_shows_nowhere(worker: AsyncTaskWorker, serve: ServeWorker, where: str) -> None:
    client = await serve(worker, redact=redact_names("password"), show_tracebacks=True)
    shown = await submit(
        client, "leak", params={"options": {"Password": "x", "password": SECRET}, "where": where}, wait=1
    )
    text = str(shown) + await answers(client, shown["id"])
    assert "[redacted]" in text
    for form in (SECRET, repr(SECRET)[1:-1], "ss\\\\word", "⁂", "\\u2042"):
        assert form not in text


async def test_metadata_of_tasks_added_in_python_is_redacted(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("token"))
    task_id = await worker.add_task(fail_with, "bad token 1234", metadata={"auth": [{"token": 1234}], "user": "ada"})
    await finished(worker, task_id)
    shown = (await client.get(f"/tasks/{task_id}")).json()
    assert shown["error"] == "bad token [redacted]"
    assert shown["metadata"]["auth"] == [{"token": "[redacted]"}]
    assert shown["metadata"]["user"] == "ada"


async def test_fields_too_large_to_search_are_hidden_with_all_that_may_quote_them(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, redact=redact_names("password"), limits=Limits(params_kept=0))
    params = {"user": "ada", "password": "secret"}
    shown = await submit(client, "log_in", params=params, wait=1)
    assert "secret" not in await answers(client, shown["id"])
    assert (await client.get(f"/tasks/{shown['id']}")).json()["error"] == "[redacted]"


async def test_a_redact_function_is_applied_last(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=lambda body: {**body, "error": body["error"] and "it failed"})
    task_id = await worker.add_task(fail_with, "at /srv/app/db.sqlite")
    await finished(worker, task_id)
    assert (await client.get(f"/tasks/{task_id}")).json()["error"] == "it failed"
    other = await worker.add_task(echo, 1)
    await finished(worker, other)
    assert (await client.get(f"/tasks/{other}")).json()["error"] is None


async def test_a_redaction_may_remove_any_field(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=lambda body: {"id": body["id"], "status": body["status"]})
    done = await submit(client, "echo_value", params={"value": "s3cr3t"}, wait=1)
    failed = await submit(client, "log_in", params={"user": "ada", "password": "s3cr3t"}, wait=1)
    result = await client.get(f"/tasks/{done['id']}/result")
    error = await client.get(f"/tasks/{failed['id']}/result")
    refusal = await client.post("/tasks", json={"task_type": "log_in", "params": {"user": "ada", "password": []}})
    assert (result.status_code, result.json()) == (200, None)
    assert (problem_code(error), error.json().get("detail")) == ("task_failed", None)
    assert (problem_code(refusal), refusal.json()["errors"][0]["message"]) == ("invalid_params", "[redacted]")
    assert "s3cr3t" not in await answers(client, done["id"]) + await answers(client, failed["id"])


async def test_many_short_secrets_do_not_make_a_long_response() -> None:
    redact = redact_names("s")
    body = redact({"params": {"s": list("[redact]")}, "metadata": {}, "error": "dead" * 1000})
    assert len(body["error"]) <= len("[redacted]") * 4000


async def test_refusals_do_not_quote_params(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("password"))
    for params in ({"user": "ada", "password": ["hunter2"]}, {"user": 5, "password": "hunter2", "x": "hunter2"}):
        response = await client.post("/tasks", json={"task_type": "log_in", "params": params})
        assert response.status_code == 422
        assert "hunter2" not in response.text


def test_redact_names_requires_names() -> None:
    with pytest.raises(TypeError):
        redact_names()


async def test_a_search_does_not_reveal_hidden_text(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    """Otherwise a caller who may search could find it letter by letter."""
    client = await serve(worker, redact=redact_names("token"))
    task_id = await worker.add_task(fail_with, "bad token s3cr3t", metadata={"token": "s3cr3t", "user": "Ada"})
    await finished(worker, task_id)
    for query, found in (("s3c", 0), ("bad", 1), ("ADA", 1), (task_id[:8], 1)):
        assert (await client.get("/tasks", params={"q": query})).json()["count"] == found
        action = {"action": "cancel", "query": {"status": ["failed"], "q": query}, "dry_run": True}
        assert (await client.post("/tasks/actions", json=action)).json()["count"] == found


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_a_search_responds_to_a_right_guess_of_a_secret_as_to_a_wrong_one(
    worker: AsyncTaskWorker, serve: ServeWorker, limit: int
) -> None:
    client = await serve(worker, redact=redact_names("token"))
    for metadata in ({"user": "ada"}, {"token": "hunter2"}, {"user": "bob"}, {"token": "hunter2"}):
        await finished(worker, await worker.add_task(fail_with, f"for {metadata}", metadata=metadata))

    async def found(guess: str) -> Any:
        response = await client.get("/tasks", params={"q": guess, "limit": limit})
        return response.json(), response.headers.get("link")

    assert await found("hunt") == await found("hunX") == ({"tasks": [], "count": 0, "next_cursor": None}, None)
    assert (await found("user"))[0]["count"] == min(limit, 2)


async def test_an_action_does_not_reveal_hidden_matches(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("token"), limits=Limits(batch=1))
    for _ in range(3):
        await worker.add_task(wait_at, "gate", metadata={"token": "hunter2"})

    async def matched(guess: str) -> Any:
        wanted = {"action": "cancel", "query": {"q": guess}, "dry_run": True}
        return (await client.post("/tasks/actions", json=wanted)).json()

    assert await matched("hunt") == await matched("hunX")


async def test_other_coroutines_run_while_a_page_is_redacted(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("token"))
    for _ in range(20):
        await finished(worker, await worker.add_task(echo, 1))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    assert (await client.get("/tasks")).json()["count"] == 20
    others.cancel()
    assert turns >= 20


class CountingRedaction:
    """A redaction that counts its calls."""

    def __init__(self) -> None:
        self.count = 0
        self._redact = redact_names("token")

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        return self._redact(body)


async def walk(
    client: httpx.AsyncClient, redaction: CountingRedaction, **query: Any
) -> tuple[list[int], list[int], list[str]]:
    """Return how many tasks each page has, how many were read for it, and the ids of all tasks."""
    sizes, read_counts, found, cursor = [], [], [], None
    while True:
        before = redaction.count
        response = await client.get("/tasks", params=query | ({} if cursor is None else {"cursor": cursor}))
        assert response.status_code == 200, response.text
        body = response.json()
        sizes.append(body["count"])
        read_counts.append(redaction.count - before - body["count"])  # each task on the page is redacted once more
        found += [task["id"] for task in body["tasks"]]
        cursor = body["next_cursor"]
        if cursor is None:
            return sizes, read_counts, found


@pytest.mark.parametrize("limit", [1, 50])
async def test_a_search_reads_as_many_tasks_for_a_right_guess_as_for_a_wrong_one(
    worker: AsyncTaskWorker, serve: ServeWorker, limit: int
) -> None:
    redaction = CountingRedaction()
    client = await serve(worker, redact=redaction, limits=Limits(searched=50))
    for number in range(120):
        await worker.add_task(wait_at, "gate", metadata={"token": f"hunter{number % 3}"})

    right, wrong = [await walk(client, redaction, q=guess, limit=limit) for guess in ("hunter2", "hunterX")]

    assert right == wrong == ([0, 0, 0], [50, 50, 20], [])


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_a_search_with_redaction_finds_visible_text_in_pages_of_bounded_work(
    worker: AsyncTaskWorker, serve: ServeWorker, limit: int
) -> None:
    redaction = CountingRedaction()
    client = await serve(worker, redact=redaction, limits=Limits(searched=30))
    users = [f"user {number % 20}" for number in range(100)]
    ids = [await worker.add_task(wait_at, "gate", metadata={"token": "secret", "user": user}) for user in users]

    sizes, read_counts, found = await walk(client, redaction, q="user 17", limit=limit)

    assert found == [task_id for task_id, user in zip(ids, users, strict=True) if user == "user 17"][::-1]
    assert max(sizes) <= limit
    assert max(read_counts) <= 30


@pytest.mark.parametrize("answer", [None, "raise", "half"])
async def test_a_failing_redaction_affects_only_that_task(
    worker: AsyncTaskWorker, serve: ServeWorker, caplog: pytest.LogCaptureFixture, answer: str | None
) -> None:
    def redact(body: dict[str, Any]) -> Any:
        if body["metadata"].get("user") != "bad":
            return body
        if answer == "half":
            body["metadata"].pop("user")
        return None if answer is None else body["no such field"]

    client = await serve(worker, redact=redact)
    bad = await worker.add_task(fail_with, "s3cr3t", metadata={"user": "bad", "token": "s3cr3t"})
    good = await worker.add_task(echo, "fine")
    await finished(worker, bad)
    await finished(worker, good)

    shown = (await client.get(f"/tasks/{bad}")).json()
    listed = {task["id"]: task for task in (await client.get("/tasks")).json()["tasks"]}
    found = (await client.get("/tasks", params={"q": "s3cr3t"})).json()["tasks"]

    assert (shown["id"], shown["status"], shown["error"]) == (bad, "failed", "[redaction failed]")
    assert listed[good]["result"] == "fine"
    assert listed[bad]["error"] == "[redaction failed]"
    assert found == []
    assert "s3cr3t" not in await answers(client, bad)
    logged = [record for record in caplog.records if "redact failed" in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


async def test_an_action_by_text_reads_a_bounded_number_of_tasks_and_can_be_continued(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    redaction = CountingRedaction()
    client = await serve(worker, redact=redaction, limits=Limits(searched=10))
    users = [f"user {number % 5}" for number in range(25)]
    ids = [await worker.add_task(wait_at, "gate", metadata={"token": "hunter2", "user": user}) for user in users]

    async def walk_actions(text: str) -> tuple[list[str], list[int]]:
        done: list[str] = []
        read_counts: list[int] = []
        query = {"q": text}
        while True:
            before = redaction.count
            body = (await client.post("/tasks/actions", json={"action": "cancel", "query": query})).json()
            read_counts.append(redaction.count - before)
            done += [one["id"] for one in body["results"]]
            assert body["more"] == (body["next_cursor"] is not None)
            if not body["more"]:
                return done, read_counts
            query = {"q": text, "cursor": body["next_cursor"]}

    right, wrong = await walk_actions("hunter2"), await walk_actions("hunterX")
    done, read_counts = await walk_actions("user 3")

    assert right == wrong == ([], [10, 10, 5])
    assert max(read_counts) <= 10
    assert done == [task_id for task_id, user in zip(ids, users, strict=True) if user == "user 3"][::-1]


async def test_an_action_refuses_a_cursor_of_another_query(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("token"), limits=Limits(batch=1))
    for _ in range(3):
        await worker.add_task(wait_at, "gate", metadata={"user": "ada"})
    wanted = {"action": "cancel", "query": {"q": "ada"}, "dry_run": True}
    cursor = (await client.post("/tasks/actions", json=wanted)).json()["next_cursor"]
    for query in ({"q": "bob", "cursor": cursor}, {"q": "ada", "cursor": "x"}, {"cursor": cursor}):
        response = await client.post("/tasks/actions", json=wanted | {"query": query})
        assert problem_code(response) == "invalid_cursor"


async def test_the_arguments_of_tasks_added_in_python_are_redacted(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, redact=redact_names("message"))
    task_id = await worker.add_task(fail_with, "s3cr3t")
    await finished(worker, task_id)
    assert (await client.get(f"/tasks/{task_id}")).json()["params"] == {"message": "[redacted]"}
    assert "s3cr3t" not in await answers(client, task_id)


async def test_an_argument_too_large_to_search_hides_all_that_may_quote_it(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, redact=redact_names("password"))
    task_id = await worker.add_task(leak, {"password": "s3cr3t", "more": list(range(5000))}, "plain")
    await finished(worker, task_id)
    assert "s3cr3t" not in await answers(client, task_id)
