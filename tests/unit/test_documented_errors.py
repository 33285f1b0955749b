"""Every error a public method raises is named in its docstring: each is provoked here, then looked up there."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import async_cache
from async_cache import (
    AsyncCache,
    Codec,
    CorruptError,
    MemoryCacheAdapter,
    RedisCacheAdapter,
    UnencodableError,
    compose_key_functions,
)
from async_cache.adapters.base import CacheAdapter
from async_task_worker import (
    AsyncCacheAdapter,
    AsyncTaskWorker,
    CacheUnavailableError,
    DuplicateTaskError,
    ForkedWorkerError,
    InvalidCacheKeyError,
    NotRegisteredError,
    NotStorableError,
    PrefixRequiredError,
    QueueFullError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    WorkerNotRunningError,
    WrongEventLoopError,
    create_task_worker_router,
    register_task,
    task,
)
from async_task_worker.backends import Backend, Capabilities
from async_task_worker.state.events import EventBus
from tests.support.tasks import echo, fail_with, sleep_for

Worker = AsyncTaskWorker


class Scene:
    """Workers in the states that errors come from."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack

    async def worker(self, **options: Any) -> AsyncTaskWorker:
        """Return a running worker."""
        return await self.stack.enter_async_context(AsyncTaskWorker(**options))

    def on_file(self) -> AsyncTaskWorker:
        """Return a worker on the one file, not started."""
        return AsyncTaskWorker(backend=f"sqlite:///{self.folder / 'tasks.db'}?durability=process")

    async def durable(self) -> AsyncTaskWorker:
        """Return one that runs."""
        return await self.stack.enter_async_context(self.on_file())

    async def lost_file(self) -> AsyncTaskWorker:
        """Return one whose file was deleted."""
        worker = await self.durable()
        await worker.add_task(sleep_for, 60, task_id="running")
        (self.folder / "tasks.db").unlink()
        return worker

    async def validating(self) -> AsyncTaskWorker:
        """Return one that checks cache keys."""
        return await self.worker(cache_adapter=AsyncCacheAdapter(validate_keys=True), cache_enabled=True)

    async def full(self) -> AsyncTaskWorker:
        """Return one with a full queue."""
        worker = await self.worker(max_workers=1, max_queue_size=1, on_full="error")
        await worker.add_task(sleep_for, 60)
        await worker.add_task(sleep_for, 60)
        return worker


class Unreliable(CacheAdapter):
    """A cache storage that does not answer."""

    async def get(self, key: str) -> tuple[bool, Any]:
        raise ConnectionError(key)

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        raise ConnectionError(key)

    async def delete(self, key: str) -> bool:
        raise ConnectionError(key)

    async def clear(self) -> None:
        raise ConnectionError


@pytest_asyncio.fixture
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(folder, stack)


async def elsewhere(call: Callable[[], Any]) -> None:
    """Make the call on an event loop of another thread."""

    async def made() -> None:
        answer = call()
        if inspect.isawaitable(answer):
            await answer

    await asyncio.to_thread(asyncio.run, made())


def unregistered() -> Any:
    async def unknown() -> None: ...

    return unknown


def no_key(_: object) -> str:
    return ""


async def damaged(scene: Scene) -> None:
    (scene.folder / "tasks.db").write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
    await scene.durable()


def on_another_loop(method: Any, *args: Any) -> tuple[Any, type[Exception], Any]:
    async def provoke(scene: Scene) -> None:
        worker = await scene.worker()
        await worker.add_task(sleep_for, 60, task_id="a")
        await elsewhere(lambda: getattr(worker, method.__name__)(*args))

    return method, WrongEventLoopError, provoke


async def running(scene: Scene, call: Callable[[AsyncTaskWorker], Any]) -> None:
    worker = await scene.worker()
    await worker.add_task(sleep_for, 60, task_id="a")
    answer = call(worker)
    if inspect.isawaitable(answer):
        await answer


def of_arguments(method: Any, error: type[Exception], *args: Any, **options: Any) -> tuple[Any, type[Exception], Any]:
    """Return an error of a method of a running worker, because of what it is called with."""
    return (
        method,
        error,
        lambda scene: running(scene, lambda worker: getattr(worker, method.__name__)(*args, **options)),
    )


async def after(setting: Awaitable[AsyncTaskWorker], call: Callable[[AsyncTaskWorker], Any]) -> None:
    answer = call(await setting)
    if inspect.isawaitable(answer):
        await answer


async def stopped(scene: Scene, call: Callable[[AsyncTaskWorker], Any]) -> None:
    await call(scene.on_file())


async def of_cache(call: Callable[[AsyncCacheAdapter], Any]) -> None:
    answer = call(AsyncCacheAdapter(validate_keys=True))
    if inspect.isawaitable(answer):
        await answer


async def made(call: Callable[[], Any]) -> None:
    answer = call()
    if inspect.isawaitable(answer):
        await answer


Provocation = tuple[Any, type[Exception], Callable[[Scene], Awaitable[Any]]]


async def by_add_task(worker: AsyncTaskWorker, func: Any, *args: Any, **options: Any) -> None:
    await worker.add_task(func, *args, **options)


async def by_submit(worker: AsyncTaskWorker, func: Any, *args: Any, **options: Any) -> None:
    await worker.submit(func, args, **options)


def of_adding(method: Any, add: Callable[..., Awaitable[None]]) -> list[Provocation]:
    async def twice(worker: AsyncTaskWorker) -> None:
        for _ in range(2):
            await add(worker, sleep_for, 60, task_id="a")

    return [
        (method, TypeError, lambda s: running(s, lambda w: add(w, echo, 1, 2, 3))),
        (method, ValueError, lambda s: running(s, lambda w: add(w, echo, 1, timeout=-1))),
        (method, DuplicateTaskError, lambda s: after(s.worker(), twice)),
        (method, InvalidCacheKeyError, lambda s: after(s.validating(), lambda w: add(w, echo, 1, cache_key_fn=no_key))),
        (method, WorkerNotRunningError, lambda s: stopped(s, lambda w: add(w, echo, 1))),
        (method, QueueFullError, lambda s: after(s.full(), lambda w: add(w, echo, 1))),
        (method, NotRegisteredError, lambda s: after(s.durable(), lambda w: add(w, unregistered()))),
        (method, NotStorableError, lambda s: after(s.durable(), lambda w: add(w, echo, object()))),
        (method, StorageError, lambda s: after(s.lost_file(), lambda w: add(w, echo, 1))),
    ]


def of_waiting(method: Any, failure: type[Exception]) -> list[Provocation]:
    def wait(worker: AsyncTaskWorker, ids: list[str]) -> Awaitable[Any]:
        waiting: Awaitable[Any] = getattr(worker, method.__name__)(ids)
        return waiting

    async def for_cancelled(worker: AsyncTaskWorker) -> None:
        task_id = await worker.add_task(sleep_for, 60)
        await worker.cancel_task(task_id)
        await wait(worker, [task_id])

    async def for_failed(worker: AsyncTaskWorker) -> None:
        await wait(worker, [await worker.add_task(fail_with, "ValueError")])

    async def while_it_stops(worker: AsyncTaskWorker) -> None:
        waiting = asyncio.ensure_future(wait(worker, [await worker.add_task(sleep_for, 60)]))
        await asyncio.sleep(0)
        await worker.stop(timeout=0)
        await waiting

    return [
        of_arguments(method, TaskNotFoundError, ["b"]),
        of_arguments(method, TimeoutError, ["a"], timeout=0),
        of_arguments(method, TypeError, "a"),
        of_arguments(method, ValueError, ["a"], timeout=-1),
        on_another_loop(method, ["a"]),
        (method, TaskCancelledError, lambda s: after(s.worker(), for_cancelled)),
        (method, failure, lambda s: after(s.worker(), for_failed)),
        (method, WorkerNotRunningError, lambda s: after(s.durable(), while_it_stops)),
    ]


RUNNING: list[Provocation] = [
    (Worker, TypeError, lambda _: made(lambda: AsyncTaskWorker(max_workers="5"))),  # type: ignore[arg-type]
    (Worker, ValueError, lambda _: made(lambda: AsyncTaskWorker(backend="nowhere://"))),
    (Worker.start, StorageInUseError, lambda s: after(s.durable(), lambda _: s.on_file().start())),
    (Worker.start, StorageDamagedError, damaged),
    (Worker.start, StorageError, lambda s: AsyncTaskWorker(backend=f"sqlite:///{s.folder}/no/tasks.db").start()),
    (Worker.__aenter__, StorageError, lambda s: s.worker(backend=f"sqlite:///{s.folder}/no/tasks.db")),
    on_another_loop(Worker.start),
    on_another_loop(Worker.stop),
    of_arguments(Worker.stop, TypeError, "5"),
    of_arguments(Worker.stop, ValueError, -1),
    on_another_loop(Worker.drain),
    of_arguments(Worker.drain, TimeoutError, 0),
    of_arguments(Worker.drain, TypeError, "5"),
    of_arguments(Worker.drain, ValueError, -1),
    on_another_loop(Worker.add_task, echo, 1),
    on_another_loop(Worker.submit, echo, [1]),
    of_arguments(Worker.submit, NotRegisteredError, "no such name"),
    on_another_loop(Worker.cancel_task, "a"),
    (Worker.cancel_task, StorageError, lambda s: after(s.lost_file(), lambda w: w.cancel_task("running"))),
    (Worker.backup, StorageError, lambda s: running(s, lambda w: w.backup("copy"))),
    (Worker.backup, WorkerNotRunningError, lambda s: stopped(s, lambda w: w.backup("copy"))),
    of_arguments(Worker.backup, TypeError, 5),
    on_another_loop(Worker.backup, "copy"),
]
READING: list[Provocation] = [
    of_arguments(Worker.get_all_tasks, TypeError, limit="5"),
    of_arguments(Worker.get_all_tasks, ValueError, "no status"),
    of_arguments(Worker.search_tasks, TypeError, text=5),
    of_arguments(Worker.search_tasks, ValueError, cursor="none"),
    of_arguments(Worker.get_task_future, TaskNotFoundError, "b"),
    on_another_loop(Worker.get_task_future, "a"),
    of_arguments(Worker.get_task_futures, TaskNotFoundError, ["b"]),
    of_arguments(Worker.get_task_futures, TypeError, "a"),
    on_another_loop(Worker.get_task_futures, ["a"]),
    (
        Worker.invalidate_cache,
        InvalidCacheKeyError,
        lambda s: after(s.validating(), lambda w: w.invalidate_cache(echo, 1, cache_key_fn=no_key)),
    ),
    of_arguments(Worker.invalidate_cache, TypeError, echo, 1, metadata=5),
    (
        Worker.clear_cache,
        CacheUnavailableError,
        lambda s: after(s.worker(cache_adapter=Unreliable()), lambda w: w.clear_cache()),
    ),
    (
        Worker.clear_cache,
        PrefixRequiredError,
        lambda s: after(s.worker(cache_adapter=RedisCacheAdapter(key_prefix="")), lambda w: w.clear_cache()),
    ),
]
BESIDE: list[Provocation] = [
    (task, TypeError, lambda _: made(lambda: task(5)(echo))),  # type: ignore[arg-type]
    (task, ValueError, lambda _: made(lambda: task("")(echo))),
    (register_task, TypeError, lambda _: made(lambda: register_task("a", print))),  # type: ignore[arg-type]
    (register_task, ValueError, lambda _: made(lambda: register_task("", echo))),
    (create_task_worker_router, TypeError, lambda _: made(lambda: create_task_worker_router(5))),
    (EventBus.listen, TypeError, lambda _: made(lambda: Worker().events.listen(5))),  # type: ignore[arg-type]
    (EventBus.stream, TypeError, lambda _: made(lambda: Worker().events.stream("5"))),  # type: ignore[arg-type]
    (EventBus.stream, ValueError, lambda _: made(lambda: Worker().events.stream(0))),
    (AsyncCacheAdapter, TypeError, lambda _: made(lambda: AsyncCacheAdapter(adapter=5))),
    (AsyncCacheAdapter, ValueError, lambda _: made(lambda: AsyncCacheAdapter(default_ttl=float("nan")))),
    (AsyncCacheAdapter.get, InvalidCacheKeyError, lambda _: of_cache(lambda c: c.get("f", (), {}, no_key))),
    (AsyncCacheAdapter.set, InvalidCacheKeyError, lambda _: of_cache(lambda c: c.set("f", (), {}, 1, None, no_key))),
    (AsyncCacheAdapter.set, TypeError, lambda _: of_cache(lambda c: c.set(echo, (1,), {}, 1, "5"))),  # type: ignore[arg-type]
    (AsyncCacheAdapter.set, ValueError, lambda _: of_cache(lambda c: c.set(echo, (1,), {}, 1, float("nan")))),
    (
        AsyncCacheAdapter.invalidate,
        InvalidCacheKeyError,
        lambda _: of_cache(lambda c: c.invalidate("f", (), {}, no_key)),
    ),
    (AsyncCacheAdapter.clear, CacheUnavailableError, lambda _: made(AsyncCacheAdapter(adapter=Unreliable()).clear)),
    (AsyncCacheAdapter.default_ttl, TypeError, lambda _: of_cache(lambda c: setattr(c, "default_ttl", "5"))),
    (AsyncCacheAdapter.default_ttl, ValueError, lambda _: of_cache(lambda c: setattr(c, "default_ttl", float("nan")))),
    (AsyncCacheAdapter.cleanup_interval, TypeError, lambda _: of_cache(lambda c: setattr(c, "cleanup_interval", "5"))),
    (AsyncCacheAdapter.cleanup_interval, ValueError, lambda _: of_cache(lambda c: setattr(c, "cleanup_interval", -1))),
    (AsyncCache, TypeError, lambda _: made(lambda: AsyncCache(adapter=5))),
    (AsyncCache, ValueError, lambda _: made(lambda: AsyncCache(max_size=-1))),
    (
        AsyncCache.key_for,
        async_cache.InvalidCacheKeyError,
        lambda _: made(lambda: AsyncCache(validate_keys=True).key_for("f", key_fn=no_key)),
    ),
    (AsyncCache.set, TypeError, lambda _: made(lambda: AsyncCache().set("a", 1, "5"))),  # type: ignore[arg-type]
    (AsyncCache.set, ValueError, lambda _: made(lambda: AsyncCache().set("a", 1, float("nan")))),
    (AsyncCache.get_or_compute, TypeError, lambda _: made(lambda: AsyncCache().get_or_compute("a", echo, "5"))),  # type: ignore[arg-type]
    (
        AsyncCache.get_or_compute,
        ValueError,
        lambda _: made(lambda: AsyncCache().get_or_compute("a", echo, float("nan"))),
    ),
    (AsyncCache.clear, async_cache.CacheUnavailableError, lambda _: made(AsyncCache(Unreliable()).clear)),
    (AsyncCache.cleanup_interval, ValueError, lambda _: made(lambda: setattr(AsyncCache(), "cleanup_interval", -1))),
    (MemoryCacheAdapter.set, UnencodableError, lambda _: made(lambda: MemoryCacheAdapter().set("a", unregistered()))),
    (MemoryCacheAdapter.set, TypeError, lambda _: made(lambda: MemoryCacheAdapter().set("a", 1, "5"))),  # type: ignore[arg-type]
    (MemoryCacheAdapter.set, ValueError, lambda _: made(lambda: MemoryCacheAdapter().set("a", 1, float("nan")))),
    (RedisCacheAdapter.clear, async_cache.PrefixRequiredError, lambda _: RedisCacheAdapter(key_prefix="").clear()),
    (Codec.encode, UnencodableError, lambda _: made(lambda: Codec().encode(object()))),
    (Codec.decode, CorruptError, lambda _: made(lambda: Codec().decode(b"?"))),
    (Codec.canonical, UnencodableError, lambda _: made(lambda: Codec().canonical(object()))),
    (compose_key_functions, TypeError, lambda _: made(lambda: compose_key_functions(5))),  # type: ignore[arg-type]
    (compose_key_functions, ValueError, lambda _: made(compose_key_functions)),
]


def documented(function: Any) -> set[str]:
    """Return the errors that a docstring names, those of a method it refers to included."""
    text = inspect.getdoc(function) or ""
    section = text.partition("Raises:")[2]
    named = set(re.findall(r"^ {4}(\w+):", section, re.MULTILINE))
    for reference in re.findall(r"[Aa]ll of :meth:`(\w+)`", text):
        named |= documented(getattr(AsyncTaskWorker, reference))
    return named


@pytest.mark.parametrize(
    ("function", "error", "provoke"),
    [
        *of_adding(Worker.add_task, by_add_task),
        *of_adding(Worker.submit, by_submit),
        *RUNNING,
        *READING,
        *of_waiting(Worker.wait_for_tasks, Exception),  # the task's own error
        *of_waiting(Worker.wait_for_any_task, TaskFailedError),
        *BESIDE,
    ],
    ids=lambda value: (
        getattr(value, "__qualname__", None) if not isinstance(value, property) else value.fget.__qualname__
    ),
)
async def test_an_error_is_named_where_it_is_raised(
    scene: Scene, function: Any, error: type[Exception], provoke: Callable[[Scene], Awaitable[Any]]
) -> None:
    with pytest.raises(error):
        await provoke(scene)
    assert error.__name__ in documented(function)


FORK = """
import asyncio, os, sys
from async_task_worker import AsyncTaskWorker, ForkedWorkerError
from tests.support.tasks import echo, sleep_for

CALLS = dict(start=[], stop=[], drain=[], add_task=[echo, 1], submit=[echo, [1]], cancel_task=["a"], backup=["copy"])
CALLS |= dict(get_task_future=["a"], get_task_futures=[["a"]], wait_for_tasks=[["a"]], wait_for_any_task=[["a"]])
CALLS |= dict(check_loop=[])

async def refused(worker):
    for name, args in CALLS.items():
        try:
            answer = getattr(worker, name)(*args)
            if asyncio.iscoroutine(answer):
                await answer
        except ForkedWorkerError:
            print(name, flush=True)

async def main():
    async with AsyncTaskWorker() as worker:
        await worker.add_task(sleep_for, 3600, task_id="a")
        if not (child := os.fork()):
            asyncio.run(refused(worker))
            os._exit(0)
        os.waitpid(child, 0)
        await worker.stop(timeout=0)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_the_error_of_a_fork_is_named_wherever_it_is_raised() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    root = Path(__file__).parents[2]
    raised = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert len(raised) == 12
    assert [name for name in raised if ForkedWorkerError.__name__ not in documented(getattr(Worker, name))] == []


def test_a_backend_documents_the_errors_that_a_worker_passes_on() -> None:
    """A backend of somebody else's has to raise the same ones."""
    for name in ("start", "cancel", "fetch", "search"):
        assert "StorageError" in documented(getattr(Backend, name)), name
    assert "StorageError" in str(Capabilities.__doc__)
    adding = {"DuplicateTaskError", "NotRegisteredError", "NotStorableError", "QueueFullError", "StorageError"}
    assert documented(Backend.submit) >= adding
