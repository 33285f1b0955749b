"""The demonstration, as a user runs it: a process of its own on real source files."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_files import copy_two_packages

SCRIPT = Path(__file__).parents[2] / "examples" / "census.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two packages of the standard library, and one package that is installed."""
    folder = copy_two_packages(tmp_path_factory.mktemp("sources"))
    installed = folder / "site-packages" / "installed.py"
    installed.parent.mkdir()
    installed.write_text("left = 'out'\n")
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path) -> subprocess.CompletedProcess[str]:
    """A census of the folder, with its output."""
    return census(folder)


def census(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"COLUMNS": "100"},
        timeout=50,
        check=False,
    )


def sources_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if "site-packages" not in path.parts]


def found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, f"no {pattern!r} in:\n{text}"
    return match


def test_every_file_is_counted_and_the_two_made_files_end_differently(
    folder: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    files = len(sources_in(folder))

    assert finished.stderr == ""
    assert finished.returncode == 0
    found(rf"^{files + 2} tasks in .* s: {files} completed, 1 failed, 1 cancelled$", finished.stdout)


def test_the_summary_adds_up_what_the_files_contain(folder: Path, finished: subprocess.CompletedProcess[str]) -> None:
    sources = [path.read_bytes() for path in sources_in(folder)]
    lines = sum(len(source.splitlines()) for source in sources)

    found(rf"^  files +{len(sources)}$", finished.stdout)
    found(rf"^  bytes +{sum(map(len, sources)):,} ", finished.stdout)
    found(rf"^  lines +{lines:,} ", finished.stdout)


def test_the_file_that_is_not_utf8_fails_and_says_why(finished: subprocess.CompletedProcess[str]) -> None:
    found(r"^  failed     not_utf8\.py .*\n +UnicodeDecodeError: 'utf-8' codec can't decode", finished.stdout)


def test_the_oversized_file_is_cancelled_midway(finished: subprocess.CompletedProcess[str]) -> None:
    done = found(r"^  cancelled  oversized\.py .*\n +(\d+)% done after", finished.stdout)

    assert 10 <= int(done[1]) < 100


def test_the_second_time_everything_that_was_counted_is_known(
    folder: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    files = len(sources_in(folder))

    found(rf"^  {files} of {files + 1} results were in the cache$", finished.stdout)
    second, first, saved = map(
        float, found(r"^  ([\d.]+) s instead of ([\d.]+) s: ([\d.]+) s saved$", finished.stdout).groups()
    )
    assert saved == pytest.approx(first - second, abs=0.002)
    assert second < first / 2
    found(r"^  Not in the cache, and so read again: 1 failed$", finished.stdout)


def test_a_pipe_gets_progress_in_a_few_plain_lines(finished: subprocess.CompletedProcess[str]) -> None:
    for act in finished.stdout.split("\nKilled and started again\n"):
        tenths = [int(percent) for percent in re.findall(r"^ +(\d+) %  \d+ of", act, re.MULTILINE)]
        assert tenths == sorted(set(tenths))
        assert tenths[-1] == 100
    assert "\x1b" not in finished.stdout


def test_a_limit_leaves_only_the_largest_files(folder: Path) -> None:
    largest = max(sources_in(folder), key=lambda path: path.stat().st_size).relative_to(folder)

    output = census(folder, "--limit", "1", "--workers", "1").stdout

    found(r"^3 tasks in .* s: 1 completed, 1 failed, 1 cancelled$", output)
    found(rf"^  {re.escape(str(largest))} .* s$", output)


def test_files_that_cannot_be_counted_are_findings_and_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "open_bracket.py").write_text("values = (\n")

    run = census(tmp_path)

    assert run.returncode == 0
    found(r"^3 tasks in .* s: 2 failed, 1 cancelled$", run.stdout)
    found(r"^  failed     open_bracket\.py\n +tokenize\.TokenError: ", run.stdout)


@pytest.mark.parametrize(("name", "problem"), [("missing", "no such folder"), ("empty", "no Python files")])
def test_a_folder_without_sources_is_refused_in_one_line(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()

    run = census(tmp_path / name)

    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith(f"census: {problem}")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(folder: Path, workers: str) -> None:
    run = census(folder, "--workers", workers)

    assert run.returncode == 2
    assert "--workers" in run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a child process cannot be sent SIGINT")
def test_ctrl_c_stops_midway_and_says_how_far_it_was() -> None:
    """The whole standard library: there is much left to do when the first tenth is through."""
    command = [sys.executable, SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if " %  " in line)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)

    assert errors == ""
    assert process.returncode == 130
    found(r"^Interrupted with [\d,]+ of [\d,]+ files counted$", output)


def test_a_terminal_gets_bars_and_then_the_same_summary(folder: Path) -> None:
    pytest.importorskip("rich")
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen([sys.executable, SCRIPT, folder], stdout=theirs, env=environment) as process:
        os.close(theirs)
        output = all_from(ours)
    os.close(ours)

    assert process.returncode == 0
    found(r"of \d+ files .*━", output)
    found(r"tasks in .* s: \d+ completed, 1 failed, 1 cancelled", output)


def all_from(terminal: int) -> str:
    """Read until the other side hangs up, which Linux calls an input/output error."""
    chunks = []
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()
