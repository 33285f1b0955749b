"""Names of task functions: one function can have several, each with its own options, and tasks go by a name."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from async_task_worker import (
    AsyncTaskWorker,
    NotRegisteredError,
    TaskStatus,
    create_task_worker_router,
    register_task,
    task,
)
from async_task_worker.model.registry import TaskRegistry


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry()


async def charge(amount: int = 1) -> int:
    return amount


async def refund(amount: int = 1) -> int:
    return -amount


class Till:
    async def open(self) -> str:
        return "open"

    async def __call__(self) -> str:
        return "called"


def known_as(registry: TaskRegistry, function: Any) -> tuple[str, bool]:
    known = registry.function_of(function)
    return known.name, known.idempotent


class TestOptions:
    def test_they_belong_to_the_name(self, registry: TaskRegistry) -> None:
        registry.register("a", charge, expose=False, idempotent=False)
        registry.register("b", charge)
        assert (registry.exposed("a"), registry.exposed("b")) == (None, charge)
        assert (registry.is_idempotent("a"), registry.is_idempotent("b")) == (False, True)

    @pytest.mark.parametrize("function", [charge, Till().open, Till(), partial(charge, 2)])
    def test_a_function_object_uses_its_first_name_and_the_strictest_option(
        self, registry: TaskRegistry, function: Any
    ) -> None:
        registry.register("a", function)
        assert known_as(registry, function) == ("a", True)
        registry.register("b", function, idempotent=False)
        registry.register("c", function)
        assert known_as(registry, function) == ("a", False)
        registry.register("b", function)
        assert known_as(registry, function) == ("a", True)

    def test_a_name_taken_by_another_function_is_not_used_any_more(self, registry: TaskRegistry) -> None:
        registry.register("a", charge, idempotent=False)
        registry.register("b", charge)
        registry.register("a", refund)
        assert known_as(registry, charge) == ("b", True)
        assert known_as(registry, refund) == ("a", True)
        registry.register("a", charge)
        assert known_as(registry, charge) == ("b", True)

    def test_methods_of_two_objects_have_names_of_their_own(self, registry: TaskRegistry) -> None:
        first, second, third = Till(), Till(), Till()
        registry.register("first", first.open, idempotent=False)
        registry.register("second", second.open)
        assert known_as(registry, first.open) == ("first", False)
        assert known_as(registry, second.open) == ("second", True)
        assert known_as(registry, third.open) == ("open", True)

    def test_a_method_uses_the_name_registered_in_its_class(self, registry: TaskRegistry) -> None:
        assert known_as(registry, Till().open) == ("open", True)
        registry.register("till.open", Till.open, idempotent=False)
        assert known_as(registry, Till().open) == ("till.open", False)

    def test_what_was_known_of_a_task_under_an_earlier_name_stays(self, registry: TaskRegistry) -> None:
        before = registry.function_of(charge)
        registry.register("a", charge, idempotent=False)
        assert (before.name, before.idempotent) == ("charge", True)


@task("total_of_two")
@task("sum_of_two")
async def total(left: int, right: int) -> int:
    return left + right


class TestSubmittingByName:
    @pytest.mark.parametrize("name", ["total_of_two", "sum_of_two"])
    async def test_a_task_submitted_by_name_has_that_name(self, worker: AsyncTaskWorker, name: str) -> None:
        task_id = await worker.submit(name, [2], {"right": 3}, priority=1)
        assert await worker.get_task_future(task_id) == 5
        info = worker.get_task_info(task_id)
        assert info is not None
        assert (info.name, info.priority) == (name, 1)

    async def test_arguments_are_checked_and_progress_is_passed(self, worker: AsyncTaskWorker) -> None:
        with pytest.raises(TypeError, match=r"add.*cannot be called"):
            await worker.submit("add", [1, 2, 3])
        task_id = await worker.submit("report_progress", [[0.25]])
        await worker.get_task_future(task_id)
        assert worker.counts()[TaskStatus.COMPLETED] == 1

    @pytest.mark.parametrize(("name", "near"), [("ad", "'add'"), ("report_progres", "'report_progress'")])
    async def test_an_unknown_name_is_refused_with_names_like_it(
        self, worker: AsyncTaskWorker, name: str, near: str
    ) -> None:
        with pytest.raises(NotRegisteredError, match=rf"{name!r}.*{near}.*@task"):
            await worker.submit(name)
        assert worker.get_all_tasks() == []

    async def test_one_like_no_other_is_refused_too(self, worker: AsyncTaskWorker) -> None:
        with pytest.raises(NotRegisteredError, match="There is no task type 'χχχχχχ': "):
            await worker.submit("χχχχχχ")

    async def test_add_task_refuses_a_name_and_mentions_submit(self, worker: AsyncTaskWorker) -> None:
        with pytest.raises(TypeError) as raised:
            await worker.add_task("shout", "text")  # type: ignore[arg-type]
        for hint in ("worker.submit('shout', ", "get_task_function('shout')", "@task('shout')"):
            assert hint in str(raised.value)


MODULE = """
from async_task_worker import register_task, task
from functools import partial

@task("reloaded")
async def reloaded(): ...

class Machine:
    async def run(self): ...
    async def __call__(self): ...

register_task("reloaded.method", Machine().run)
register_task("reloaded.object", Machine())
register_task("reloaded.partial", partial(reloaded))
"""


def made(factor: int) -> Any:
    async def multiply(number: int) -> int:
        return number * factor

    return multiply


def made_alike() -> Any:
    async def again() -> None: ...

    return again


class TestAnotherFunctionOfTheSameName:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (charge, refund),
            (made(2), made(3)),
            (Till().open, Till().open),
            (Till(), Till()),
            (partial(charge, 1), partial(charge, 2)),
            (charge, partial(charge, 2)),
        ],
    )
    def test_it_replaces_the_first_and_a_warning_is_logged(
        self, registry: TaskRegistry, caplog: pytest.LogCaptureFixture, before: Any, after: Any
    ) -> None:
        registry.register("a", before)
        assert caplog.records == []
        registry.register("a", after)
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert "'a'" in record.getMessage()
        assert __name__ in record.getMessage()
        assert registry.get("a") is after

    @pytest.mark.parametrize("make", [lambda: charge, made_alike])
    def test_the_same_one_again_logs_nothing(
        self, registry: TaskRegistry, caplog: pytest.LogCaptureFixture, make: Any
    ) -> None:
        registry.register("a", make())
        registry.register("a", make())
        assert caplog.records == []

    def test_a_module_that_is_loaded_again_logs_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "loaded_twice.py").write_text(MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.reload(importlib.import_module("loaded_twice"))
        assert caplog.records == []


COUNT_AND_DIE = """
import asyncio, os, sys
from async_task_worker import AsyncTaskWorker, task

file, runs, call, once = sys.argv[1:]

@task("strict", idempotent=False)
@task("lax", idempotent=once != "once")
async def charge():
    with open(runs, "a") as counted:
        counted.write("x")
    os._exit(9)

@task("hold")
async def hold():
    await asyncio.sleep(3600)

async def main():
    worker = AsyncTaskWorker(max_workers=1, backend="sqlite:///" + file)
    await worker.start()
    if call != "resume":
        waits, name = call.split()
        if waits == "waiting":
            await worker.add_task(hold, task_id="hold", priority=-1)
        await worker.submit(charge if name == "bare" else name, task_id="charge")
        if waits == "waiting":
            await worker.stop(timeout=0)
            return
    await worker.cancel_task("hold")
    await worker.drain()
    print((await worker.fetch_task_info("charge")).status)
    await worker.stop()

asyncio.run(main())
"""


def live(folder: Path, call: str, once: str = "") -> str:
    """Run the program until its task kills it; return how the task ended if it did not."""
    command = [sys.executable, "-c", COUNT_AND_DIE, folder / "tasks.db", folder / "runs", call, once]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert child.returncode in (0, 9)
    return child.stdout.strip()


def ending(folder: Path, once: str = "") -> tuple[str, int]:
    """Start the program until the task has ended; return how, and how often its function was called."""
    while not (status := live(folder, "resume", once)):
        pass
    return status, len((folder / "runs").read_text())


@pytest.mark.parametrize("call", ["running strict", "running bare", "waiting strict", "waiting bare"])
def test_a_task_whose_name_forbids_it_does_not_run_again_after_its_process_died(folder: Path, call: str) -> None:
    """A function given itself goes by its first name, which allows it, but with the strictest option of all."""
    live(folder, call)
    assert ending(folder) == ("failed", 1)


def test_one_whose_name_allows_it_does_although_another_name_of_the_function_forbids_it(folder: Path) -> None:
    live(folder, "running lax")
    status, runs = ending(folder)
    assert status == "failed"  # in the end: it killed too many processes
    assert runs > 1


def test_one_that_waited_when_its_name_came_to_forbid_it_does_not(folder: Path) -> None:
    live(folder, "waiting lax")
    assert ending(folder, once="once") == ("failed", 1)


async def test_over_http_a_task_has_the_submitted_name(worker: AsyncTaskWorker) -> None:
    async def open_till(amount: int) -> int:
        return amount

    register_task("till.open", open_till)
    register_task("till.secret", open_till, expose=False)
    register_task("till.again", open_till)
    app = FastAPI()
    app.include_router(create_task_worker_router(worker))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        body = {"task_type": "till.again", "params": {"amount": 5}}
        shown = (await client.post("/tasks", json=body)).json()
        assert await worker.get_task_future(shown["id"]) == 5
        hidden = await client.post("/tasks", json=body | {"task_type": "till.secret"})
        wrong = await client.post("/tasks", json=body | {"params": {}})
        types = (await client.get("/tasks/types")).json()["task_types"]
    assert shown["task_type"] == worker.get_task_info(shown["id"]).name == "till.again"  # type: ignore[union-attr]
    assert hidden.status_code == 400
    assert wrong.status_code == 422
    assert "till.open" in types
    assert "till.secret" not in types
