"""A worker killed at random moments under load loses nothing it acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from async_task_worker.journal.location import MAX_RECOVERIES
from tests.chaos import crash_report
from tests.chaos.crash_report import FINAL
from tests.chaos.run_length import KILLS, report

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def start_worker(path: Path, log: Path, mode: str) -> subprocess.Popen[bytes]:
    """Start the program and return when its worker runs."""
    command = [sys.executable, "-m", "tests.chaos.crash_worker", str(path), str(log), mode]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> None:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    with process:
        process.wait()
    timer.join()


def test_kills_under_load_lose_nothing_acknowledged_and_change_no_ending(folder: Path) -> None:
    path, log = folder / "tasks.db", folder / "log"
    chance = random.Random(KILLS)
    ended: dict[str, crash_report.Row] = {}
    changed = 0
    for _ in range(KILLS):
        kill_after(start_worker(path, log, "load"), chance.uniform(0.01, 0.4))
        left = crash_report.read_tasks(path)
        changed += sum(left.get(task_id) != row for task_id, row in ended.items())
        ended = {task_id: row for task_id, row in left.items() if row.status >= FINAL}
    with start_worker(path, log, "drain") as process:
        assert process.wait() == 0
    left, logged = crash_report.read_tasks(path), crash_report.read_log(log)
    changed += sum(left.get(task_id) != row for task_id, row in ended.items())
    lost = [task_id for task_id in logged["add"] if task_id not in left]
    uncancelled = [task_id for task_id in logged["cancel"] if left[task_id].status != FINAL + 2]
    too_often = [task_id for task_id, runs in logged["run"].items() if runs > 1 + MAX_RECOVERIES]
    report(
        f"{KILLS} kills",
        acknowledged=len(logged["add"]),
        lost=len(lost),
        cancelled=len(logged["cancel"]),
        uncancelled=len(uncancelled),
        final_states_changed=changed,
        rerun=sum(runs > 1 for runs in logged["run"].values()),
        integrity="ok",
    )
    assert (lost, uncancelled, changed, too_often) == ([], [], 0, [])
    assert all(row.status >= FINAL for row in left.values())
    assert len(logged["add"]) > KILLS
