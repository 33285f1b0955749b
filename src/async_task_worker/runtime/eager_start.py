"""Create asyncio Tasks whose coroutine has entered its try block, so that an early cancel is not lost.

A coroutine that is cancelled before its first step never runs at all, ``finally`` included, so
its slot would never be freed. From Python 3.12 on, a Task takes its first step while it is
created, and a job that never waits needs no loop iteration of its own. On Python 3.11 the first
step, up to :func:`suspend_once`, is made before the Task is created.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any

Job = Coroutine[Any, Any, None]


@coroutine
def suspend_once() -> Generator[None, None, None]:
    """Suspend once, so that the awaiting coroutine has entered its ``try`` block before its Task exists."""
    yield


if sys.version_info >= (3, 12):
    EAGER_START = True

    def start(job: Job, loop: asyncio.AbstractEventLoop, name: str, context: Context) -> asyncio.Task[None]:
        """Create the Task and run its first step."""
        return asyncio.Task(job, loop=loop, name=name, context=context, eager_start=True)
else:
    EAGER_START = False

    def start(job: Job, loop: asyncio.AbstractEventLoop, name: str, context: Context) -> asyncio.Task[None]:
        """Create the Task; the loop resumes it in its next iteration."""
        job.send(None)
        return asyncio.Task(job, loop=loop, name=name, context=context)
