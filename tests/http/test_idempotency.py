"""``Idempotency-Key``: one task per key, caller and body, as long as that task is known."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from async_task_worker import AsyncTaskWorker
from async_task_worker.web import Limits
from async_task_worker.web.api.idempotency import IdempotencyKeys
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.support.backends import Backend
from tests.support.tasks import wait_at
from tests.support.waiting import running, settled

TASK: dict[str, Any] = {"task_type": "own_names"}


async def send(client: httpx.AsyncClient, key: str = "k", body: Any = None, **headers: str) -> tuple[int, str]:
    """Submit with a key; return the status and the id of the task."""
    response = await client.post("/tasks", json=body or TASK, headers={"Idempotency-Key": key, **headers})
    return response.status_code, response.json().get("id", response.json().get("code"))


async def test_the_same_key_of_two_callers_is_two_keys(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker)
    callers = [
        {},
        {"Authorization": "Bearer one"},
        {"Authorization": "Bearer two"},
        {"Cookie": "session=one"},
        {"X-Api-Key": "one"},
        {"Authorization": "one", "Cookie": "two"},
        {"Authorization": "two", "Cookie": "one"},
    ]
    first = [await send(client, **caller) for caller in callers]
    again = [await send(client, **caller) for caller in callers]
    assert {status for status, _ in first} == {201}
    assert len({task_id for _, task_id in first}) == len(callers)
    assert again == [(200, task_id) for _, task_id in first]


async def test_a_key_of_another_caller_reveals_nothing_about_its_body(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker)
    await send(client, Authorization="one")
    assert (await send(client, body={**TASK, "priority": 1}, Authorization="two"))[0] == 201
    assert await send(client, body={**TASK, "priority": 1}, Authorization="one") == (409, "idempotency_mismatch")


def user(request: Request) -> str:
    return request.headers["x-user"]


async def user_async(request: Request) -> str:
    await asyncio.sleep(1)
    return request.headers["x-user"]


@pytest.mark.parametrize("scope", [user, user_async])
async def test_a_scope_function_identifies_the_caller(worker: AsyncTaskWorker, serve: ServeWorker, scope: Any) -> None:
    client = await serve(worker, scope=scope)
    _, first = await send(client, **{"X-User": "ann", "Authorization": "old token"})
    assert await send(client, **{"X-User": "ann", "Authorization": "new token"}) == (200, first)
    assert (await send(client, **{"X-User": "bob", "Authorization": "old token"}))[0] == 201


async def test_a_scope_that_is_not_a_text_raises_a_type_error(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, scope=lambda _request: None)
    with pytest.raises(TypeError, match="scope must return a str"):
        await send(client)
    assert worker.get_all_tasks() == []


async def test_the_default_scope_logs_a_warning_once_when_first_used(
    worker: AsyncTaskWorker, serve: ServeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    named, by_credentials = await serve(worker, scope=user), await serve(worker)
    await send(named, **{"X-User": "ann"})
    await by_credentials.post("/tasks", json=TASK)
    assert not [record for record in caplog.records if "scope=" in record.getMessage()]
    for number in range(3):
        await send(by_credentials, str(number), Authorization="Bearer secret")
    (warning,) = [record for record in caplog.records if "scope=" in record.getMessage()]
    assert warning.levelno == logging.WARNING
    assert "user's id" in warning.getMessage()
    assert "secret" not in caplog.text


async def test_a_key_is_kept_as_long_as_its_task_is_known(
    make_worker: MakeWorker, serve: ServeWorker, backend: Backend
) -> None:
    """However many keys come after it, and however long that takes."""
    worker = await make_worker(retention=timedelta(days=7))
    client = await serve(worker, limits=Limits(idempotency_keys=0))
    _, task_id = await send(client, "first")
    for number in range(50):
        await send(client, str(number))
    await asyncio.sleep(6 * 24 * 3600)  # virtual
    assert await send(client, "first") == (200, task_id)
    if backend.durable:  # history is pruned when the file is next written to
        return
    await asyncio.sleep(2 * 24 * 3600)
    assert (await send(client, "first", body={**TASK, "priority": 1}))[0] == 201


async def test_keys_of_unknown_tasks_are_removed() -> None:
    known: set[str] = set()

    async def is_known(task_id: str) -> bool:
        return task_id in known

    keys = IdempotencyKeys(10, is_known)

    async def submitted(number: int) -> str:
        known.clear()
        known.update(map(str, range(max(0, number - 5), number + 1)))
        return str(number)

    for number in range(1000):
        assert await keys.run_once("ann", f"k{number % 700}", b"", partial(submitted, number)) == (str(number), False)
    assert len(keys._entries) <= 20
    assert len(keys._prune_queue) <= 20


async def test_a_key_is_kept_while_its_task_is_being_submitted(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1)
    client = await serve(worker, limits=Limits(idempotency_keys=0, queue_wait=100))
    await running(worker, await worker.add_task(wait_at, "gate"))
    await send(client, "takes the room there is")
    sending = [asyncio.create_task(send(client, str(number % 10))) for number in range(20)]
    await settled()
    for info in worker.get_all_tasks():
        await worker.cancel_task(info.id)
    answers = await asyncio.gather(*sending)
    assert sorted(status for status, _ in answers) == [200] * 10 + [201] * 10
    assert len({task_id for _, task_id in answers}) == 10
