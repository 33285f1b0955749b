"""Does a task cost more to run when a million others wait?"""

from __future__ import annotations

import gc
import random
import time
from statistics import median
from typing import Any

from benchmarks.scenarios.jobs import Gate, Stopwatch, warmed_up
from benchmarks.scenarios.memory import PRIORITY_BITS
from benchmarks.scenarios.throughput import MICROSECONDS, SLOTS, Figures


async def run_cost(contender: Any, few: int, many: int, repeats: int, priorities: str) -> Figures:
    """Return the cost of running a task at *many* pending, and that divided by the cost at *few*.

    At *few* all of them run, several times over; at *many* the first tenth does.
    """
    await contender.open(SLOTS)
    await warmed_up(contender)
    small = median([await _run_first(contender, few, few, priorities) for _ in range(repeats)])
    large = await _run_first(contender, many, many // 10, priorities)
    return {"ratio": large / small, "cpu": large * MICROSECONDS}


async def _run_first(contender: Any, pending: int, measured: int, priorities: str) -> float:
    """Let *pending* tasks wait, open the gate, and return the CPU seconds of each of the first *measured*."""
    gate, watch = Gate(), Stopwatch(measured)
    await gate.occupy(contender, SLOTS)
    draw = random.Random(pending).getrandbits
    for _ in range(pending):
        await contender.add(watch.job, priority=0 if priorities == "one" else draw(PRIORITY_BITS))
    gc.collect()
    start = time.process_time()
    gate.open()
    return (await watch.stopped() - start) / measured
