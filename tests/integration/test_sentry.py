"""Under the task factory of sentry-sdk's asyncio integration, which wraps every coroutine; nothing is sent anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.integrations.asyncio import AsyncioIntegration, patch_asyncio
from sentry_sdk.transport import Transport

from async_task_worker import AsyncTaskWorker
from tests.support.tasks import echo, fail_with, sleep_for
from tests.support.waiting import finished, running, settled, started


class Kept(Transport):
    """Keeps what the SDK would send."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.items += envelope.items


@pytest.fixture
async def kept(worker: AsyncTaskWorker) -> AsyncIterator[Kept]:
    """What Sentry is told from now on: it is set up after the worker's start."""
    kept = Kept()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            "https://key@sentry.invalid/1",
            transport=kept,
            traces_sample_rate=1.0,
            default_integrations=False,
            enable_backpressure_handling=False,  # it would leave a thread behind
            integrations=[AsyncioIntegration()],
        )
        patch_asyncio()  # init() does it on the first loop of a process only
        assert asyncio.get_running_loop().get_task_factory() is not None
        yield kept
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
        asyncio.get_running_loop().set_task_factory(None)


async def test_tasks_end_in_every_way(worker: AsyncTaskWorker, kept: Kept) -> None:
    with sentry_sdk.start_transaction(name="request"):
        calls = (echo, 1), (fail_with, "wrong"), (sleep_for, 60), (sleep_for, 1, "slept")
        ids = [await worker.add_task(*call, timeout=2) for call in calls]
        infos = await finished(worker, *ids)
    assert [str(info.error or info.result) for info in infos] == [
        "1",
        "wrong",
        "Task timed out after 2 seconds",
        "slept",
    ]
    assert any(item.type == "transaction" for item in kept.items), "its spans were wrapped around the tasks"


async def test_a_task_is_cancelled_at_any_moment(worker: AsyncTaskWorker, kept: Kept) -> None:
    early = await worker.add_task(sleep_for, 3600)
    await started(worker, early)
    assert await worker.cancel_task(early)
    late = await worker.add_task(sleep_for, 3600)
    await running(worker, late)
    assert await worker.cancel_task(late)
    assert worker.abandoned_tasks == 0


async def test_stopping_is_bounded_and_the_next_start_works(worker: AsyncTaskWorker, kept: Kept) -> None:
    held = [await worker.add_task(sleep_for, 3600) for _ in range(2)]
    await running(worker, *held)
    await worker.stop(timeout=1)
    assert worker.abandoned_tasks == 0
    await worker.start()
    for task_id in held:
        await worker.cancel_task(task_id)
    assert await worker.get_task_future(await worker.add_task(echo, 2)) == 2
    await settled()
