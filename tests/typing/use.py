"""Calls a type checker must accept, and the types it must see in what they return. Never executed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_type

from async_task_worker import (
    AsyncCacheAdapter,
    AsyncTaskWorker,
    CacheAdapter,
    ProgressCallback,
    TaskCancelledError,
    TaskEvent,
    TaskFailedError,
    TaskInfo,
    TaskNotFoundError,
    TaskStatus,
    TaskWorkerError,
    get_all_task_types,
    get_task_function,
    register_task,
    task,
)
from async_task_worker.web.worker_protocol import WebWorker


@task("resize")
async def resize(path: str, width: int = 100, *, progress_callback: ProgressCallback | None = None) -> bytes:
    if progress_callback:
        progress_callback(0.5)
    return path.encode() * width


class Mailer:
    async def send(self, to: str) -> None: ...


class LoudWorker(AsyncTaskWorker):
    """A subclass keeps its own type where the worker returns itself."""


async def a_decorated_function_keeps_its_type() -> None:
    assert_type(await resize("a.png"), bytes)


def registry() -> None:
    register_task("send", Mailer().send)
    assert_type(get_all_task_types(), list[str])
    if (function := get_task_function("resize")) is not None:
        assert_type(asyncio.run(function("a.png")), Any)


async def construction() -> None:
    AsyncTaskWorker(5, 30.0)
    AsyncTaskWorker(
        max_workers=3,
        task_timeout=60,
        worker_poll_interval=0.5,
        max_queue_size=100,
        on_full="error",
        retention=timedelta(hours=1),
        max_history=None,
        cache_timeout=0.5,
        cache_key_fn=lambda context: str(context["metadata"]),
        coalesce=False,
        backend="memory://",
    )
    AsyncTaskWorker(cache_enabled=True, cache_adapter=AsyncCacheAdapter(default_ttl=60, adapter=Shelf()))
    AsyncTaskWorker(retention=60, max_history=10, on_full="wait")
    async with AsyncTaskWorker() as worker:
        assert_type(worker, AsyncTaskWorker)
    async with LoudWorker() as loud:
        assert_type(loud, LoudWorker)


async def life(worker: AsyncTaskWorker) -> None:
    await worker.start()
    assert_type(worker.is_running, bool)
    assert_type(worker.abandoned_tasks, int)
    assert_type(worker.counts(), dict[TaskStatus, int])
    await worker.drain()
    await worker.drain(timeout=10)
    await worker.stop()
    await worker.stop(timeout=1)


async def adding(worker: AsyncTaskWorker) -> None:
    assert_type(await worker.add_task(resize, "a.png"), str)
    await worker.add_task(Mailer().send, to="you")
    await worker.add_task(
        resize,
        "a.png",
        width=3,
        priority=-1,
        task_id="mine",
        metadata={"tenant": 7},
        timeout=2.5,
        use_cache=False,
        cache_ttl=60,
        cache_key_fn=lambda context: str(context["func_name"]),
    )
    assert_type(
        await worker.submit(resize, ("a.png",), {"width": 3}, priority=1, task_id="other", timeout=1),
        str,
    )
    assert_type(await worker.submit("resize", ["a.png"], {"width": 3}), str)


async def caching(worker: AsyncTaskWorker) -> None:
    assert_type(worker.cache, AsyncCacheAdapter)
    assert_type(await worker.invalidate_cache(resize, "a.png", width=3, metadata={"tenant": 7}), bool)
    await worker.clear_cache()
    assert_type(await worker.cache.get(resize, ("a.png",), {}), tuple[bool, Any])
    assert_type(await worker.cache.set("resize", ("a.png",), {}, 1, ttl=60), bool)
    assert_type(await worker.cache.get_by_task_id("mine"), tuple[bool, Any])
    assert_type(worker.cache.generate_entry_id("resize", "mine"), str)
    assert_type(worker.cache.default_ttl, float | None)
    worker.cache.enabled = False


class Shelf(CacheAdapter):
    async def get(self, key: str) -> tuple[bool, Any]:
        return False, None

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        pass

    async def delete(self, key: str) -> bool:
        return False

    async def clear(self) -> None:
        pass


def reading(worker: AsyncTaskWorker) -> None:
    assert_type(worker.get_task_info("mine"), TaskInfo | None)
    assert_type(worker.get_all_tasks(), list[TaskInfo])
    worker.get_all_tasks(status=TaskStatus.FAILED, limit=10, older_than=timedelta(hours=1))
    worker.get_all_tasks(status="pending")
    worker.get_all_tasks(status=["pending", TaskStatus.RUNNING])


async def waiting(worker: AsyncTaskWorker, ids: list[str]) -> None:
    assert_type(await assert_type(worker.get_task_future("mine"), asyncio.Future[Any]), Any)
    assert_type(worker.get_task_futures(ids), list[asyncio.Future[Any]])
    assert_type(await worker.wait_for_tasks(ids, timeout=5), list[Any])
    assert_type(await worker.wait_for_any_task(ids), tuple[Any, str])
    assert_type(await worker.cancel_task("mine"), bool)


async def events(worker: AsyncTaskWorker) -> None:
    assert_type(worker.events.listen(lambda event: event.type), Callable[[], None])
    async with worker.events.stream(max_buffer=10) as stream:
        async for event in stream:
            assert_type(event, TaskEvent)
            assert_type(event.task, TaskInfo)
            assert_type(event.seq, int)
            assert_type(event.at, datetime)
        assert_type(stream.missed, int)


def snapshot(info: TaskInfo) -> None:
    assert_type(info.id, str)
    assert_type(info.status, TaskStatus)
    assert_type(info.progress, float)
    assert_type(info.created_at, datetime)
    assert_type(info.started_at, datetime | None)
    assert_type(info.completed_at, datetime | None)
    assert_type(info.error, str | None)
    assert_type(info.run_time, float | None)
    assert_type(info.wait_time, float | None)
    assert_type(info.finished, bool)
    assert_type(info.status == "completed", bool)
    assert_type(info.metadata["tenant"], Any)
    assert_type(info.result.anything, Any)
    if info.error_detail is not None:
        assert_type(info.error_detail.type, str)
        assert_type(info.error_detail.message, str)
        assert_type(info.error_detail.traceback, str)


def catching(error: TaskNotFoundError | TaskFailedError | TaskCancelledError) -> None:
    general: TaskWorkerError = error
    assert_type(general.task_id, str | None)


def catching_as_a_builtin(error: TaskNotFoundError) -> KeyError:
    return error


def serving(worker: AsyncTaskWorker) -> WebWorker:
    return worker
