"""A disk that is really full: callers get errors, nothing acknowledged is lost, and work continues once there is room.

The small file system is a tmpfs in a mount namespace of the program: no other process sees it, and it
disappears with the program. No privileges are needed where user namespaces are enabled.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.run_length import report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no limits on the size of files"),
]

ROOT = Path(__file__).parents[2]
SMALL = "size=1m"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNTED = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'


def on_a_small_disk(folder: Path) -> list[str | Path]:
    """Return a command prefix that mounts a small file system on the folder; skip where that is impossible."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to give a program file systems of its own")
    mounted: list[str | Path] = [*NAMESPACE, "sh", "-c", MOUNTED, SMALL, folder]
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {tried.stderr.strip()}")
    return mounted


def counts(command: Sequence[str | Path]) -> dict[str, Any]:
    """Run the program and return what it counted."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert run.returncode == 0, run.stderr
    counted: dict[str, Any] = json.loads(run.stdout)
    return counted


@pytest.fixture(params=["small file system", "limit on files"])
def short_of_room(request: pytest.FixtureRequest, folder: Path) -> Callable[[str], dict[str, Any]]:
    """Runs the program in the given mode where there is half a megabyte of room, and returns what it counted."""
    small = request.param == "small file system"
    within: list[str | Path] = on_a_small_disk(folder) if small else []
    size = [] if small else ["500000"]

    def run(mode: str) -> dict[str, Any]:
        counted = counts([*within, sys.executable, "-m", "tests.chaos.disk_filler", mode, folder, *size])
        (message,) = counted.pop("errors")
        report(request.param, **counted)
        assert ("database or disk is full" if small else "disk I/O error") in message
        return counted

    return run


def assert_nothing_was_lost(counted: dict[str, Any]) -> None:
    assert counted["acknowledged"] > 10
    assert counted["refused"] >= 15
    assert (counted["lost"], counted["never_acknowledged"], counted["unfinished"]) == (0, 0, 0)
    assert counted["found_again"] == counted["acknowledged"]


def test_a_full_disk_refuses_new_tasks_until_there_is_room_and_loses_none(
    short_of_room: Callable[[str], dict[str, Any]],
) -> None:
    assert_nothing_was_lost(short_of_room("stay"))


def test_a_worker_that_stopped_on_a_full_disk_restores_everything_once_there_is_room(
    short_of_room: Callable[[str], dict[str, Any]],
) -> None:
    assert_nothing_was_lost(short_of_room("leave"))
