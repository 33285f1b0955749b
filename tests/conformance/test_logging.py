"""What a program sees that has set up no logging, and what it sees once it has."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker
from tests.conformance.event_helpers import ended, status_of
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, fail_with, sleep_for, stubborn, wait_at
from tests.support.waiting import running

WARNED_ABOUT_PENDING = "before 2 of its tasks had started"


def records_of(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [
        record for record in caplog.records if record.levelno == level and record.name.startswith("async_task_worker")
    ]


def extra_of(record: logging.LogRecord) -> dict[str, object]:
    return {name: getattr(record, name, None) for name in ("task_id", "task_type", "attempt")}


async def test_the_record_of_a_failure_carries_the_task(
    worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await worker.add_task(fail_with, "bad input")
    await ended(worker, task_id)
    [record] = records_of(caplog, logging.ERROR)
    assert extra_of(record) == {"task_id": task_id, "task_type": "fail_with", "attempt": 1}
    assert record.exc_info is not None


async def test_the_record_of_an_abandoned_task_carries_the_task(
    worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await worker.add_task(stubborn, "gate")
    await running(worker, task_id)
    await worker.cancel_task(task_id)
    [record] = records_of(caplog, logging.WARNING)
    assert extra_of(record) == {"task_id": task_id, "task_type": "stubborn", "attempt": 1}


async def test_the_record_of_a_failing_listener_carries_the_task(
    worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture
) -> None:
    stop = worker.events.listen(lambda _event: 1 / 0)
    task_id = await worker.add_task(echo, "x")
    stop()
    record = records_of(caplog, logging.ERROR)[0]
    assert extra_of(record) == {"task_id": task_id, "task_type": "echo", "attempt": 0}


async def test_a_start_and_a_stop_are_a_line_each(
    make_worker: MakeWorker, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "async_task_worker")
    worker = await make_worker(max_workers=3)
    await worker.stop()
    started, stopped = [record.getMessage() for record in records_of(caplog, logging.INFO)]
    assert started.startswith(f"Worker started: {backend.name}:")
    assert started.endswith(", 3 slots")
    assert stopped.startswith("Worker stopped: <AsyncTaskWorker")


async def test_a_stop_warns_of_tasks_it_cancels_before_they_started(
    worker: AsyncTaskWorker, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    busy = [await worker.add_task(wait_at, f"gate {number}") for number in range(2)]
    await running(worker, *busy)
    waiting = [await worker.add_task(echo, number) for number in range(2)]
    await worker.stop(timeout=0)
    warnings = [record.getMessage() for record in records_of(caplog, logging.WARNING)]
    if backend.durable:  # they stay for the next start
        assert warnings == []
    else:
        [warning] = warnings
        assert WARNED_ABOUT_PENDING in warning
        assert "drain()" in warning
    assert [status_of(worker, task_id) for task_id in waiting] == [backend.status_after_stop] * 2


async def test_a_stop_after_a_drain_warns_of_nothing(worker: AsyncTaskWorker, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        await worker.add_task(echo, number)
    await worker.drain()
    await worker.stop()
    assert records_of(caplog, logging.WARNING) == []


async def test_followers_of_a_cached_task_are_counted_too(
    make_worker: MakeWorker, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await make_worker(max_workers=1, cache_enabled=True)
    busy = await worker.add_task(wait_at, "gate")
    await running(worker, busy)
    for _ in range(2):
        await worker.add_task(sleep_for, 1)
    await worker.stop(timeout=0)
    warned = any(WARNED_ABOUT_PENDING in record.getMessage() for record in caplog.records)
    assert warned is not backend.durable


PROGRAM = """
import asyncio
from async_task_worker import AsyncTaskWorker

async def divide(a, b):
    return a / b

async def main():
    async with AsyncTaskWorker(max_workers=1) as worker:
        await worker.add_task(divide, 1, 0)
        await worker.drain()
        for seconds in (3600, 3601):
            await worker.add_task(asyncio.sleep, seconds)
        await asyncio.sleep(0)
        await worker.stop(timeout=0)

asyncio.run(main())
"""


def test_without_any_set_up_failures_and_lost_tasks_are_seen_on_stderr() -> None:
    """As asyncio's own would be. The lines of INFO level are for those who ask for them."""
    child = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert "(divide) failed" in child.stderr
    assert "ZeroDivisionError: division by zero" in child.stderr
    assert "before 1 of its tasks had started" in child.stderr
    assert "Worker started" not in child.stderr
    assert child.stdout == ""


class LogDownError(Exception):
    pass


class RaisingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise LogDownError(record.msg)


@pytest.fixture
def raising_handler() -> Iterator[None]:
    """A handler of the program that raises for every record."""
    handler, package = RaisingHandler(), logging.getLogger("async_task_worker")
    package.addHandler(handler)
    yield
    package.removeHandler(handler)


@pytest.mark.usefixtures("raising_handler")
async def test_a_log_handler_that_raises_costs_no_slot(
    make_worker: MakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = await make_worker(max_workers=1)
    for call in ((fail_with, "wrong"), (stubborn, "gate")):
        task_id = await worker.add_task(*call)
        if call[0] is stubborn:
            await running(worker, task_id)
            await worker.cancel_task(task_id)
        await ended(worker, task_id)
    assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"
    await worker.stop()
    assert "LogDownError" in capsys.readouterr().err


async def test_a_record_factory_that_sets_our_fields_only_loses_the_extra(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.task_id = "of the program"
        return record

    logging.setLogRecordFactory(factory)
    try:
        worker = await make_worker(max_workers=1)
        await ended(worker, await worker.add_task(fail_with, "wrong"))
        assert (await ended(worker, await worker.add_task(echo, "next"))).result == "next"
    finally:
        logging.setLogRecordFactory(before)
    [record] = records_of(caplog, logging.ERROR)
    assert extra_of(record) == {"task_id": "of the program", "task_type": None, "attempt": None}
    assert record.funcName == "log_error"
