"""Ask a worker that knows a million tasks for ten of them."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.contenders.protocol import Lists
from benchmarks.scenarios.jobs import Gate, noop, warmed_up
from benchmarks.scenarios.throughput import MICROSECONDS, SLOTS, Figures

LIMIT = 10
PATIENCE = 2.0
"""Seconds spent on one kind of question."""


async def newest(contender: Lists, known: int, questions: int) -> Figures:
    """List the newest ten, then the newest ten of each status, and report the slowest status.

    All statuses but *pending* are those of the oldest tasks: a walk from the newest would
    pass all others on its way.
    """
    await contender.open(SLOTS)
    await _one_of_each_ending(contender)
    gate = Gate()
    await gate.occupy(contender, SLOTS)
    await contender.cancel(await contender.add(noop))
    for _ in range(known):
        await contender.add(noop)
    plain = await _time(contender, questions, None)
    filtered = [await _time(contender, questions, status) for status in contender.statuses]
    return {"newest": plain * MICROSECONDS, "worst": max(filtered) * 1e3}


async def _one_of_each_ending(contender: Lists) -> None:
    await warmed_up(contender, LIMIT)
    try:
        await contender.result(await contender.add(_failing))
    except Exception as error:  # whichever way the contender hands it on
        if "on purpose" not in str(error):
            raise


async def _failing() -> None:
    raise ValueError("on purpose")


async def _time(contender: Lists, questions: int, status: object) -> float:
    times: list[float] = []
    deadline = time.perf_counter() + PATIENCE
    while len(times) < questions and (time.perf_counter() < deadline or len(times) < 3):
        start = time.perf_counter()
        await contender.newest(LIMIT, status)
        times.append(time.perf_counter() - start)
    return median(times)
