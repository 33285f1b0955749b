"""The end of the demonstration: a census that is killed, for real, and started again on the same file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.support.source_files import copy_two_packages

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
KILLED = "was killed with SIGKILL" if sys.platform != "win32" else "was terminated"
SABOTAGE = """
import sqlite3, sys
sys.path.insert(0, sys.argv.pop(1))
import census, census_crash

def change(file, statement):
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(statement)
    connection.close()

def kill_and_lose(process, files, view):
    kill_midway(process, files, view)
    change(process.file, "DELETE FROM task WHERE seq = (SELECT max(seq) FROM task WHERE status = 0)")

def change_and_read(file):
    change(file, "UPDATE task SET status = 4 WHERE seq = (SELECT min(seq) FROM task WHERE status = 2)")
    return read(file)

kill_midway, census_crash.kill_midway = census_crash.kill_midway, kill_and_lose
read, census_crash.read = census_crash.read, change_and_read
sys.exit(census.main())
"""
"""A demonstration whose file of tasks is tampered with."""

ROWS = {
    "acknowledged": r"acknowledged",
    "ended": r"ended before the kill, .*",
    "waiting": r"found waiting at the restart",
    "recovered": r"  recovered: .*",
    "again": r"run a second time",
    "second": r"  with attempt 2, .*",
    "lost": r"lost",
    "changed": r"final states changed",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two packages of the standard library."""
    return copy_two_packages(tmp_path_factory.mktemp("sources"))


def census(
    scratch: Path, *arguments: str | Path, program: Sequence[str | Path] = (EXAMPLES / "census.py",)
) -> subprocess.Popen[str]:
    """Start the demonstration, whose temporary folder will be in *scratch*."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"COLUMNS": "100", "TMPDIR": str(scratch), "TEMP": str(scratch)},
    )


def finished(run: subprocess.Popen[str]) -> str:
    """Return what the demonstration printed from the crash on, once it has ended well."""
    with run:
        output, errors = run.communicate(timeout=50)
    assert errors == ""
    assert run.returncode == 0
    return output.partition("\nKilled and started again\n")[2]


def counts(output: str) -> dict[str, int]:
    """Return the numbers of the table, by our names for its rows."""
    found = {}
    for name, label in ROWS.items():
        row = re.search(rf"^  {label} +([\d,]+)$", output, re.MULTILINE)
        assert row is not None, f"no {label!r} in:\n{output}"
        found[name] = int(row[1].replace(",", ""))
    return found


def processes(output: str) -> list[int]:
    """Return the numbers of the processes that the demonstration says it started."""
    return [int(pid) for pid in re.findall(r"^  Process (\d+) ", output, re.MULTILINE)]


def test_the_killed_census_loses_nothing_and_counts_what_the_first_one_did(folder: Path, tmp_path: Path) -> None:
    files = sum(1 for _ in folder.rglob("*.py"))

    output = finished(census(tmp_path, folder))

    assert re.search(rf"^  Process \d+ {KILLED}: \d+ of {files + 1} files counted$", output, re.MULTILINE)
    found = counts(output)
    assert found["acknowledged"] == files + 1
    assert found["ended"] + found["waiting"] == files + 1
    assert found["waiting"] > 0
    assert found["second"] == found["recovered"] <= found["again"]
    assert (found["lost"], found["changed"]) == (0, 0)
    for thing, first, again in re.findall(r"^  (files|bytes|lines|tokens) +([\d,]+) +([\d,]+)$", output, re.MULTILINE):
        assert first == again, thing
    assert re.search(rf"^  files +{files} +{files}$", output, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []
    assert not any(psutil.pid_exists(pid) for pid in processes(output))


def test_the_smallest_census_comes_through_too(folder: Path, tmp_path: Path) -> None:
    """There is next to no time in which it could be killed."""
    found = counts(finished(census(tmp_path, folder, "--limit", "1", "--workers", "1", "--plain")))

    assert found["acknowledged"] == found["ended"] + found["waiting"] == 2
    assert (found["lost"], found["changed"]) == (0, 0)


def test_what_is_lost_is_noticed(folder: Path, tmp_path: Path) -> None:
    """A task that waits is deleted after the kill, and in the end one that had completed is made a cancelled one."""
    with census(tmp_path, folder, program=("-c", SABOTAGE, EXAMPLES)) as run:
        output, errors = run.communicate(timeout=50)

    assert run.returncode == 1, errors
    found = counts(output.partition("\nKilled and started again\n")[2])
    assert (found["lost"], found["changed"]) == (1, 1)
    assert re.fullmatch(r"census: 1 of \d+ acknowledged tasks lost\ncensus: 1 of \d+ final states changed\n", errors), (
        errors
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a child process cannot be sent SIGINT")
def test_ctrl_c_takes_the_process_along(folder: Path, tmp_path: Path) -> None:
    with census(tmp_path, folder) as run:
        assert run.stdout is not None
        next(line for line in run.stdout if "goes on with the same file" in line)
        children = psutil.Process(run.pid).children()
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=30)

    assert errors == ""
    assert run.returncode == 130
    assert re.search(r"^Interrupted with \d+ of \d+ files counted$", output, re.MULTILINE), output
    assert [child.is_running() for child in children] == [False]
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_itself_after_its_parent_has_ended(tmp_path: Path) -> None:
    """Counting this file would take it seconds, and end with status 0."""
    large, listed = tmp_path / "large.py", tmp_path / "sources.json"
    large.write_text("rows.append(('one', 'of', 'many'))\n" * 200_000)
    listed.write_text(json.dumps([[str(large), "large.py", large.stat().st_size]]))
    command = [sys.executable, EXAMPLES / "census_durable.py", tmp_path / "census.db", "1", listed]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        next(line for line in process.stdout if '"running"' in line)
        process.stdin.close()
        assert process.wait(timeout=30) == 1
