"""A task factory of the loop, as instrumentation libraries set one, changes nothing of what is promised."""

from __future__ import annotations

import asyncio

import pytest

from async_task_worker import AsyncTaskWorker
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.factories import BROKEN, WORKING, Factory, driver, set_for_jobs
from tests.support.tasks import echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import finished, running, started

WRAPPERS = {name: factory for name, factory in WORKING.items() if name != "plain"} | {"driver": driver}


@pytest.mark.parametrize("factory", WRAPPERS.values(), ids=WRAPPERS)
async def test_tasks_end_as_ever_under_a_factory_set_after_the_start(worker: AsyncTaskWorker, factory: Factory) -> None:
    set_for_jobs(factory)
    calls = ((echo, 1), (fail_with, "wrong"), (sleep_for, 60))
    ended = [await worker.add_task(*call, timeout=2, use_cache=cached) for call in calls for cached in (True, False)]
    assert [str(info.error or info.result) for info in await finished(worker, *ended)] == [
        *("1", "1", "wrong", "wrong"),
        *["Task timed out after 2 seconds"] * 2,
    ]
    cancelled = await worker.add_task(sleep_for, 3600)
    await running(worker, cancelled)
    assert await worker.cancel_task(cancelled)
    at_once = await worker.add_task(sleep_for, 3600)
    await started(worker, at_once)
    assert await worker.cancel_task(at_once)
    assert worker.abandoned_tasks == 0


@pytest.mark.parametrize("factory", WRAPPERS.values(), ids=WRAPPERS)
async def test_a_stop_cuts_off_what_runs_under_a_factory(
    make_worker: MakeWorker, backend: Backend, factory: Factory
) -> None:
    worker = await make_worker(max_workers=2)
    set_for_jobs(factory)
    held = [await worker.add_task(wait_at, "gate", number) for number in range(3)]
    await running(worker, *held[:2])
    began = asyncio.get_running_loop().time()
    await worker.stop(timeout=1)
    assert asyncio.get_running_loop().time() - began < 2
    assert {info.status for info in worker.get_all_tasks()} == {backend.status_after_stop}
    assert worker.abandoned_tasks == 0
    await worker.start()
    open_gate("gate")
    again = held if backend.durable else [await worker.add_task(wait_at, "gate", number) for number in range(3)]
    assert await worker.wait_for_tasks(again) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_broken_factory_neither_loses_nor_doubles_a_slot(worker: AsyncTaskWorker) -> None:
    for factory, error in BROKEN.values():
        set_for_jobs(factory)
        info = (await finished(worker, await worker.add_task(echo, 1)))[0]
        assert error in str(info.error)
    set_for_jobs(None)
    held = [await worker.add_task(wait_at, "gate", number) for number in range(3)]
    await running(worker, *held[:2])
    info = worker.get_task_info(held[2])
    assert info is not None
    assert info.started_at is None
    open_gate("gate")
    assert await worker.wait_for_tasks(held) == [0, 1, 2]
