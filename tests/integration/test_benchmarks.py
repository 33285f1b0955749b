"""The benchmarks run: what is measured is not tested, that it can be measured is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("contender", ["bare", "ours", "semaphore", "taskgroup"])
def test_a_contender_that_needs_nothing_installed_can_be_measured(contender: str) -> None:
    figures = measured(f"contenders.{contender}", "throughput:noop_tasks", burst=100, bursts=1)

    assert figures["cpu"] > 0


@pytest.mark.parametrize("cache", ["ours", "lru_cache"])
@pytest.mark.parametrize(
    ("scenario", "sizes"),
    [
        ("hits", {"entries": 20, "repeats": 1}),
        ("evicting_sets", {"entries": 20, "count": 30, "repeats": 1}),
        ("calls", {"entries": 20, "repeats": 1}),
        ("calls_when_full", {"entries": 20, "count": 30, "repeats": 1}),
    ],
)
def test_a_cache_that_needs_nothing_installed_can_be_measured(cache: str, scenario: str, sizes: dict[str, int]) -> None:
    assert measured(f"caches.{cache}", f"caching:{scenario}", **sizes)


@pytest.mark.parametrize("way", ["ours", "deepcopy"])
def test_what_a_copy_costs_can_be_measured(way: str) -> None:
    assert set(measured(f"caches.{way}", "caching:copies", count=100, repeats=1)) == {"record", "rows", "typed"}


def test_a_cached_task_can_be_measured() -> None:
    """The scenario fails if the function runs for what should be hits."""
    figures = measured("contenders.ours", "caching:tasks", known=5, count=20, repeats=1)

    assert figures["cpu"] > 0


@pytest.mark.parametrize(
    ("scenario", "sizes"),
    [
        ("durability:noops", {"callers": 20, "each": 2, "repeats": 1}),
        ("durability:enqueues", {"callers": 20, "each": 2, "repeats": 1, "durability": "process", "patience": 20}),
        ("durability:lone", {"count": 10, "patience": 1}),
        ("durability:lag", {"callers": 5, "seconds": 0.2}),
    ],
)
def test_what_it_costs_to_write_tasks_down_can_be_measured(
    scenario: str, sizes: dict[str, Any], tmp_path: Path
) -> None:
    assert measured("durable.ours", scenario, tmp_path, **sizes)


def test_the_same_worker_in_memory_can_be_measured_beside_it(tmp_path: Path) -> None:
    assert measured("durable.memory", "durability:noops", tmp_path, callers=20, each=2, repeats=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "sizes"),
    [
        ("started_again", {"count": 100}),
        ("claim_cost", {"few": 50, "many": 200, "repeats": 1}),
        ("pages", {"count": 200, "questions": 3}),
    ],
)
def test_a_file_that_is_opened_again_can_be_measured(scenario: str, sizes: dict[str, int], tmp_path: Path) -> None:
    assert all(figure > 0 for figure in measured("durable.ours", f"million:{scenario}", tmp_path, **sizes).values())


def measured(adapter: str, scenario: str, folder: Path | None = None, **sizes: Any) -> dict[str, float]:
    order = {"adapter": adapter, "scenario": scenario, "sizes": sizes}
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", json.dumps(order)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **({} if folder is None else {"TMPDIR": str(folder)})},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert child.returncode == 0, child.stderr
    figures: dict[str, float] = json.loads(child.stdout.partition("benchmark-figures: ")[2])
    return figures


@pytest.mark.slow
def test_the_http_api_can_be_measured() -> None:
    pytest.importorskip("fastapi")
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.web", "--quick"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert run.returncode == 0, run.stderr
    assert "× the bare route" in run.stdout
