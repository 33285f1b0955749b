"""Cached results in the tasks' file survive a kill of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from async_task_worker import AsyncTaskWorker
from tests.support.tasks import collect

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, sys
from async_task_worker import AsyncTaskWorker
from tests.support.tasks import collect

async def main():
    async with AsyncTaskWorker(backend=sys.argv[1], cache_enabled=True, cache_adapter="sqlite") as worker:
        for number in range(20):
            await worker.get_task_future(await worker.add_task(collect, number, kept={number}))
        assert await worker.invalidate_cache(collect, 0, kept={0})
        print("kept", flush=True)
        for number in range(20, 10_000):
            await worker.get_task_future(await worker.add_task(collect, number, kept={number}))

asyncio.run(main())
"""


def run_and_kill(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, url], cwd=ROOT, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"kept\n"
        program.kill()


@pytest.mark.real_time
async def test_entries_survive_a_kill_and_invalidated_ones_do_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tasks.db'}"
    await asyncio.to_thread(run_and_kill, url)
    async with AsyncTaskWorker(backend=url, cache_enabled=True, cache_adapter="sqlite") as worker:
        await worker.drain()
        ids = [await worker.add_task(collect, number, kept={number}) for number in range(20)]
        results = await worker.wait_for_tasks(ids)
        assert results == [[[number], {"kept": {number}}] for number in range(20)]
        infos = [worker.get_task_info(task_id) for task_id in ids]
        assert [info is not None and info.from_cache for info in infos] == [False, *[True] * 19]
        assert worker.cache.statistics().errors == 0
