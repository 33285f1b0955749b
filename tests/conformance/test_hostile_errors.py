"""Exceptions that cannot be formatted, or are huge: they cost their own text, and nothing else."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from async_task_worker import AsyncTaskWorker, TaskEvent, create_task_worker_router
from tests.conformance.event_helpers import ended, info_of
from tests.conftest import MakeWorker
from tests.support.hostile_errors import HOSTILE, raise_hostile
from tests.support.tasks import echo
from tests.support.waiting import finished

MOST = 1_100_000


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a stream handler writes of the package's records."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("async_task_worker")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


async def submitted(worker: AsyncTaskWorker) -> dict[str, str]:
    """Return the ids of finished tasks that raised each of the errors, by its name."""
    ids = {kind: await worker.add_task(raise_hostile, kind) for kind in HOSTILE}
    await finished(worker, *ids.values())
    return ids


async def test_every_error_has_texts_of_bounded_size(worker: AsyncTaskWorker) -> None:
    for kind, task_id in (await submitted(worker)).items():
        info = info_of(worker, task_id)
        assert info.error_detail is not None
        assert type(info.error) is str, kind
        assert len(info.error) < MOST, kind
        assert info.error_detail.message == info.error, kind
        assert "in raise_hostile" in info.error_detail.traceback, kind
        assert len(info.error_detail.traceback) < MOST, kind
        assert info.error_detail.type.endswith(("Error", "Group")), kind
        json.dumps(info.as_dict(include_traceback=True)).encode("ascii")
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"


async def test_every_error_reaches_those_who_wait(worker: AsyncTaskWorker) -> None:
    for kind in HOSTILE:
        task_id = await worker.add_task(raise_hostile, kind)
        for waiting in (worker.get_task_future(task_id), worker.wait_for_tasks([task_id])):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - of all sorts
                await waiting
            assert kind in {"stopping", "meta leaving"} or type(caught.value) is type(HOSTILE[kind]())
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await worker.wait_for_any_task([task_id])
    assert worker.counts()["failed"] == len(HOSTILE)


async def test_every_error_is_shown_over_http(worker: AsyncTaskWorker) -> None:
    app = FastAPI()
    app.include_router(create_task_worker_router(worker, show_tracebacks=True))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        ids = await submitted(worker)
        for kind, task_id in ids.items():
            task = (await client.get(f"/tasks/{task_id}")).json()
            assert (task["status"], bool(task["error_detail"]["traceback"])) == ("failed", True), kind
            assert (await client.get(f"/tasks/{task_id}/result")).status_code == 424
            events = (await client.get(f"/tasks/{task_id}/events")).text
            assert "event: task.failed" in events, kind
        listed = (await client.get("/tasks?limit=100")).json()
        assert {task["id"] for task in listed["tasks"]} == set(ids.values())
        found = (await client.get("/tasks", params={"q": "bad input", "limit": 100})).json()["tasks"]
        assert {task["id"] for task in found} >= {ids["bytes for text"], ids["places that are none"]}


async def test_every_error_is_logged(
    worker: AsyncTaskWorker, written: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = await submitted(worker)
    text = written.getvalue()
    for kind, task_id in ids.items():
        assert "in raise_hostile" in text.partition(f"Task {task_id} (raise_hostile) failed\n")[2], kind
    assert "bad input" in text
    assert capsys.readouterr().err == ""


async def test_an_error_of_a_listener_is_logged_too(
    worker: AsyncTaskWorker, written: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = iter(HOSTILE)

    def listen(_event: TaskEvent) -> None:
        raise HOSTILE[next(kinds)]()  # noqa: RSE102

    worker.events.listen(listen)
    for number in range(len(HOSTILE) // 3):
        await ended(worker, await worker.add_task(echo, number))
    assert written.getvalue().count("A listener failed") == len(HOSTILE) // 3 * 3
    assert capsys.readouterr().err == ""


async def test_an_error_shared_by_tasks_that_do_the_same_ends_all_of_them(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    for kind in ("faceless", "sealed", "meta"):
        ids = [await worker.add_task(raise_hostile, kind) for _ in range(3)]
        for info in await finished(worker, *ids):
            assert info.status == "failed"
            assert dataclasses.asdict(info)["error_detail"]["type"].endswith("Error")


async def test_an_error_of_a_key_function_leaves_the_call_uncached_and_runs_it(make_worker: MakeWorker) -> None:
    worker = await make_worker(cache_enabled=True)
    for kind in ("mute", "faceless", "rootless", "sealed", "meta", "odd text"):

        def fail(_context: dict[str, object], kind: str = kind) -> str:
            raise HOSTILE[kind]()  # noqa: RSE102

        info = await ended(worker, await worker.add_task(echo, kind, cache_key_fn=fail))
        assert (info.result, info.from_cache) == (kind, False)
