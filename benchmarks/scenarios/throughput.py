"""CPU time for each task: what a worker costs where CPU is what there is too little of."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks.scenarios.jobs import Gate, noop, sleep0, warmed_up
from benchmarks.subjects.protocol import Cancels, GivesResults, Job, ReportsProgress, Runs, RunsWithTimeout

SLOTS = 10
MICROSECONDS = 1e6

Figures = dict[str, float]


async def noop_tasks(subject: Runs, burst: int, bursts: int) -> Figures:
    """Add a burst of tasks that do nothing and wait for its end."""
    return await _bursts(subject, noop, burst, bursts)


async def sleeping_tasks(subject: Runs, burst: int, bursts: int) -> Figures:
    """The same with tasks that are suspended once."""
    return await _bursts(subject, sleep0, burst, bursts)


async def tasks_with_timeout(subject: RunsWithTimeout, burst: int, bursts: int) -> Figures:
    """No-op tasks that each have a timeout, which none of them reaches."""
    await subject.open(SLOTS)
    return {"cpu": await _cpu_per_task(lambda: subject.run_with_timeout(noop, burst, 60.0), burst, bursts)}


async def results(subject: GivesResults, count: int) -> Figures:
    """Add a task, wait for its result, add the next."""
    await subject.open(SLOTS)
    await warmed_up(subject)
    start = time.process_time()
    for _ in range(count):
        await subject.result(await subject.add(noop))
    return {"cpu": (time.process_time() - start) / count * MICROSECONDS}


async def waiters(subject: GivesResults, count: int, repeats: int) -> Figures:
    """Let *count* coroutines wait for the result of the same task."""
    await subject.open(SLOTS)
    await warmed_up(subject)
    times = [await _waiters_once(subject, count) for _ in range(repeats)]
    return {"cpu": median(times) * 1e3}


async def cancels(subject: Cancels, count: int) -> Figures:
    """Cancel half of the pending tasks, in random order."""
    await subject.open(SLOTS)
    await warmed_up(subject)
    await Gate().occupy(subject, SLOTS)
    handles = [await subject.add(noop) for _ in range(2 * count)]
    chosen = random.Random(1).sample(handles, count)
    gc.collect()
    start = time.process_time()
    for handle in chosen:
        await subject.cancel(handle)
    return {"cpu": (time.process_time() - start) / count * MICROSECONDS}


async def progress(subject: ReportsProgress, count: int) -> Figures:
    """Report progress from one running task, *count* times."""
    await subject.open(SLOTS)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def job(progress_callback: Callable[[float], object]) -> None:
        for step in range(100):
            progress_callback(step / count)
        start = time.process_time()
        for step in range(count):
            progress_callback(step / count)
        done.set_result(time.process_time() - start)

    await subject.add_reporting(job)
    return {"cpu": await done / count * MICROSECONDS}


async def _bursts(subject: Runs, job: Job, burst: int, bursts: int) -> Figures:
    await subject.open(SLOTS)
    return {"cpu": await _cpu_per_task(lambda: subject.run(job, burst), burst, bursts)}


async def _cpu_per_task(run: Callable[[], Awaitable[None]], burst: int, bursts: int) -> float:
    """Return the median microseconds of CPU time per task; the first burst warms up and is not counted."""
    times = []
    for _ in range(bursts + 1):
        gc.collect()
        start = time.process_time()
        await run()
        times.append(time.process_time() - start)
    return median(times[1:]) / burst * MICROSECONDS


async def _waiters_once(subject: GivesResults, count: int) -> float:
    gate = Gate()
    handle = await subject.add(gate.job)
    await asyncio.sleep(0)
    start = time.process_time()
    waiting = [asyncio.create_task(subject.result(handle)) for _ in range(count)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.wait(waiting)
    return time.process_time() - start
