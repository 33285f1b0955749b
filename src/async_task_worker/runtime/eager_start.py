"""Create asyncio Tasks whose coroutine has entered its try block, so that an early cancel is not lost.

A coroutine that is cancelled before its first step never runs at all, ``finally`` included,
and would take its slot with it. Where a Task can take its first step while it is made (from
Python 3.12 on) there is no such moment, and a job that never waits costs no turn of the
loop. Elsewhere the coroutine is taken into its ``try`` by hand.
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
    """Suspend once, inside the ``try`` of the coroutine that awaits this."""
    yield


if sys.version_info >= (3, 12):
    EAGER_START = True

    def start(job: Job, loop: asyncio.AbstractEventLoop, name: str, context: Context) -> asyncio.Task[None]:
        """Make the Task and take its first step."""
        return asyncio.Task(job, loop=loop, name=name, context=context, eager_start=True)
else:
    EAGER_START = False

    def start(job: Job, loop: asyncio.AbstractEventLoop, name: str, context: Context) -> asyncio.Task[None]:
        """Make the Task; the loop takes its first step in the next turn."""
        job.send(None)
        return asyncio.Task(job, loop=loop, name=name, context=context)
