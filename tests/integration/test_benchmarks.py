"""The benchmarks run: what is measured is not tested, that it can be measured is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("subject", ["bare", "ours", "semaphore", "taskgroup"])
def test_a_subject_that_needs_nothing_installed_can_be_measured(subject: str) -> None:
    order = {"subject": subject, "scenario": "throughput:noop_tasks", "sizes": {"burst": 100, "bursts": 1}}
    measured = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", json.dumps(order)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout.partition(": ")[2])["cpu"] > 0
