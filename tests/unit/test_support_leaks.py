"""The leak check finds each kind of thing a test can leave behind, and nothing where there is nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from pathlib import Path
from typing import NoReturn

import pytest

import async_task_worker
from tests.support.leaks import LeakCheck, tasks_left
from tests.support.virtual_time import run_virtual

pytest_plugins = ["pytester"]


async def fail() -> NoReturn:
    raise ValueError("nobody looked")


def test_nothing_is_found_where_nothing_was_left() -> None:
    check = LeakCheck()

    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        server.close()
        await server.wait_closed()
        await asyncio.to_thread(int)

    run_virtual(main)
    assert check.finish() == []


def test_a_task_left_pending_is_found() -> None:
    check = LeakCheck()

    async def main() -> None:
        forgotten = asyncio.create_task(asyncio.sleep(3600), name="forgotten")
        await check.look_at_tasks()
        forgotten.cancel()

    run_virtual(main)
    (found,) = check.finish()
    assert "forgotten" in found


async def test_a_task_about_to_end_is_no_leak() -> None:
    ending = asyncio.create_task(asyncio.sleep(3600))
    ending.cancel()
    assert await tasks_left() == []


def test_a_thread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.leaks.LAST_SECONDS", 0.01)
    check, release = LeakCheck(), threading.Event()
    thread = threading.Thread(target=release.wait, name="lost thread")
    thread.start()
    (found,) = check.finish()
    release.set()
    thread.join()
    assert "lost thread" in found


def test_a_thread_about_to_end_is_no_leak() -> None:
    check = LeakCheck()
    thread = threading.Timer(0.05, int)
    thread.start()
    assert check.finish() == []


def test_a_descriptor_is_found() -> None:
    check = LeakCheck()
    with socket.socket() as open_socket:
        (found,) = check.finish()
        assert found.startswith(f"file descriptor {open_socket.fileno()}: socket:")


def test_a_descriptor_behind_a_number_used_before_is_found() -> None:
    first = os.open(os.devnull, os.O_RDONLY)
    check = LeakCheck()
    os.close(first)
    left, right = socket.socketpair()
    with left, right:
        assert len(check.finish()) == 2


def test_a_loop_left_open_is_found() -> None:
    check = LeakCheck()
    loop = asyncio.new_event_loop()
    found = check.finish()
    loop.close()
    assert any(line.startswith("event loop not closed") for line in found)


def test_an_exception_that_is_not_retrieved_is_found(loop_errors: list[str]) -> None:
    check = LeakCheck()

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])

    run_virtual(main)
    (found,) = check.finish()
    loop_errors.clear()
    assert "Task exception was never retrieved" in found
    assert "nobody looked" in found


def test_a_pending_task_that_was_destroyed_is_found(loop_errors: list[str]) -> None:
    check = LeakCheck()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def hold_itself() -> None:
            await future_of_its_own()

        async def future_of_its_own() -> None:
            await loop.create_future()

        _ = loop.create_task(hold_itself())
        del _
        await asyncio.sleep(0)
        gc.collect()

    run_virtual(main)
    (found,) = check.finish()
    loop_errors.clear()
    assert "Task was destroyed but it is pending" in found


def test_a_callback_that_raises_is_found(loop_errors: list[str]) -> None:
    check = LeakCheck()

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    run_virtual(main)
    (found,) = check.finish()
    loop_errors.clear()
    assert "ZeroDivisionError" in found


async def test_a_report_provoked_on_purpose_can_be_taken_away(loop_errors: list[str]) -> None:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    assert "ZeroDivisionError" in loop_errors.pop()


INNER = """
import asyncio
import pytest

@pytest.fixture
async def tidy():
    task = asyncio.create_task(asyncio.sleep(3600))
    yield
    task.cancel()

async def test_tidy(tidy):
    await asyncio.sleep(7200)

async def test_untidy():
    asyncio.create_task(asyncio.sleep(3600), name="stray")

def test_plain():
    pass

@pytest.mark.schedules(3)
async def test_shuffled():
    assert asyncio.get_running_loop().seed != 1
"""


@pytest.fixture
def inner_suite(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> pytest.Pytester:
    """A suite of its own that uses this one's conftest."""
    sources = f"{pytestconfig.rootpath} {Path(async_task_worker.__file__).parents[1]}"
    pytester.makeconftest("from tests.conftest import *\nfrom tests.conftest import _loop_leaks, _no_leaks")
    pytester.makeini(
        f"[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\npythonpath = {sources}\n"
        "filterwarnings = error\n"
    )
    pytester.makepyfile(test_inner=INNER)
    return pytester


def test_a_leak_fails_the_test_that_made_it_and_no_other(inner_suite: pytest.Pytester) -> None:
    result = inner_suite.runpytest_subprocess("-k", "tidy or plain", "-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_untidy*", "left behind:", "*stray*"])


def test_a_failing_schedule_is_named_and_replayed_alone(inner_suite: pytest.Pytester) -> None:
    result = inner_suite.runpytest_subprocess("-k", "shuffled", "-p", "no:randomly")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_shuffled*seed-1*"])
    inner_suite.runpytest_subprocess("-k", "shuffled", "--schedule-seed=1").assert_outcomes(failed=1)
    inner_suite.runpytest_subprocess("-k", "shuffled", "--schedules=1").assert_outcomes(passed=1)
