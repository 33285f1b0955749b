"""What a worker does when there is nothing to do."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contenders.protocol import Adds
from benchmarks.scenarios.jobs import noop
from benchmarks.scenarios.throughput import Figures

SLOTS = 100
SETTLE = 0.2
"""Seconds left to the echoes of starting up."""
WINDOW = 1.0
"""Seconds of one look; the median look counts, since the machine itself disturbs some."""


async def idle(contender: Adds, windows: int) -> Figures:
    """Watch CPU time and event loop of a worker that has run one task and has none left.

    What the watching itself takes is measured before the worker exists, and subtracted.
    """
    polls = _PollCounter()
    watching = [await _look(polls, SETTLE / 2) for _ in range(5)]
    await contender.open(SLOTS)
    await contender.add(noop)
    await asyncio.sleep(SETTLE)
    idling = [await _look(polls, WINDOW) for _ in range(windows)]
    cpu = median(look.cpu for look in idling) - median(look.cpu for look in watching)
    extra = sum(look.polls for look in idling) / windows - median(look.polls for look in watching)
    return {"cpu": max(0.0, cpu) / WINDOW * 1e3, "wakeups": max(0.0, extra) / WINDOW}


class _Look(NamedTuple):
    cpu: float
    polls: int


async def _look(polls: _PollCounter, seconds: float) -> _Look:
    """Return CPU seconds and polls of the selector while this coroutine waits for one timer."""
    cpu, count = time.process_time(), polls.count
    await asyncio.sleep(seconds)
    return _Look(time.process_time() - cpu, polls.count - count)


class _PollCounter:
    """Count how often the running loop asks its selector, which is once for each of its iterations."""

    def __init__(self) -> None:
        self.count = 0
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001  # no public way
        self._select = selector.select
        selector.select = self._counted

    def _counted(self, timeout: float | None = None) -> Any:
        self.count += 1
        return self._select(timeout)
