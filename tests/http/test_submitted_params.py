"""Params are kept as long as their task is known, within a limit of memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import Any

from async_task_worker import AsyncTaskWorker, task
from async_task_worker.model.functions import TaskFunction
from async_task_worker.model.record import TaskRecord
from async_task_worker.web import Limits
from async_task_worker.web.models.submitted_params import SubmittedParams
from async_task_worker.web.rendering.json_text import NO_LONGER_KEPT
from tests.http.conftest import ServeWorker
from tests.http.requests import submit as submit_over_http
from tests.support.backends import Backend
from tests.support.tasks import echo
from tests.support.waiting import finished


def submit(given: SubmittedParams, task_id: str, size: int = 1) -> None:
    with given.pending(task_id, {"of": task_id}, size):
        pass


def test_params_of_unknown_tasks_take_no_memory() -> None:
    known: list[str] = []
    given = SubmittedParams(1 << 20, known.__contains__, lambda: len(known))

    def run(start: int) -> None:
        for number in range(start, start + 20_000):
            known[:] = [str(number)]
            submit(given, str(number))

    run(0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run(20_000)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()


def test_the_oldest_params_are_evicted_first_and_a_reused_id_counts_as_new() -> None:
    known = {"a", "b", "c"}
    given = SubmittedParams(2, known.__contains__, lambda: len(known))
    submit(given, "a")
    known.remove("a")
    submit(given, "b")
    known.add("a")
    submit(given, "a")
    submit(given, "c")
    assert given.params_of("a") == {"of": "a"}
    assert given.params_of("b") == NO_LONGER_KEPT
    assert given.params_of("c") == {"of": "c"}


class Hostile:
    """An object whose attributes all raise."""

    def __getattribute__(self, name: str) -> Any:
        raise KeyError(name)

    def __repr__(self) -> str:
        raise KeyError("repr")


@dataclass
class Point:
    x: int
    y: Any = None


@task("take_all")
async def take_all(first: Any, *rest: Any, option: Any = None, **more: Any) -> None:
    """Accept any arguments."""


async def test_arguments_are_shown_by_the_names_of_their_parameters(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker)
    for args, kwargs, shown in (
        ((1, 2, 3), {"option": "a", "other": None}, {"first": 1, "rest": [2, 3], "option": "a", "other": None}),
        (([1, {"a": 2.5}],), {}, {"first": [1, {"a": 2.5}]}),
        (("",), {}, {"first": ""}),
    ):
        task_id = await worker.submit(take_all, args, kwargs)
        await finished(worker, task_id)
        assert (await client.get(f"/tasks/{task_id}")).json()["params"] == shown
        assert (await client.get("/tasks")).json()["tasks"][0]["params"] == shown


async def test_arguments_that_are_huge_or_hostile_are_placeholders(
    worker: AsyncTaskWorker, serve: ServeWorker, backend: Backend
) -> None:
    client = await serve(worker)
    huge = {"text": "x" * 100_000, "list": list(range(10_000))}
    hostile = {} if backend.durable else {"odd": Hostile(), "point": Point(1, Hostile())}
    task_id = await worker.submit(take_all, ("small",), {**huge, **hostile})
    await finished(worker, task_id)
    params = (await client.get(f"/tasks/{task_id}")).json()["params"]
    assert params["first"] == "small"
    assert params["text"]["$type"] == "str"
    assert params["list"]["$type"] == "list"
    if hostile:
        assert params["odd"] == {"$type": f"{__name__}.Hostile"}
        assert params["point"] == {"x": 1, "y": {"$type": f"{__name__}.Hostile"}}


async def test_arguments_are_shown_as_they_were_when_the_task_was_added(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker)
    items = [1]
    task_id = await worker.add_task(echo, items)
    items.append(2)
    await finished(worker, task_id)
    assert list((await client.get(f"/tasks/{task_id}")).json()["params"].values()) == [[1]]


async def test_arguments_are_null_once_they_are_evicted(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker, limits=Limits(params_kept=1000))
    ids = [await worker.add_task(echo, number) for number in range(20)]
    for task_id in ids:
        await finished(worker, task_id)
    shown = [(await client.get(f"/tasks/{task_id}")).json()["params"] for task_id in ids]
    assert shown[0] is None
    assert shown[-1] is not None


async def test_an_id_used_over_http_and_in_python_has_the_latest_params(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    """Also for a second router of the same worker."""
    client, other = await serve(worker), await serve(worker)
    shown = await submit_over_http(client, "take_all", task_id="one", params={"first": 1}, wait=1)
    assert shown["params"] == {"first": 1}
    assert (await other.get("/tasks/one")).json()["params"] == {"first": 1}


async def test_a_deleted_router_gets_no_events(worker: AsyncTaskWorker) -> None:
    given = SubmittedParams(1 << 20, lambda _: True, lambda: 1)
    had_subscribers = worker.events.has_subscribers
    given.added.follow(worker.events)
    task_id = await worker.add_task(echo, 1)
    assert given.params_of(task_id) is not None
    assert worker.events.has_subscribers
    del given
    assert worker.events.has_subscribers == had_subscribers


def test_arguments_of_tasks_added_in_python_take_no_more_memory_than_allowed() -> None:
    given = SubmittedParams(1 << 20, lambda _: True, lambda: 1)
    function = TaskFunction(take_all, "take_all")

    def add(start: int, args: tuple[Any, ...]) -> None:
        for number in range(start, start + 5000):
            given.added.add(TaskRecord(str(number), function, take_all, args, None, 0, None, None))

    for args in ((), (1,), ([1.5] * 50, {"a": ["b"]})):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            add(0, args)
            add(5000, args)
            assert tracemalloc.get_traced_memory()[0] - before < 1.3 * (1 << 20)
        finally:
            tracemalloc.stop()
