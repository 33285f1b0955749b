"""The switch interval is short while a thread works on a database, and restored afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.journal import gil_switch_interval as switch_interval
from async_task_worker.journal.gil_switch_interval import SHORT, ShortSwitchInterval

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


def test_the_interval_is_short_until_the_last_object_has_ended() -> None:
    first, second = ShortSwitchInterval(), ShortSwitchInterval()
    first.end()
    assert interval() == SHORT
    second.end()
    assert interval() == USUAL


def test_ending_twice_does_not_end_another_object() -> None:
    first, second = ShortSwitchInterval(), ShortSwitchInterval()
    first.end()
    first.end()
    assert interval() == SHORT
    second.end()


def test_on_one_processor_the_interval_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch_interval, "PROCESSORS", 1)
    work = ShortSwitchInterval()
    assert interval() == USUAL
    work.end()
    assert interval() == USUAL


def test_an_interval_that_was_set_in_between_is_kept() -> None:
    work = ShortSwitchInterval()
    sys.setswitchinterval(0.001)
    work.end()
    assert interval() == 0.001


def test_an_interval_that_is_already_shorter_is_kept() -> None:
    sys.setswitchinterval(SHORT / 2)
    work = ShortSwitchInterval()
    assert interval() == SHORT / 2
    work.end()
    assert interval() == SHORT / 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_the_usual_interval() -> None:
    work = ShortSwitchInterval()
    child = os.fork()
    if child == 0:
        os._exit(interval() != USUAL)
    assert os.waitpid(child, 0)[1] == 0
    assert interval() == SHORT
    work.end()


@pytest.mark.real_time
async def test_a_call_that_is_cancelled_before_it_runs_restores_the_interval(tmp_path: Path) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path / 'tasks.db'}") as worker:
        journal = worker._backend._journal  # type: ignore[attr-defined]
        begun, may_end = threading.Event(), threading.Event()
        held = asyncio.create_task(journal.read(lambda _: (begun.set(), may_end.wait())))
        await asyncio.to_thread(begun.wait)
        asked = asyncio.create_task(worker.fetch_task_info("nobody"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert interval() == SHORT  # because of the first call, which still runs
        may_end.set()
        await held
    assert interval() == USUAL
