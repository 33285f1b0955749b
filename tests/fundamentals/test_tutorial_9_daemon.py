"""Lesson 9: a worker of its own accord: a process that works until it is told to end.

The programs below are run as they stand, each in a process of its own, and sent the signals
an operating system or a terminal sends. A call to print is how they show what they do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="signals reach an event loop on Unix only"),
]

DAEMON = """
import asyncio
import signal

from async_task_worker import AsyncTaskWorker


async def work(seconds):
    try:
        await asyncio.sleep(seconds)
        print("Work finished")
    except asyncio.CancelledError:
        print("Work cut off")
        raise


async def main():
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    worker = AsyncTaskWorker(max_workers=5)
    async with worker:
        await worker.add_task(work, SECONDS)
        await asyncio.sleep(0.05)
        print("Worker started")
        await ended.wait()
        await worker.stop(timeout=TIMEOUT)
    print("Worker stopped")


asyncio.run(main())
"""

INTERRUPTED = """
import asyncio

from async_task_worker import AsyncTaskWorker


async def main():
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(asyncio.sleep, 3600)
        print("Worker started")
        try:
            await worker.wait_for_tasks([task_id])
        finally:
            await worker.stop(timeout=0)
            print("Worker stopped with its task", worker.get_task_info(task_id).status)


asyncio.run(main())
"""


def run_until(source: str, number: signal.Signals) -> tuple[list[str], int]:
    """Run a program, send it a signal once it has started; return its lines and its exit status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", source],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        try:
            rest, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    lines = (first + rest).splitlines()
    assert lines[:1] == ["Worker started"], errors
    return lines, process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_finishes_its_work_and_exits(number: signal.Signals) -> None:
    source = DAEMON.replace("SECONDS", "0.4").replace("TIMEOUT", "10")
    lines, status = run_until(source, number)
    assert lines == ["Worker started", "Work finished", "Worker stopped"]
    assert status == 0


def test_a_daemon_cuts_off_what_takes_too_long_and_exits() -> None:
    """A deployment that sends SIGTERM is never kept waiting."""
    source = DAEMON.replace("SECONDS", "3600").replace("TIMEOUT", "0.2")
    lines, status = run_until(source, signal.SIGTERM)
    assert lines == ["Worker started", "Work cut off", "Worker stopped"]
    assert status == 0


def test_ctrl_c_ends_a_program_that_knows_of_no_signals() -> None:
    """asyncio cancels the main coroutine, and the context manager stops the worker on its way out."""
    lines, status = run_until(INTERRUPTED, signal.SIGINT)
    assert lines == ["Worker started", "Worker stopped with its task cancelled"]
    assert status != 0
