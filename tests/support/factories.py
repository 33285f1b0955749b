"""Task factories as instrumentation libraries set them, and some that do not work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Coro = Coroutine[Any, Any, Any]
Factory = Callable[..., Any]


def set_for_jobs(factory: Factory | None) -> None:
    """Set the running loop's task factory, for our tasks alone: the tests' own machinery is to work under any."""

    def chosen(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
        if factory is not None and coro.__qualname__ == "TaskExecutor.run":
            return factory(loop, coro, **options)
        return asyncio.Task(coro, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(None if factory is None else chosen)


def plain(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **options)


def without_options(loop: asyncio.AbstractEventLoop, coro: Coro) -> Any:
    return asyncio.Task(coro, loop=loop)


def closure(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    async def traced() -> Any:
        return await coro

    return asyncio.Task(traced(), loop=loop, **options)


def late_closure(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    """A wrapper with actions before and after the coroutine."""

    async def traced() -> Any:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return await coro
        finally:
            coro.close()  # it never began if this was cancelled before
            await asyncio.sleep(0)

    return asyncio.Task(traced(), loop=loop, **options)


class Handle:
    """An object around a Task that is not a Future itself."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.task.__await__()


def handle(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return Handle(asyncio.Task(coro, loop=loop, **options))


class Traced(Coroutine[Any, Any, Any]):
    """An awaitable object around a coroutine that is not a native coroutine."""

    def __init__(self, coro: Coro) -> None:
        self.coro = coro

    def send(self, value: Any) -> Any:
        return self.coro.send(value)

    def throw(self, *error: Any) -> Any:
        return self.coro.throw(*error)

    def close(self) -> None:
        self.coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.coro.__await__()


def coroutine_object(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return asyncio.Task(Traced(coro), loop=loop, **options)


class Driver:
    """An object that runs a coroutine by itself, and throws a cancellation in at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Coro) -> None:
        self.loop = loop
        self.coro = coro
        self.is_done = False
        loop.call_soon(self.step)

    def step(self, *_: Any, error: BaseException | None = None) -> None:
        if self.is_done:
            return
        try:
            future = self.coro.send(None) if error is None else self.coro.throw(error)
        except (StopIteration, asyncio.CancelledError):
            self.is_done = True
        else:
            if future is None:
                self.loop.call_soon(self.step)
            else:
                future._asyncio_future_blocking = False
                future.add_done_callback(self.step)

    def cancel(self) -> None:
        self.step(error=asyncio.CancelledError())

    def done(self) -> bool:
        return self.is_done


def driver(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return Driver(loop, coro)


WORKING: dict[str, Factory] = {
    "plain": plain,
    "without options": without_options,
    "closure": closure,
    "late closure": late_closure,
    "handle": handle,
    "coroutine object": coroutine_object,
}

if sys.version_info >= (3, 12):

    def eager_closure(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
        async def traced() -> Any:
            return await coro

        return asyncio.eager_task_factory(loop, traced(), **options)

    WORKING |= {"eager": asyncio.eager_task_factory, "eager closure": eager_closure}


def raises(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    raise RuntimeError("no task today")


def closes_and_raises(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    coro.close()
    raise RuntimeError("no task today")


def returns_none(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return None


def returns_a_number(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    coro.close()
    return 42


def drops(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    """Return an object that is never done."""
    return loop.create_future()


def runs_another(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    return asyncio.Task(asyncio.sleep(0), loop=loop)


def fails_before(loop: asyncio.AbstractEventLoop, coro: Coro, **options: Any) -> Any:
    async def traced() -> Any:
        await asyncio.sleep(0)
        coro.close()
        raise RuntimeError("no span today")

    return asyncio.Task(traced(), loop=loop, **options)


BROKEN: dict[str, tuple[Factory, str]] = {
    "raises": (raises, "no task today"),
    "closes and raises": (closes_and_raises, "no task today"),
    "returns None": (returns_none, "returned None"),
    "returns a number": (returns_a_number, "did not run the task's coroutine"),
    "drops": (drops, "did not run the task's coroutine"),
    "runs another": (runs_another, "did not run the task's coroutine"),
    "fails before": (fails_before, "no span today"),
}
"""Each with a part of the error that its task ends with."""
