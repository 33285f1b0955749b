"""The example service, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.http.requests import events_in, problem_code

SCRIPT = Path(__file__).parents[2] / "examples" / "api.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few source files, and a secret file next to it."""
    outside = tmp_path_factory.mktemp("sources")
    folder = outside / "root"
    (folder / "json").mkdir(parents=True)
    (folder / "json" / "one.py").write_text("# one\n\ndef first(): ...\n")
    (folder / "json" / "two.py").write_text("class Two: ...\n")
    (outside / "secret.py").write_text("secret = 1\n")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """A client of the service, which must exit cleanly."""
    with subprocess.Popen(
        [sys.executable, SCRIPT, "--port", "0", "--folder", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        with httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert "Application shutdown complete" in errors


def test_a_file_is_counted(client: httpx.Client) -> None:
    body = {"task_type": "count_file", "params": {"file": "json/one.py"}}
    task = client.post("/tasks", json=body, headers={"Prefer": "wait=10"}).json()
    assert task["status"] == "completed"
    assert (task["result"]["lines"], task["result"]["functions"], task["result"]["comments"]) == (3, 1, 1)


def test_a_folder_is_counted_with_progress(client: httpx.Client) -> None:
    task = client.post("/tasks", json={"task_type": "count_folder", "params": {"folder": "json"}}).json()
    stream = client.get(f"/tasks/{task['id']}/events")
    last = events_in(stream.text)[-2]
    assert last[0] == "task.completed"
    assert last[1]["task"]["result"]["files"] == 2


def test_files_outside_of_the_folder_are_refused(client: httpx.Client) -> None:
    body = {"task_type": "count_file", "params": {"file": "../secret.py"}}
    task = client.post("/tasks", json=body, headers={"Prefer": "wait=10"}).json()
    assert (task["status"], "not below the folder" in task["error"]) == ("failed", True)
    assert problem_code(client.post("/tasks", json={"task_type": "census.file"})) == "unknown_task_type"


def test_the_page_and_the_documentation_are_served(client: httpx.Client) -> None:
    assert "EventSource" in client.get("/").text
    assert client.get("/docs").status_code == 200
    assert client.get("/tasks/types").json()["task_types"] == ["count_file", "count_folder"]
