"""Nothing that the worker starts lazily keeps the context of the request alive that happened to come first."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from async_task_worker import AsyncTaskWorker
from tests.conftest import MakeWorker
from tests.support.tasks import echo, sleep_for
from tests.support.waiting import settled


class Session:
    """What a request holds: a user, a connection to a database."""


session: ContextVar[Session] = ContextVar("session")


async def _cached(worker: AsyncTaskWorker) -> None:
    await worker.get_task_future(await worker.add_task(echo, 1, use_cache=True))


async def _look_at_cache(worker: AsyncTaskWorker) -> None:
    assert worker.cache.enabled in (True, False)


async def _timed(worker: AsyncTaskWorker) -> None:
    await worker.get_task_future(await worker.add_task(echo, 1, timeout=3600))


async def _restart(worker: AsyncTaskWorker) -> None:
    await worker.stop()
    await worker.start()


async def _cancel(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(sleep_for, 3600)
    await settled()
    await worker.cancel_task(task_id)


async def _events(worker: AsyncTaskWorker) -> None:
    async with worker.events.stream() as events:
        await worker.add_task(echo, 1)
        await anext(events)


ENTRIES = (_cached, _look_at_cache, _timed, _restart, _cancel, _events)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__.strip("_"))
async def test_a_request_that_is_over_is_let_go(
    make_worker: MakeWorker, entry: Callable[[AsyncTaskWorker], Awaitable[None]]
) -> None:
    worker = await make_worker(max_workers=2)

    async def request() -> weakref.ref[Session]:
        mine = Session()
        session.set(mine)
        await entry(worker)
        return weakref.ref(mine)

    held = await asyncio.create_task(request())
    for number in range(20):
        await worker.get_task_future(await worker.add_task(echo, number))
    await settled()
    gc.collect()
    assert held() is None
