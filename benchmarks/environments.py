"""Environments of their own for every contender and interpreter, made when first needed.

A rival's dependencies never meet ours, and none of them meets the environment the benchmarks
are started from. Versions are pinned by the repository's ``constraints.txt``. What was installed
is written into the environment, so that a changed list makes it anew.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = Path(__file__).resolve().parent / ".envs"
CONSTRAINTS = ROOT / "constraints.txt"
MEASURING = ("psutil",)
"""What the scenarios themselves need, installed everywhere."""

_PROBE = (
    "import json, os, platform, sys; executable = os.path.realpath(sys.executable); "
    "print(json.dumps([executable, platform.python_implementation(), *sys.version_info[:3]]))"
)
_VERSIONS = (
    "import importlib.metadata as m, json, sys; print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


class EnvironmentSetupError(RuntimeError):
    """An environment could not be made; the message ends with the installer's last words."""


@dataclass(frozen=True)
class Interpreter:
    """A Python to measure with.

    ``executable`` is the installed one even if a virtual environment's was asked, and ``name`` has
    implementation and full version, such as ``CPython 3.13.0``.
    """

    executable: str
    name: str
    version: tuple[int, int]

    @classmethod
    def at(cls, command: str) -> Interpreter:
        """Return the interpreter that *command*, a path or a name, starts."""
        executable, implementation, *numbers = json.loads(_output([command, "-c", _PROBE]))
        return cls(executable, f"{implementation} {'.'.join(map(str, numbers))}", (numbers[0], numbers[1]))


def environment(interpreter: Interpreter, label: str, packages: tuple[str, ...]) -> str:
    """Return the Python of the environment *label* with *packages* installed, making it if there is none."""
    wanted = sorted({*packages, *MEASURING})
    folder = ENVIRONMENTS / f"{interpreter.name.lower().replace(' ', '-')}-{label}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    installed = folder / "installed.json"
    if not (installed.exists() and json.loads(installed.read_text()) == _key(interpreter, wanted)):
        shutil.rmtree(folder, ignore_errors=True)
        print(f"making an environment for {label} on {interpreter.name}", file=sys.stderr)
        _make(interpreter, folder, python, wanted)
        installed.write_text(json.dumps(_key(interpreter, wanted)))
    return str(python)


def versions(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of *packages*, given as requirements."""
    names = [_distribution(package) for package in packages]
    return dict(json.loads(_output([python, "-c", _VERSIONS, *names]))) if names else {}


def _make(interpreter: Interpreter, folder: Path, python: Path, packages: list[str]) -> None:
    pins = ["--constraint", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
    uv = shutil.which("uv")
    if uv:
        _output([uv, "venv", "--quiet", "--python", interpreter.executable, str(folder)])
        _output([uv, "pip", "install", "--quiet", "--python", str(python), *pins, *packages])
    else:
        _output([interpreter.executable, "-m", "venv", str(folder)])
        _output([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins, *packages])


def _key(interpreter: Interpreter, packages: list[str]) -> list[str]:
    return [interpreter.executable, CONSTRAINTS.read_text() if CONSTRAINTS.exists() else "", *packages]


def _distribution(requirement: str) -> str:
    end = next((at for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EnvironmentSetupError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        raise EnvironmentSetupError(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
