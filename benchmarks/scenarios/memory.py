"""Bytes of resident memory for each task, from counts large enough to drown the allocator's steps."""

from __future__ import annotations

import gc
import random
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import psutil

from benchmarks.contenders.protocol import Adds, AddsWithPriority, Runs
from benchmarks.scenarios.jobs import Gate, noop, warmed_up
from benchmarks.scenarios.throughput import SLOTS, Figures

REQUEST: ContextVar[object] = ContextVar("request")

PRIORITY_BITS = 31
"""Random priorities are nearly all different, the worst case for a queue that groups them."""


async def pending(contender: Any, count: int, priorities: str = "one", context: str = "empty") -> Figures:
    """Weigh tasks that wait behind occupied slots.

    Args:
        contender: Takes a priority if *priorities* is ``random``.
        count: Pending tasks.
        priorities: ``one`` for all or a ``random`` one for each.
        context: What the adding coroutine has set: nothing (``empty``), one variable for all
            (``shared``) or another value for each task (``own``), as a server with request ids does.
    """
    await contender.open(SLOTS)
    await warmed_up(contender)
    if context == "shared":
        REQUEST.set("of this program")
    await Gate().occupy(contender, SLOTS)
    before = _resident()
    add = _add_in_order if priorities == "one" else _add_at_random
    async for number in add(contender, count):
        if context == "own":
            REQUEST.set(number)
    return {"bytes": (_resident() - before) / count}


async def finished(contender: Runs, count: int, wave: int, **options: Any) -> Figures:
    """Weigh the records of finished tasks; run in small waves, so that pending ones weigh nothing."""
    await contender.open(SLOTS, **options)
    await contender.run(noop, 2 * wave)
    before = _resident()
    for _ in range(count // wave):
        await contender.run(noop, wave)
    return {"bytes": (_resident() - before) / count}


async def _add_in_order(contender: Adds, count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number
        await contender.add(noop)


async def _add_at_random(contender: AddsWithPriority, count: int) -> AsyncIterator[int]:
    draw = random.Random(1).getrandbits
    for number in range(count):
        yield number
        await contender.add(noop, priority=draw(PRIORITY_BITS))


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)
