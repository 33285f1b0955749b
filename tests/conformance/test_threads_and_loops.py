"""A worker belongs to one event loop: from elsewhere a call works, or says which way to go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskStatus, WrongEventLoopError
from tests.conformance.event_helpers import ended, info_of
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, in_thread, open_gate, wait_at
from tests.support.virtual_time import run_virtual
from tests.support.waiting import running

Call = Callable[[AsyncTaskWorker, str], Coroutine[Any, Any, object]]

FROM_ANOTHER_LOOP: dict[str, Call] = {
    "start": lambda worker, _: worker.start(),
    "add_task": lambda worker, _: worker.add_task(echo, 1),
    "submit": lambda worker, _: worker.submit(echo, (1,)),
    "cancel_task": lambda worker, task_id: worker.cancel_task(task_id),
    "wait_for_tasks": lambda worker, task_id: worker.wait_for_tasks([task_id]),
    "wait_for_any_task": lambda worker, task_id: worker.wait_for_any_task([task_id]),
    "get_task_future": lambda worker, task_id: _awaited(worker.get_task_future, task_id),
    "drain": lambda worker, _: worker.drain(),
    "stop": lambda worker, _: worker.stop(),
}

FORKING = """
import asyncio, os, sys
from async_task_worker import AsyncTaskWorker
from tests.support.tasks import echo

async def main():
    async with AsyncTaskWorker(backend=sys.argv[1]) as worker:
        if os.fork() == 0:
            try:
                await worker.add_task(echo, 1)
            except RuntimeError as error:
                print("child:", type(error).__name__, flush=True)
            os._exit(0)
        os.wait()
        print("parent:", await worker.get_task_future(await worker.add_task(echo, "fine")))

asyncio.run(main())
"""


async def _awaited(call: Callable[[str], asyncio.Future[object]], task_id: str) -> object:
    return await call(task_id)


async def test_blocking_code_in_a_thread_does_not_delay_others(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_workers=1)
    assert await worker.wait_for_tasks([await worker.add_task(in_thread, number) for number in range(3)]) == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize("method", FROM_ANOTHER_LOOP)
async def test_a_call_from_the_loop_of_another_thread_gets_an_error_with_the_remedy(
    worker: AsyncTaskWorker, loop_errors: list[str], method: str
) -> None:
    """And disturbs nothing: what it would have touched is another thread's."""
    task_id = await worker.add_task(wait_at, "gate", "result")
    await running(worker, task_id)
    before = worker.counts()
    bounded = lambda: asyncio.run(asyncio.wait_for(FROM_ANOTHER_LOOP[method](worker, task_id), 1))  # noqa: E731
    with pytest.raises(WrongEventLoopError, match="run_coroutine_threadsafe"):
        await asyncio.to_thread(bounded)
    assert worker.counts() == before
    open_gate("gate")
    assert (await ended(worker, task_id)).result == "result"
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"
    assert loop_errors == []


async def test_the_way_from_another_thread_works(worker: AsyncTaskWorker) -> None:
    loop = asyncio.get_running_loop()

    def from_thread() -> object:
        task_id = asyncio.run_coroutine_threadsafe(worker.add_task(echo, "threadsafe"), loop).result(5)
        return asyncio.run_coroutine_threadsafe(worker.wait_for_tasks([task_id]), loop).result(5)

    assert await asyncio.to_thread(from_thread) == ["threadsafe"]


async def test_reading_from_another_thread_works(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, "result")
    await ended(worker, task_id)
    info = await asyncio.to_thread(worker.get_task_info, task_id)
    assert info == info_of(worker, task_id)
    assert await asyncio.to_thread(worker.get_all_tasks) == [info]
    assert (await asyncio.to_thread(worker.counts))[TaskStatus.COMPLETED] == 1


def test_results_are_read_on_any_loop_once_the_worker_has_stopped(backend: Backend, tmp_path: Path) -> None:
    worker = AsyncTaskWorker(backend=backend.url(tmp_path))

    async def work() -> str:
        async with worker:
            return await worker.add_task(echo, "result", task_id="done")

    async def read() -> list[object]:
        return [
            await worker.wait_for_tasks(["done"]),
            await worker.wait_for_any_task(["done"]),
            await worker.get_task_future("done"),
            await worker.cancel_task("done"),
        ]

    run_virtual(work)
    assert run_virtual(read) == [["result"], ("result", "done"), "result", False]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_in_a_forked_process_the_worker_raises_an_error(backend: Backend, tmp_path: Path) -> None:
    """It has a copy of the worker, but nothing of what runs it."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, backend.url(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout.splitlines() == ["child: ForkedWorkerError", "parent: fine"], ran.stderr
