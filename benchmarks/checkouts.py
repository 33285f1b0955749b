"""Checkouts to measure: the working copy, and other commits of this repository.

The working copy is copied first, so that editing can go on while it is measured. Another commit is
laid out with ``git archive``, which leaves no trace in the repository, into a folder named after
it; so it is laid out once.
"""

from __future__ import annotations

import atexit
import io
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ENVIRONMENTS, ROOT


class UnknownCommitError(ValueError):
    """git does not know the commit. Give a branch, a tag or a hash that ``git rev-parse`` understands."""


@dataclass(frozen=True)
class Checkout:
    """A source tree and the commit it is at."""

    root: Path
    commit: str

    @property
    def source(self) -> Path:
        """The folder to import the package from."""
        return self.root / "src"

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The core dependencies the checkout declares; those of its extras are not needed in memory."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return tuple(project.get("dependencies", ()))


def working_copy() -> Checkout:
    """Return a copy of this checkout, named after its commit and marked ``+`` if there are changes beyond it."""
    try:
        commit = _git("describe", "--always", "--dirty=+", "--exclude=*").decode().strip()
    except UnknownCommitError:
        commit = "uncommitted"
    folder = Path(tempfile.mkdtemp(prefix="working-", dir=_checkouts()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return Checkout(folder, commit)


def checkout_of(reference: str) -> Checkout:
    """Return the checkout of another commit of this repository."""
    commit = _git("rev-parse", "--verify", "--quiet", "--short", f"{reference}^{{commit}}").decode().strip()
    folder = _checkouts() / commit
    if not folder.exists():
        archive = _git("archive", "--format=tar", commit, "src", "pyproject.toml")
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            content.extractall(folder, filter="data")
    return Checkout(folder, commit)


def _checkouts() -> Path:
    folder = ENVIRONMENTS / "checkouts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _git(*arguments: str) -> bytes:
    command = [shutil.which("git") or "git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise UnknownCommitError(f"git {' '.join(arguments)}: {done.stderr.decode().strip() or 'not found'}")
    return done.stdout
