"""While a thread works on a file, threads take short turns; then as long ones as before."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.journal import switch_interval
from async_task_worker.journal.switch_interval import SHORT, ShortSwitchInterval

USUAL = 0.005


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch_interval, "PROCESSORS", 2)
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def interval() -> float:
    return round(sys.getswitchinterval(), 6)


def test_turns_are_short_until_the_last_work_has_ended() -> None:
    first, second = ShortSwitchInterval(), ShortSwitchInterval()
    first.end()
    assert interval() == SHORT
    second.end()
    assert interval() == USUAL


def test_an_end_said_twice_ends_nobody_elses_work() -> None:
    first, second = ShortSwitchInterval(), ShortSwitchInterval()
    first.end()
    first.end()
    assert interval() == SHORT
    second.end()


def test_on_one_processor_turns_stay_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch_interval, "PROCESSORS", 1)
    work = ShortSwitchInterval()
    assert interval() == USUAL
    work.end()
    assert interval() == USUAL


def test_a_length_that_somebody_sets_meanwhile_stays() -> None:
    work = ShortSwitchInterval()
    sys.setswitchinterval(0.001)
    work.end()
    assert interval() == 0.001


def test_turns_that_are_short_anyhow_get_no_longer() -> None:
    sys.setswitchinterval(SHORT / 2)
    work = ShortSwitchInterval()
    assert interval() == SHORT / 2
    work.end()
    assert interval() == SHORT / 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_long_turns_since_the_work_is_not_in_it() -> None:
    work = ShortSwitchInterval()
    child = os.fork()
    if child == 0:
        os._exit(interval() != USUAL)
    assert os.waitpid(child, 0)[1] == 0
    assert interval() == SHORT
    work.end()


@pytest.mark.real_time
async def test_a_question_called_off_before_its_turn_leaves_the_turns_long(tmp_path: Path) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path / 'tasks.db'}") as worker:
        journal = worker._backend._journal  # type: ignore[attr-defined]
        begun, go_on = threading.Event(), threading.Event()
        held = asyncio.create_task(journal.read(lambda _: (begun.set(), go_on.wait())))
        await asyncio.to_thread(begun.wait)
        asked = asyncio.create_task(worker.fetch_task_info("nobody"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert interval() == SHORT  # of the first, which goes on
        go_on.set()
        await held
    assert interval() == USUAL
