"""Each job has an asyncio task and a context of its own; each worker has tasks, and one event loop, of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskStatus, task
from tests.conformance.event_helpers import ended, info_of, now, record_events, status_of
from tests.conformance.from_inside_task import add_and_wait, drain_worker, own_worker, stop_worker, use_worker
from tests.conftest import MakeWorker
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.tasks import (
    echo,
    fail_in_group,
    name_own_task,
    open_gate,
    read_request_id,
    report_then_wait,
    request_id,
    sleep_for,
    stubborn,
    wait_at,
    write_request_id,
)
from tests.support.waiting import running, settled


@task("count_cancellations")
async def count_cancellations() -> int:
    """Return what an earlier job may have left on the asyncio task."""
    this = asyncio.current_task()
    assert this is not None
    return this.cancelling()


@task("use_let_in_worker")
async def use_let_in_worker(task_id: str, method: str) -> None:
    """Wait, in one of several ways, for a task of another worker."""
    call = getattr(own_worker(), method)
    await (call() if method in ("drain", "stop") else call(task_id if method == "get_task_future" else [task_id]))


@contextmanager
def request(value: str) -> Iterator[None]:
    """Set the context variable, as a web framework does for each request."""
    token = request_id.set(value)
    yield
    request_id.reset(token)


async def test_the_context_of_the_caller_follows_the_task(worker: AsyncTaskWorker) -> None:
    with request("r-1"):
        task_id = await worker.add_task(read_request_id)
        other_id = await worker.submit(read_request_id)
    assert await worker.wait_for_tasks([task_id, other_id]) == ["r-1", "r-1"]


async def test_it_is_the_context_at_the_time_the_task_was_added(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    ids = []
    for number in range(3):
        with request(f"r-{number}"):
            ids.append(await worker.add_task(read_request_id))
    open_gate("gate")
    assert await worker.wait_for_tasks(ids) == ["r-0", "r-1", "r-2"]


async def test_what_a_task_sets_in_its_context_reaches_neither_the_next_nor_its_caller(
    make_worker: MakeWorker,
) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(write_request_id, f"job {number}") for number in range(3)]
    ids.append(await worker.add_task(read_request_id))
    assert await worker.wait_for_tasks(ids) == [None] * 4
    assert request_id.get() is None


async def test_jobs_added_in_one_context_each_have_a_copy(worker: AsyncTaskWorker) -> None:
    with request("shared"):
        ids = [await worker.add_task(write_request_id, f"job {number}") for number in range(4)]
    assert await worker.wait_for_tasks(ids) == ["shared"] * 4


async def test_the_context_follows_a_task_that_waited_for_capacity(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1, max_queue_size=1)
    await running(worker, await worker.add_task(wait_at, "gate"))
    await worker.add_task(echo, 1)

    async def in_request() -> str:
        with request("r-1"):
            return await worker.add_task(read_request_id)

    call = asyncio.create_task(in_request())
    await settled()
    open_gate("gate")
    assert (await ended(worker, await call)).result == "r-1"


async def test_each_job_runs_in_an_asyncio_task_of_its_own(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(name_own_task) for _ in range(5)]
    names = await worker.wait_for_tasks(ids)
    assert len(set(names)) == 5
    assert names == ids, "which helps when looking at what runs on a loop"


async def test_a_failed_group_leaves_no_cancellation_for_the_next_job(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    for _ in range(3):
        await worker.add_task(fail_in_group, "survived")
        assert (await ended(worker, await worker.add_task(count_cancellations))).result == 0


async def test_jobs_are_made_by_the_task_factory_of_the_loop(make_worker: MakeWorker) -> None:
    """Tracing tools set one."""
    made: list[asyncio.Task[Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(asyncio.Task(coro, loop=loop, **options))
        return made[-1]

    asyncio.get_running_loop().set_task_factory(factory)
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(sleep_for, 1, number) for number in range(3)]
    cancelled = await worker.add_task(sleep_for, 3600)
    assert await worker.wait_for_tasks(ids) == [0, 1, 2]
    await running(worker, cancelled)
    assert await worker.cancel_task(cancelled)
    assert {*ids, cancelled} <= {task.get_name() for task in made}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has no eager tasks yet")
async def test_an_eager_task_factory_changes_nothing(make_worker: MakeWorker) -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    worker = await make_worker(max_workers=1)
    ids = [await worker.add_task(function, 1) for function in (echo, sleep_for)]
    assert await worker.wait_for_tasks(ids) == [1, None]
    held = await worker.add_task(sleep_for, 3600)
    await running(worker, held)
    assert await worker.cancel_task(held)


async def test_two_workers_know_nothing_of_each_other(make_worker: MakeWorker, backend: Backend) -> None:
    if backend.durable:
        pytest.skip("two workers cannot have one file open")
    first, second = await make_worker(max_workers=1), await make_worker(max_workers=1)
    events = record_events(second)
    await first.add_task(wait_at, "gate", 1, task_id="same")
    await running(first, "same")
    assert second.get_task_info("same") is None
    assert not await second.cancel_task("same")
    assert events == []
    await second.add_task(echo, 2, task_id="same")
    assert (await ended(second, "same")).result == 2
    open_gate("gate")
    assert (await ended(first, "same")).result == 1


@pytest.mark.parametrize("method", ["wait_for_tasks", "wait_for_any_task", "get_task_future", "drain", "stop"])
async def test_a_task_is_not_taken_for_one_of_the_same_id_elsewhere(
    make_worker: MakeWorker, backend: Backend, method: str
) -> None:
    """Two stages of a pipeline, each with a worker: the order's number is the id in both."""
    if backend.durable:
        pytest.skip("two workers cannot have one file open")
    outer, inner = await make_worker(), await make_worker()
    await inner.add_task(sleep_for, 1, "inner", task_id="same")
    await running(inner, "same")
    use_worker(inner)
    await outer.add_task(use_let_in_worker, "same", method, task_id="same")
    info = await ended(outer, "same")
    assert (info.status, info.error, info.run_time) == (TaskStatus.COMPLETED, None, 1)
    assert info_of(inner, "same").result == "inner"


async def test_a_task_may_use_another_worker(make_worker: MakeWorker, backend: Backend) -> None:
    if backend.durable:
        pytest.skip("two workers cannot have one file open")
    outer, inner = await make_worker(max_workers=1), await make_worker(max_workers=1)
    use_worker(inner)
    task_id = await outer.add_task(add_and_wait, "echo", ["from the other"])
    assert (await ended(outer, task_id)).result == "from the other"


async def test_a_listener_does_not_run_as_part_of_the_task(worker: AsyncTaskWorker) -> None:
    """It is called while that task runs, but a wait begun there is nobody's wait for itself."""
    waits: list[asyncio.Future[list[object]]] = []

    def wait_for_it(event: TaskEvent) -> None:
        if event.type == "task.progress":
            waits.append(asyncio.ensure_future(worker.wait_for_tasks([event.task.id])))

    worker.events.listen(wait_for_it)
    task_id = await worker.add_task(report_then_wait, 0.5, "gate")
    await running(worker, task_id)
    open_gate("gate")
    assert await asyncio.gather(*waits) == [[None]]


async def test_the_ways_to_end_from_inside_spare_only_the_task_they_are_in(
    worker: AsyncTaskWorker, backend: Backend
) -> None:
    """A stop in one task still cuts off another; a drain in one waits for another."""
    use_worker(worker)
    before = now()
    stuck = await worker.add_task(stubborn, "gate")
    await running(worker, stuck)
    await ended(worker, await worker.add_task(stop_worker, 1, 0))
    assert now() - before <= 2
    assert status_of(worker, stuck) is backend.status_after_stop
    open_gate("gate")
    await settled()
    await worker.start()
    tasks.notes.clear()
    other = await worker.add_task(sleep_for, 5)
    assert (await ended(worker, await worker.add_task(drain_worker))).run_time == 5
    assert status_of(worker, other) is TaskStatus.COMPLETED
