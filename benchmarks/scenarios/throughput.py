"""CPU time for each task: what a worker costs where CPU is what there is too little of."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks.contenders.protocol import Cancels, GivesResults, Job, ReportsProgress, Runs, RunsWithTimeout
from benchmarks.scenarios.jobs import Gate, noop, sleep0, warmed_up

SLOTS = 10
MICROSECONDS = 1e6

Figures = dict[str, float]


async def noop_tasks(contender: Runs, burst: int, bursts: int) -> Figures:
    """Add a burst of tasks that do nothing and wait for its end."""
    return await _bursts(contender, noop, burst, bursts)


async def sleeping_tasks(contender: Runs, burst: int, bursts: int) -> Figures:
    """The same with tasks that are suspended once."""
    return await _bursts(contender, sleep0, burst, bursts)


async def tasks_with_timeout(contender: RunsWithTimeout, burst: int, bursts: int) -> Figures:
    """No-op tasks that each have a timeout, which none of them reaches."""
    await contender.open(SLOTS)
    return {"cpu": await _cpu_per_task(lambda: contender.run_with_timeout(noop, burst, 60.0), burst, bursts)}


async def results(contender: GivesResults, count: int) -> Figures:
    """Add a task, wait for its result, add the next."""
    await contender.open(SLOTS)
    await warmed_up(contender)
    start = time.process_time()
    for _ in range(count):
        await contender.result(await contender.add(noop))
    return {"cpu": (time.process_time() - start) / count * MICROSECONDS}


async def waiters(contender: GivesResults, count: int, repeats: int) -> Figures:
    """Let *count* coroutines wait for the result of the same task."""
    await contender.open(SLOTS)
    await warmed_up(contender)
    times = [await _waiters_once(contender, count) for _ in range(repeats)]
    return {"cpu": median(times) * 1e3}


async def cancels(contender: Cancels, count: int) -> Figures:
    """Cancel half of the pending tasks, in random order."""
    await contender.open(SLOTS)
    await warmed_up(contender)
    await Gate().occupy(contender, SLOTS)
    handles = [await contender.add(noop) for _ in range(2 * count)]
    chosen = random.Random(1).sample(handles, count)
    gc.collect()
    start = time.process_time()
    for handle in chosen:
        await contender.cancel(handle)
    return {"cpu": (time.process_time() - start) / count * MICROSECONDS}


async def progress(contender: ReportsProgress, count: int) -> Figures:
    """Report progress from one running task, *count* times."""
    await contender.open(SLOTS)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def job(progress_callback: Callable[[float], object]) -> None:
        for step in range(100):
            progress_callback(step / count)
        start = time.process_time()
        for step in range(count):
            progress_callback(step / count)
        done.set_result(time.process_time() - start)

    await contender.add_reporting(job)
    return {"cpu": await done / count * MICROSECONDS}


async def _bursts(contender: Runs, job: Job, burst: int, bursts: int) -> Figures:
    await contender.open(SLOTS)
    return {"cpu": await _cpu_per_task(lambda: contender.run(job, burst), burst, bursts)}


async def _cpu_per_task(run: Callable[[], Awaitable[None]], burst: int, bursts: int) -> float:
    """Return the median microseconds of CPU time per task; the first burst warms up and is not counted."""
    times = []
    for _ in range(bursts + 1):
        gc.collect()
        start = time.process_time()
        await run()
        times.append(time.process_time() - start)
    return median(times[1:]) / burst * MICROSECONDS


async def _waiters_once(contender: GivesResults, count: int) -> float:
    gate = Gate()
    handle = await contender.add(gate.job)
    await asyncio.sleep(0)
    start = time.process_time()
    waiting = [asyncio.create_task(contender.result(handle)) for _ in range(count)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.wait(waiting)
    return time.process_time() - start
