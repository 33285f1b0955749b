"""Set up a virtual environment for this project, and show each step while it runs.

Usage: python tools/environment.py FOLDER [--group NAME] [--constraints FILE]

Makes a virtual environment of the running interpreter in FOLDER and installs the project into it,
editable and with every extra, together with a dependency group. It uses uv where that is installed
and knows dependency groups, else pip. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
INSTALLING: Final = re.compile(r"Installing collected packages: (.*)")
COLLECTING: Final = re.compile(r"Collecting ([\w.-]+)")
QUIET_SECONDS: Final = 3.0
"""Seconds between two lines of progress where the output is not a terminal."""


class Progress:
    """Prints numbered steps with the seconds since the start; on a terminal the last line is rewritten."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._started = time.monotonic()
        self._step = 0
        self._printed = 0.0
        self._on_terminal = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started

    def begin(self, title: str) -> None:
        """Print the line of the next step."""
        self._step += 1
        self._clear()
        print(f"  {self._step}/{self._steps} {title} ({self.seconds:.0f} s)", flush=True)

    def detail(self, text: str) -> None:
        """Show the current action of the step: at each call on a terminal, else every few seconds."""
        if self._on_terminal:
            print(f"\r\033[K      {text[:70]}", end="", flush=True)
        elif time.monotonic() - self._printed > QUIET_SECONDS:
            self._printed = time.monotonic()
            print(f"      {text} ({self.seconds:.0f} s)", flush=True)

    def done(self, text: str) -> None:
        """Print the last line."""
        self._clear()
        print(f"{text} in {self.seconds:.0f} s", flush=True)

    def _clear(self) -> None:
        if self._on_terminal:
            print("\r\033[K", end="")


def uv_program() -> str | None:
    """Return the path of uv if it is installed and knows dependency groups, else None."""
    found = shutil.which("uv")
    if found is None:
        return None
    usage = subprocess.run([found, "pip", "install", "--help"], capture_output=True, text=True, check=False)
    return found if "--group" in usage.stdout else None


def lines_of(command: list[str]) -> Iterator[str]:
    """Run *command* in the project's folder and yield its lines as they come; show all of them if it fails."""
    lines: list[str] = []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if process.stdout is not None:
        for line in process.stdout:
            lines.append(line)
            yield line
    if process.wait():
        sys.exit(f"\n{''.join(lines)}\n{' '.join(command)} failed with exit status {process.returncode}")


def pip_detail(collected: list[str], line: str) -> str | None:
    """Return the progress that a line of pip's output reports, or None."""
    if found := COLLECTING.search(line):
        collected.append(found[1])
        return f"{len(collected)} packages found, {found[1]} is the latest"
    if found := INSTALLING.search(line):
        return f"installing {found[1].count(',') + 1} packages"
    return None


def install(command: list[str], progress: Progress, detail_of: Callable[[list[str], str], str | None]) -> None:
    """Run an installer and show its progress."""
    collected: list[str] = []
    for line in lines_of(command):
        if (text := detail_of(collected, line)) is not None:
            progress.detail(text)


def main() -> None:
    """Set up the environment that the arguments ask for."""
    parser = argparse.ArgumentParser(description="Set up a virtual environment for this project.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", default="dev")
    parser.add_argument("--constraints", default="constraints.txt")
    options = parser.parse_args()
    uv = uv_program()
    python = str(options.folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--constraint", options.constraints]
    wanted = ["--editable", ".[all]", "--group", options.group]
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Setting up {options.folder} with Python {version} and {'uv' if uv else 'pip'}: about half a minute, once")
    progress = Progress(3 if uv is None else 2)
    progress.begin("creating the virtual environment")
    venv.create(options.folder, clear=True, with_pip=uv is None, symlinks=True)
    if uv is None:
        progress.begin("updating pip, whose own version may not know dependency groups")
        install([*pip, "--upgrade", "pip"], progress, pip_detail)
        progress.begin("downloading and installing packages")
        install([*pip, *wanted], progress, pip_detail)
    else:
        progress.begin("downloading and installing packages")
        command = [uv, "pip", "install", "--python", python, "--constraint", options.constraints, *wanted]
        install(command, progress, lambda _collected, line: line.strip() or None)
    progress.done(f"{options.folder} is ready")


if __name__ == "__main__":
    main()
