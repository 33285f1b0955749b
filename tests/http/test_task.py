"""A single task: fetching it, waiting for it, its result, its cancellation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from async_task_worker import AsyncTaskWorker, ProgressCallback, task
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.http.requests import problem_code, submit
from tests.support.backends import Backend
from tests.support.served_app import ODD_RESULTS
from tests.support.tasks import echo, fail_with, open_gate, report_then_wait, sleep_for, stubborn, wait_at
from tests.support.waiting import running, settled


async def test_the_body_of_a_task_has_every_field(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(report_then_wait, 0.25, "gate", metadata={"user": "ada"}, priority=2)
    await running(worker, task_id)

    task = (await client.get(f"/tasks/{task_id}")).json()

    info = worker.get_task_info(task_id)
    assert info is not None
    assert task.pop("created_at").endswith("Z")
    assert task.pop("started_at").endswith("Z")
    assert task == {
        "id": task_id,
        "status": "running",
        "progress": 0.25,
        "metadata": {"user": "ada", "task_type": "report_then_wait"},
        "result": None,
        "error": None,
        "task_type": "report_then_wait",
        "phase": None,
        "params": {"progress": 0.25, "gate": "gate"},
        "priority": 2,
        "progress_detail": None,
        "error_detail": None,
        "attempt": 1,
        "result_dropped": False,
        "from_cache": False,
        "worker_id": None,
        "completed_at": None,
        "wait_time": info.wait_time,
        "run_time": None,
    }


async def test_a_failed_task_has_the_text_and_type_of_its_error_without_a_traceback(
    worker: AsyncTaskWorker, client: httpx.AsyncClient, serve: ServeWorker
) -> None:
    task_id = await worker.add_task(fail_with, "Value cannot be negative")
    task = (await client.get(f"/tasks/{task_id}?wait=5")).json()
    assert (task["status"], task["error"]) == ("failed", "Value cannot be negative")
    assert task["error_detail"] == {"type": "ValueError", "message": "Value cannot be negative"}
    trusted = await serve(worker, show_tracebacks=True)
    assert "raise ERRORS" in (await trusted.get(f"/tasks/{task_id}")).json()["error_detail"]["traceback"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_task_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/tasks/unknown")
    assert response.status_code == 404
    assert problem_code(response) == "task_not_found"
    for path in ("cancel", "result", "events"):
        response = await client.request("POST" if path == "cancel" else "GET", f"/tasks/unknown/{path}")
        assert problem_code(response) == "task_not_found"


async def test_wait_responds_when_the_task_has_finished_or_after_the_timeout(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    began = asyncio.get_running_loop().time()
    task_id = await worker.add_task(sleep_for, 30, "done")
    assert (await client.get(f"/tasks/{task_id}?wait=10")).json()["status"] == "running"
    assert (await client.get(f"/tasks/{task_id}?wait=60")).json()["status"] == "completed"
    assert asyncio.get_running_loop().time() - began < 31


async def test_each_state_of_a_task_has_an_etag(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    first = await client.get(f"/tasks/{task_id}")
    tag = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(f"/tasks/{task_id}", headers=tag)).status_code == 304
    weak = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    assert (await client.get(f"/tasks/{task_id}", headers=weak)).status_code == 304
    open_gate("gate")
    await settled()
    assert (await client.get(f"/tasks/{task_id}", headers=tag)).json()["status"] == "completed"


async def test_no_state_after_a_crash_has_an_etag_of_an_earlier_state(tmp_path: Path, serve: ServeWorker) -> None:
    """Progress is stored later, so after a crash a task has fewer changes than clients have seen."""
    report: list[ProgressCallback] = []

    @task("report_on_demand")
    async def report_on_demand(progress_callback: ProgressCallback) -> None:
        report.append(progress_callback)
        await wait_at("gate")

    async def tags_of(worker: AsyncTaskWorker, *, copy: Path | None = None) -> set[str]:
        client = await serve(worker)
        await running(worker, "mine")
        if copy is not None:
            await worker.backup(copy)
        tags = set()
        for percent in range(10):
            report[-1](percent / 100)
            await settled()
            tags.add((await client.get("/tasks/mine")).headers["etag"])
        return tags

    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path}/tasks.db", stop_timeout=0) as worker:
        await worker.add_task(report_on_demand, task_id="mine")
        before = await tags_of(worker, copy=tmp_path / "copy.db")
    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path}/copy.db", stop_timeout=0) as worker:
        after = await tags_of(worker)

    assert len(before | after) == 20


async def test_wait_with_an_etag_responds_at_the_next_change(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(report_then_wait, 0.5, "gate")
    tag = {"If-None-Match": (await client.get(f"/tasks/{task_id}")).headers["etag"]}

    changed = await client.get(f"/tasks/{task_id}?wait=60", headers=tag)

    assert (changed.json()["status"], changed.json()["progress"]) == ("running", 0.5)
    tag = {"If-None-Match": changed.headers["etag"]}
    assert (await client.get(f"/tasks/{task_id}?wait=5", headers=tag)).status_code == 304


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", "1e999"])
async def test_a_wait_out_of_range_is_refused(worker: AsyncTaskWorker, client: httpx.AsyncClient, wait: str) -> None:
    task_id = await worker.add_task(echo, 1)
    assert problem_code(await client.get(f"/tasks/{task_id}", params={"wait": wait})) == "invalid_request"


async def test_the_result_endpoint_returns_the_bare_value(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(sleep_for, 5, {"answer": 42})
    pending = await client.get(f"/tasks/{task_id}/result")
    assert (pending.status_code, problem_code(pending)) == (409, "not_finished")
    assert (await client.get(f"/tasks/{task_id}/result?wait=10")).json() == {"answer": 42}


async def test_a_failed_or_cancelled_task_has_no_result(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    failed = await client.get(f"/tasks/{await worker.add_task(fail_with, 'no luck')}/result?wait=5")
    assert (failed.status_code, problem_code(failed), failed.json()["detail"]) == (424, "task_failed", "no luck")
    task_id = await worker.add_task(wait_at, "gate")
    await worker.cancel_task(task_id)
    cancelled = await client.get(f"/tasks/{task_id}/result")
    assert (cancelled.status_code, problem_code(cancelled)) == (424, "task_cancelled")


@pytest.mark.parametrize("kind", ODD_RESULTS)
async def test_a_result_that_is_not_json_is_a_placeholder(client: httpx.AsyncClient, kind: str) -> None:
    task = await submit(client, "odd_result", params={"kind": kind}, wait=5)
    assert task["status"] == "completed"
    alone = await client.get(f"/tasks/{task['id']}")
    result = await client.get(f"/tasks/{task['id']}/result")
    listed = await client.get("/tasks")
    assert (alone.status_code, result.status_code, listed.status_code) == (200, 200, 200)
    assert '"$type":"' in alone.text
    assert '"$type":"' in result.text
    assert '"$type":"' in listed.text
    assert "hunter2" not in alone.text + listed.text


async def test_delete_cancels_the_task_and_keeps_its_record(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(wait_at, "gate")
    await running(worker, task_id)
    response = await client.delete(f"/tasks/{task_id}")
    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(f"/tasks/{task_id}")).json()["status"] == "cancelled"
    assert (await client.delete(f"/tasks/{task_id}")).status_code == 204


async def test_cancel_returns_the_cancelled_task(worker: AsyncTaskWorker, client: httpx.AsyncClient) -> None:
    task_id = await worker.add_task(wait_at, "gate")
    response = await client.post(f"/tasks/{task_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    again = await client.post(f"/tasks/{task_id}/cancel")
    assert (again.status_code, problem_code(again)) == (409, "task_finished")


async def test_a_task_that_ignores_its_cancellation_is_abandoned(
    worker: AsyncTaskWorker, client: httpx.AsyncClient
) -> None:
    task_id = await worker.add_task(stubborn, "gate")
    await running(worker, task_id)
    assert (await client.post(f"/tasks/{task_id}/cancel")).json()["status"] == "cancelled"
    assert (await client.get("/health")).json()["abandoned_tasks"] == 1


async def test_params_are_dropped_with_their_tasks(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_history=3)
    client = await serve(worker)
    first = await submit(client, "echo", params={"value": 0}, wait=1)
    for number in range(20):
        last = await submit(client, "echo", params={"value": number}, wait=1)
    assert (await client.get(f"/tasks/{first['id']}")).status_code == 404
    assert (await client.get(f"/tasks/{last['id']}")).json()["params"] == {"value": 19}


async def test_a_change_of_priority_changes_the_etag(make_worker: MakeWorker, serve: ServeWorker) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    client = await serve(worker)
    await worker.add_task(wait_at, "slot", use_cache=False)
    leader = await worker.add_task(echo, "wanted", priority=10)
    first = await client.get(f"/tasks/{leader}")
    waiting = asyncio.create_task(
        client.get(f"/tasks/{leader}?wait=10", headers={"If-None-Match": first.headers["etag"]})
    )
    await settled()
    await worker.add_task(echo, "wanted", priority=-1)
    changed = await waiting
    assert (first.json()["priority"], changed.json()["priority"]) == (10, -1)
    assert changed.headers["etag"] != first.headers["etag"]


async def test_a_dropped_result_gets_410(make_worker: MakeWorker, serve: ServeWorker, backend: Backend) -> None:
    worker = await make_worker(max_result_bytes=0)
    client = await serve(worker)
    task_id = await worker.add_task(echo, "text")
    await worker.wait_for_tasks([task_id])
    if not backend.durable:
        assert (await client.get(f"/tasks/{task_id}")).json()["result_dropped"] is True
        response = await client.get(f"/tasks/{task_id}/result")
        assert (response.status_code, response.json()["code"]) == (410, "result_dropped")
    else:
        assert (await client.get(f"/tasks/{task_id}/result")).json() == "text"
