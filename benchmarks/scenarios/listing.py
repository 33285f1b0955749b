"""Ask a worker that knows a million tasks for ten of them."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.scenarios.jobs import Gate, noop, warmed_up
from benchmarks.scenarios.throughput import MICROSECONDS, SLOTS, Figures
from benchmarks.subjects.protocol import Lists

LIMIT = 10
PATIENCE = 2.0
"""Seconds spent on one kind of question."""


async def newest(subject: Lists, known: int, questions: int) -> Figures:
    """List the newest ten, then the newest ten of each status, and report the slowest status.

    All statuses but *pending* are those of the oldest tasks: a walk from the newest would
    pass all others on its way.
    """
    await subject.open(SLOTS)
    await _one_of_each_ending(subject)
    gate = Gate()
    await gate.occupy(subject, SLOTS)
    await subject.cancel(await subject.add(noop))
    for _ in range(known):
        await subject.add(noop)
    plain = await _time(subject, questions, None)
    filtered = [await _time(subject, questions, status) for status in subject.statuses]
    return {"newest": plain * MICROSECONDS, "worst": max(filtered) * 1e3}


async def _one_of_each_ending(subject: Lists) -> None:
    await warmed_up(subject, LIMIT)
    try:
        await subject.result(await subject.add(_failing))
    except Exception as error:  # whichever way the subject hands it on
        if "on purpose" not in str(error):
            raise


async def _failing() -> None:
    raise ValueError("on purpose")


async def _time(subject: Lists, questions: int, status: object) -> float:
    times: list[float] = []
    deadline = time.perf_counter() + PATIENCE
    while len(times) < questions and (time.perf_counter() < deadline or len(times) < 3):
        start = time.perf_counter()
        await subject.newest(LIMIT, status)
        times.append(time.perf_counter() - start)
    return median(times)
