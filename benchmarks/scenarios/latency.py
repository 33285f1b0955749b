"""Wall time from adding a task to its first line, on an idle worker."""

from __future__ import annotations

import asyncio
import time
from statistics import median, quantiles
from typing import Any

from benchmarks.contenders.protocol import Adds
from benchmarks.scenarios.jobs import warmed_up
from benchmarks.scenarios.throughput import MICROSECONDS, SLOTS, Figures

PATIENCE = 8.0
"""Seconds after which a slow contender gives fewer samples."""


async def starts(contender: Adds, count: int) -> Figures:
    """Add one task at a time to a worker that has nothing to do."""
    await contender.open(SLOTS)
    await warmed_up(contender)
    samples = await _start_latencies(contender, count)
    return {"p50": median(samples), "p99": quantiles(samples, n=100)[98]}


async def poll_intervals(contender: Any, count: int) -> Figures:
    """Compare the same between a worker that polls every 5 s and one that polls every 50 ms."""
    medians = []
    for interval in (5.0, 0.05):
        fresh = type(contender)()
        await fresh.open(SLOTS, worker_poll_interval=interval)
        await warmed_up(fresh)
        medians.append(median(await _start_latencies(fresh, count)))
    return {"ratio": medians[0] / medians[1]}


async def _start_latencies(contender: Adds, count: int) -> list[float]:
    clock = time.perf_counter
    started: list[float] = []

    async def job() -> None:
        started.append(clock())

    samples: list[float] = []
    deadline = clock() + PATIENCE
    while len(samples) < count and (clock() < deadline or len(samples) < 2):
        added = clock()
        await contender.add(job)
        while not started:
            await asyncio.sleep(0)
        samples.append((started.pop() - added) * MICROSECONDS)
        await _idle()
    return samples


async def _idle() -> None:
    """Let everything that follows a task's end happen: nobody has anything left to do then."""
    for _ in range(10):
        await asyncio.sleep(0)
