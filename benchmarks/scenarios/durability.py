"""What it costs to be sure of a task before one goes on."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from benchmarks.durable.protocol import Enqueues, Runs
from benchmarks.scenarios.jobs import noop
from benchmarks.scenarios.throughput import MICROSECONDS, Figures

PAGE = b"x" * 4096
TICK = 0.001
"""Seconds between the moments at which something might be due on the loop."""
WARMING = 0.3
"""Seconds of load before anybody looks."""


class Cost(NamedTuple):
    """Seconds by the clock and of CPU time."""

    wall: float
    cpu: float


class Stopwatch:
    """Measures from its making on."""

    def __init__(self) -> None:
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self) -> Cost:
        """Return what has gone by."""
        return Cost(time.perf_counter() - self._wall, time.process_time() - self._cpu)


async def noops(contender: Runs, callers: int, each: int, repeats: int, **options: Any) -> Figures:
    """Have callers add tasks that do nothing, each one after the other; wait until the last end is safe."""
    await contender.open(new_folder(), **options)
    costs = []
    for _ in range(repeats + 1):
        watch = Stopwatch()
        await crowd(callers, each, lambda: contender.add(noop))
        await contender.finished()
        costs.append(watch.cost())
    return _medians(costs[1:], callers * each)


async def enqueues(
    contender: Enqueues, callers: int, each: int, repeats: int, durability: str, patience: float
) -> Figures:
    """Have callers enqueue jobs that are not run, each one after the other.

    A contender that is not through after *patience* seconds is judged by what it got done in its first round.
    """
    await contender.open(new_folder(), durability=durability)
    await contender.hold()
    costs = []
    for _ in range(repeats + 1):
        watch = Stopwatch()
        done = await crowd(callers, each, contender.enqueue, patience)
        costs.append(watch.cost())
        if done < callers * each:
            return _medians(costs[-1:], done)
    return _medians(costs[1:], callers * each)


async def lone(contender: Enqueues, count: int, patience: float) -> Figures:
    """Enqueue one job at a time; in turn with that, append a page to a file and wait for the disk.

    The two are compared by the time that the fastest tenth of each stays under: where others
    have work for the processor or the disk, a median is theirs.
    """
    folder = new_folder()
    await contender.open(folder)
    await contender.hold()
    file = os.open(folder / "bare", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    clock, deadline = time.perf_counter, time.perf_counter() + patience
    bare, own = [], []
    while len(own) < count and (clock() < deadline or len(own) < 10):
        began = clock()
        os.write(file, PAGE)
        os.fsync(file)
        between = clock()
        await contender.enqueue()
        bare.append(between - began)
        own.append(clock() - between)
    warm = len(own) // 5
    fastest, floor = (quantiles(times[warm:], n=10)[0] for times in (own, bare))
    return {
        "p50": median(own[warm:]) * MICROSECONDS,
        "fastest": fastest * MICROSECONDS,
        "ratio": fastest / floor,
    }


async def lag(contender: Runs, callers: int, seconds: float) -> Figures:
    """Look how late the event loop is while callers add a task, wait for its result, add the next.

    Judged by every millisecond: had something been due then, how much later would it have had
    its turn? So a long pause counts as long as it is, not as one of many. Beside it stands the
    same as far as it is the loop's own doing, by the CPU time of its turns.
    """
    await contender.open(new_folder())
    loop = asyncio.get_running_loop()
    end = loop.time() + WARMING + seconds

    async def call() -> None:
        while loop.time() < end:
            await contender.result(await contender.add(noop))

    load = asyncio.gather(*(call() for _ in range(callers)))
    await asyncio.sleep(WARMING)
    turns = _Turns(loop)
    late, due = [], loop.time() + TICK
    while due < end:
        await asyncio.sleep(due - loop.time())
        now = loop.time()
        while due <= now:
            late.append(now - due)
            due += TICK
    busy = turns.wait_exceeded_by(0.01)
    await load
    return {"p99": quantiles(late, n=100)[98] * 1e3, "busy": busy * 1e3}


class _Turns:
    """CPU seconds of the loop's turns: from one look at what is due to the next."""

    def __init__(self, loop: Any) -> None:
        self._seconds: list[float] = []
        self._began = time.thread_time()
        selector = loop._selector  # noqa: SLF001 - no public way
        self._select = selector.select
        selector.select = self._between

    def wait_exceeded_by(self, part: float) -> float:
        """Return the seconds that this *part* of the moments at work would have to wait, or more, for a turn to end."""
        low, high, total = 0.0, max(self._seconds), sum(self._seconds)
        while high - low > 1e-6:
            middle = (low + high) / 2
            exceeding = sum(turn - middle for turn in self._seconds if turn > middle)
            low, high = (middle, high) if exceeding > part * total else (low, middle)
        return high

    def _between(self, timeout: float | None = None) -> Any:
        self._seconds.append(time.thread_time() - self._began)
        ready = self._select(timeout)
        self._began = time.thread_time()
        return ready


async def crowd(callers: int, each: int, call: Callable[[], Awaitable[object]], patience: float | None = None) -> int:
    """Let *callers* call *each* times; return how many calls were through in time."""
    done = 0

    async def caller() -> None:
        nonlocal done
        for _ in range(each):
            await call()
            done += 1

    tasks = [asyncio.create_task(caller()) for _ in range(callers)]
    finished, _ = await asyncio.wait(tasks, timeout=patience)
    through = done
    for task in finished:
        task.result()
    return through


def new_folder() -> Path:
    """Return a folder for the files of one measurement; who started the process removes it."""
    return Path(tempfile.mkdtemp())


def _medians(costs: list[Cost], count: int) -> Figures:
    return {name: median(getattr(cost, name) for cost in costs) / count * MICROSECONDS for name in Cost._fields}
