"""Background tasks of the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(
    coroutine: Coroutine[Any, Any, T], name: str | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """Start a background task on the running loop, bypassing the loop's task factory, which is for the user's tasks.

    Args:
        coroutine: What to run.
        name: Name of the Task.
        context: Context to run in; None for an empty one. A Task keeps its context alive, so a
            Task that serves several callers, or outlives its caller, must not use a caller's.
    """
    context = Context() if context is None else context
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), name=name, context=context)
