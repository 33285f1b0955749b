"""A million tasks in one file: taken up again, run, and searched. Every step is a process of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from benchmarks.child import MARK
from benchmarks.durable.protocol import Persists
from benchmarks.scenarios.durability import Stopwatch, crowd, new_folder
from benchmarks.scenarios.throughput import MICROSECONDS, Figures

CALLERS = 1_000
LIMIT = 50
PATIENCE = 15.0
"""Seconds for one kind of question."""


async def started_again(contender: Persists, count: int) -> Figures:
    """Leave tasks pending, end without a goodbye, and see how long it is until one of them runs."""
    folder = new_folder()
    await _apart(contender, "fill", folder=str(folder), count=count)
    killed = await _apart(contender, "wake", folder=str(folder))
    size = sum(file.stat().st_size for file in folder.iterdir())
    stopped = await _apart(contender, "wake", folder=str(folder))
    return {
        "bytes": size / count,
        "killed": killed["seconds"],
        "stopped": stopped["seconds"],
        "cpu": max(killed["cpu"], stopped["cpu"]),
        "memory": max(killed["memory"], stopped["memory"]),
    }


async def claim_cost(contender: Persists, few: int, many: int, repeats: int) -> Figures:
    """Return the CPU time to run a task of *many* that were left in the file, and that divided by the same of *few*.

    Of the few all are run, again and again; of the many the first tenth. Writing their ends is part of it.
    """
    small, large = new_folder(), new_folder()
    for folder, count in ((small, few), (large, many)):
        await _apart(contender, "fill", folder=str(folder), count=count)
        await _apart(contender, "wake", folder=str(folder))  # it ends with a stop
    copies = [_copy(small) for _ in range(2 * repeats + 1)]
    cheap = await _apart(contender, "claim", folders=copies[: repeats + 1], count=few)
    dear = await _apart(contender, "claim", folders=[*copies[repeats + 1 :], str(large)], count=few, last=many // 10)
    return {"ratio": dear["last"] / cheap["median"], "cpu": dear["last"] * MICROSECONDS}


async def pages(contender: Persists, count: int, questions: int) -> Figures:
    """Ask for pages of a long history in several ways; return what the slowest of them takes."""
    folder = new_folder()
    middle = (await _apart(contender, "finish", folder=str(folder), count=count))["middle"]
    await contender.open(folder, max_history=None, retention=None)
    older = {"before": datetime.fromtimestamp(middle, UTC)}
    half_way = await contender.page(**older, limit=LIMIT)
    asked: dict[str, dict[str, Any]] = {
        "newest": {},
        "half way": {**older, "cursor": half_way.next_cursor},
        "status of most": {"status": "completed"},
        "status of few": {"status": "failed"},
        "status of none": {"status": "cancelled"},
        "two statuses": {"status": ["failed", "completed"]},
        "type of few": {"task_type": "rare"},
        "type of few, status of none of them": {"task_type": "rare", "status": "completed"},
        "type of most, status of none of them": {"task_type": "numbered", "status": "failed"},
        "text in all": {"text": "acme"},
        "text in none": {"text": "nobody"},
    }
    slowest = {name: _p95(await _time(contender, query, questions)) * 1e3 for name, query in asked.items()}
    return {**slowest, "p95": max(slowest.values())}


async def fill(contender: Persists, folder: str, count: int) -> Figures:
    """Leave tasks pending that have one argument."""
    contender.register("numbered", _numbered)
    await contender.open(Path(folder))
    await contender.hold()
    numbers = iter(range(count))
    await crowd(min(CALLERS, count), count // min(CALLERS, count), lambda: contender.add(_numbered, next(numbers)))
    return {}


async def wake(contender: Persists, folder: str) -> Figures:
    """Open the file again and note when the first of its tasks runs."""
    ran = asyncio.Event()

    async def numbered(_: int) -> None:
        ran.set()
        await asyncio.Event().wait()

    contender.register("numbered", numbered)
    contender.register("held", _done)
    watch = Stopwatch()
    await contender.open(Path(folder))
    await ran.wait()
    seconds, cpu = watch.cost()
    memory = _most_memory()
    await contender.close()
    return {"seconds": seconds, "cpu": cpu, "memory": memory}


async def claim(contender: Persists, folders: Sequence[str], count: int, last: int | None = None) -> Figures:
    """Run *count* tasks of each file, *last* of the last one; return CPU seconds per task. The first file warms up."""
    counts = [count] * (len(folders) - 1) + [last or count]
    costs = [
        await _claimed(type(contender)(), Path(folder), wanted) / wanted
        for folder, wanted in zip(folders, counts, strict=True)
    ]
    return {"median": median(costs[1:]), "last": costs[-1]}


async def finish(contender: Persists, folder: str, count: int) -> Figures:
    """Run tasks to their ends, one of a thousand to a bad one, and stop."""
    contender.register("numbered", _numbered)
    contender.register("rare", _failing)
    await contender.open(Path(folder), max_history=None, retention=None)
    numbers, middle = iter(range(count)), 0.0

    async def add() -> None:
        nonlocal middle
        number = next(numbers)
        if number == count // 2:
            middle = time.time()
        job = _numbered if number % 1000 else _failing
        await contender.add(job, number, metadata={"number": number, "tenant": "acme"})

    await crowd(min(CALLERS, count), count // min(CALLERS, count), add)
    await contender.finished()
    await contender.close()
    return {"middle": middle}


async def _claimed(contender: Persists, folder: Path, count: int) -> float:
    """Return the CPU seconds of running *count* tasks and of writing their ends."""
    left, all_ran = count, asyncio.Event()

    async def numbered(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            all_ran.set()
        elif left < 0:
            await asyncio.Event().wait()

    contender.register("numbered", numbered)
    contender.register("held", _done)
    await contender.open(folder)
    watch = Stopwatch()
    await all_ran.wait()
    await contender.written()
    cost = watch.cost().cpu
    await contender.close()
    return cost


async def _time(contender: Persists, query: dict[str, Any], questions: int) -> list[float]:
    times: list[float] = []
    deadline = time.perf_counter() + PATIENCE
    while len(times) < questions and (time.perf_counter() < deadline or len(times) < 3):
        began = time.perf_counter()
        await contender.page(limit=LIMIT, **query)
        times.append(time.perf_counter() - began)
    return times


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


async def _apart(contender: Persists, step: str, **sizes: object) -> Figures:
    """Take one step in a process of its own, which ends as children do: at once."""
    adapter = type(contender).__module__.removeprefix("benchmarks.")
    order = {"adapter": adapter, "scenario": f"million:{step}", "sizes": sizes}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.child", json.dumps(order)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the step {step!r} failed")
    return dict(json.loads(output.decode().partition(MARK)[2].splitlines()[0]))


def _copy(folder: Path) -> str:
    return str(shutil.copytree(folder, new_folder(), dirs_exist_ok=True))


def _most_memory() -> float:
    """Return the MiB of the most memory that was ever resident, where the system tells; else of what is."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return psutil.Process().memory_info().rss / 2**20


async def _numbered(_: int) -> None:
    """Do nothing."""


async def _done() -> None:
    """Take the place of what held the slots."""


async def _failing(_: int) -> None:
    raise ValueError("no luck")
