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
    """Start an asyncio Task on the running loop, without the loop's task factory, which is for the user's tasks.

    Args:
        coroutine: The coroutine to run.
        name: The name of the Task.
        context: The context to run in; None for an empty one. A Task keeps its context alive, so a
            Task that serves several callers, or outlives its caller, must not use a caller's.
    """
    context = Context() if context is None else context
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), name=name, context=context)


def is_waiting(future: asyncio.Future[Any]) -> bool:
    """Return whether a future has no result yet and its loop is open, so that it can be resolved."""
    return not future.done() and not future.get_loop().is_closed()


def raise_in_loop(interrupt: KeyboardInterrupt) -> None:
    """Raise *interrupt* from the event loop, which ends ``asyncio.run()`` as an unguarded Ctrl-C does."""

    def end_loop() -> None:
        raise interrupt

    asyncio.get_running_loop().call_soon(end_loop, context=Context())


def call_from_any_thread(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> bool:
    """Schedule a call on *loop* from any thread; return False if the loop is closed."""
    try:
        loop.call_soon_threadsafe(call, *args, context=Context())
    except RuntimeError:
        if loop.is_closed():
            return False
        raise
    return True
