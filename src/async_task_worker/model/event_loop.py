"""Helpers for closed event loops, KeyboardInterrupt and background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(
    coroutine: Coroutine[Any, Any, T], name: str | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """Start a background task on the running loop; without the loop's task factory, which is for the user's tasks.

    Args:
        coroutine: What to run.
        name: The name of the Task.
        context: The context to run in; None for an empty one. A Task keeps its context alive, so
            one that serves several callers, or outlives its caller, must not have a caller's.
    """
    context = Context() if context is None else context
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), name=name, context=context)


def is_waiting(future: asyncio.Future[Any]) -> bool:
    """Whether a future waits for its result on a loop that can still hear of it."""
    return not future.done() and not future.get_loop().is_closed()


def raise_in_loop(interrupt: KeyboardInterrupt) -> None:
    """Let *interrupt* end the event loop, as it would have outside of user code we guard."""

    def end_loop() -> None:
        raise interrupt

    asyncio.get_running_loop().call_soon(end_loop, context=Context())


def call_from_any_thread(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> bool:
    """Have *loop* make a call; return False if it is closed, or is being closed by its own thread right now."""
    try:
        loop.call_soon_threadsafe(call, *args, context=Context())
    except RuntimeError:
        if loop.is_closed():
            return False
        raise
    return True
