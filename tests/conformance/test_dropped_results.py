"""Results that take more memory than they may."""

from __future__ import annotations

import pytest

from async_task_worker import ResultDroppedError
from tests.conformance.event_helpers import ended
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo


async def test_a_dropped_result_raises_an_error(make_worker: MakeWorker, backend: Backend) -> None:
    worker = await make_worker(max_result_bytes=2500)
    ids = []
    for number in range(4):
        ids.append(await worker.add_task(echo, str(number) * 1000))
        assert await worker.wait_for_tasks(ids[-1:]) == [str(number) * 1000]
        await worker.fetch_task_info("nobody")
        if backend.durable:
            await worker._backend._journal.flush()  # type: ignore[attr-defined]
    await ended(worker, await worker.add_task(echo, None))
    await ended(worker, await worker.add_task(echo, "x" * 10))

    info = worker.get_task_info(ids[0])
    assert info is not None
    assert (info.status, info.result, info.result_dropped) == ("completed", None, True)
    with pytest.raises(ResultDroppedError) as dropped:
        await worker.get_task_future(ids[0])
    assert dropped.value.task_id == ids[0]
    with pytest.raises(ResultDroppedError):
        await worker.wait_for_tasks(ids)
    with pytest.raises(ResultDroppedError):
        await worker.wait_for_any_task(ids[:1])
    fetched = await worker.fetch_task_info(ids[0])
    assert fetched is not None
    assert fetched.result == ("0" * 1000 if backend.durable else None)
    assert fetched.result_dropped is not backend.durable


async def test_who_waits_gets_a_result_that_is_too_large_to_keep(make_worker: MakeWorker) -> None:
    worker = await make_worker(max_result_bytes=0)
    task_id = await worker.add_task(echo, "x" * 1000)
    assert await worker.wait_for_tasks([task_id]) == ["x" * 1000]
