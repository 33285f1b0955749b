"""A durable worker in a forked process, and on one event loop after another."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    ForkedWorkerError,
    TaskInterruptedError,
    TaskStatus,
    get_task_function,
    register_task,
)
from async_task_worker.journal import acknowledgements
from async_task_worker.journal.restore import RestoredRecords
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.registry import _REGISTRY
from tests.support.tasks import (
    echo,
    open_gate,
    wait_at,
)
from tests.support.virtual_time import run_virtual
from tests.support.waiting import running
from tests.unit.durable import (
    close_loop_while_running,
    in_file,
    info_of,
    insert_pending,
    wait_once,
)

FORK = """
import asyncio, gc, os, sys
from async_task_worker import AsyncTaskWorker, ForkedWorkerError
from tests.support.tasks import echo, sleep_for

async def refused(call):
    try:
        await call
    except ForkedWorkerError:
        return True

async def all_refused(worker):
    return all([
        await refused(worker.start()),
        await refused(worker.add_task(echo, 2, task_id="in the child")),
        await refused(worker.submit(echo, [2], task_id="in the child")),
        await refused(worker.cancel_task("waiting")),
        await refused(worker.wait_for_tasks(["waiting"])),
        await refused(worker.backup("copy of the child")),
        await refused(worker.drain()),
        await refused(worker.stop()),
    ])

async def main():
    worker = AsyncTaskWorker(backend="sqlite:///" + sys.argv[1])
    async with worker:
        await worker.add_task(echo, 1, task_id="before")
        await worker.add_task(sleep_for, 0.1, task_id="waiting")
        child = os.fork()
        if not child:
            assert asyncio.run(all_refused(worker))
            assert asyncio.run(refused(worker._backend.backup("copy of the child")))
            worker._backend._journal.record_change(worker._ledger.get("before"))
            del worker
            gc.collect()  # this would close connections of the parent
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        await worker.get_task_future(await worker.add_task(echo, 3, task_id="after"))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_worker_refuses_all_calls_and_does_not_change_the_file(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert in_file(path, "SELECT id FROM task ORDER BY seq") == [("before",), ("waiting",), ("after",)]
    assert in_file(path, "PRAGMA integrity_check") == [("ok",)]
    assert issubclass(ForkedWorkerError, RuntimeError)


def test_a_worker_in_memory_does_not_import_sqlite3() -> None:
    code = "import sys, async_task_worker as a; a.AsyncTaskWorker(); assert 'sqlite3' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_one_worker_serves_one_loop_after_another(path: Path) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}")

    async def use() -> object:
        async with worker:
            return await worker.get_task_future(await worker.add_task(echo, "done"))

    assert [run_virtual(use) for _ in range(3)] == ["done"] * 3


def test_no_task_follows_one_that_ran_on_a_closed_loop(path: Path) -> None:
    worker = AsyncTaskWorker(1, backend=f"sqlite:///{path}?durability=process", cache_enabled=True)

    async def start_and_leave() -> None:
        await worker.start()
        await running(worker, await worker.add_task(wait_at, "gate", "other"))
        await worker.add_task(wait_at, "gate", "same")

    async def restart() -> object:
        async with worker:
            open_gate("gate")
            return await worker.get_task_future(await worker.add_task(wait_at, "gate", "same"))

    close_loop_while_running(start_and_leave)
    assert run_virtual(restart) == "same"


def test_a_type_registered_while_a_new_loop_restores_its_tasks_runs_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = AsyncTaskWorker(max_workers=1, backend=f"sqlite:///{path}")

    async def create_file() -> None:
        async with worker:
            pass

    run_virtual(create_file)
    insert_pending(path, 2)
    function, in_creation_order = get_task_function("do_nothing"), RestoredRecords.in_creation_order
    assert function is not None
    monkeypatch.delitem(_REGISTRY._entries, "do_nothing")
    close_loop_while_running(worker.start)

    def and_register(restored: RestoredRecords) -> dict[str, TaskRecord]:
        register_task("do_nothing", function)
        return in_creation_order(restored)

    monkeypatch.setattr(RestoredRecords, "in_creation_order", and_register)

    async def restart() -> list[str]:
        async with worker:
            await worker.drain()
            return [info.status for info in worker.get_all_tasks()]

    assert run_virtual(restart) == ["completed"] * 2


def test_a_caller_that_was_acknowledged_on_a_closed_loop_deletes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = AsyncTaskWorker(max_workers=1, backend=f"sqlite:///{path}")
    loop = asyncio.new_event_loop()
    resolve = acknowledgements._resolve_inserts

    def resolve_and_stop(*args: Any) -> None:
        resolve(*args)
        loop.stop()

    monkeypatch.setattr(acknowledgements, "_resolve_inserts", resolve_and_stop)
    loop.run_until_complete(worker.start())
    adding = worker.add_task(echo, "told", task_id="told")
    loop.create_task(adding)._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_forever()
    loop.close()
    monkeypatch.undo()

    async def restart() -> object:
        async with worker:
            adding.close()  # as the garbage collector would do at some time
            return await worker.get_task_future("told")

    assert run_virtual(restart) == "told"


def test_a_task_that_ran_on_a_closed_loop_is_counted_once(path: Path) -> None:
    worker = AsyncTaskWorker(1, backend=f"sqlite:///{path}?durability=process")

    async def start_and_leave() -> None:
        await worker.start()
        await running(worker, await worker.add_task(wait_at, "gate", task_id="left"))

    async def restart() -> dict[TaskStatus, int]:
        async with worker:
            open_gate("gate")
            await worker.get_task_future("left")
            return worker.counts()

    close_loop_while_running(start_and_leave)
    assert {status: count for status, count in run_virtual(restart).items() if count} == {"completed": 1}


def test_a_non_idempotent_task_that_ran_on_a_closed_loop_failed(path: Path) -> None:
    worker = AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process")

    async def start_and_leave() -> None:
        await worker.start()
        await worker.add_task(wait_once, "charge", task_id="left")
        await wait_at("called")

    async def restart() -> str | None:
        async with worker:
            return (await info_of(worker, "left")).error

    close_loop_while_running(start_and_leave)
    assert run_virtual(restart) == str(TaskInterruptedError())
    assert in_file(path, "SELECT status, error FROM task") == [(3, str(TaskInterruptedError()))]
