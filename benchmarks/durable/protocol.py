"""What a scenario may ask of something that writes jobs down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from benchmarks.contenders.protocol import Job

POWER = "power"
"""What is acknowledged survives a power cut: somebody has waited for the disk."""
PROCESS = "process"
"""What is acknowledged survives the process, and may be lost with the power."""


class Enqueues(Protocol):
    """Something that takes jobs and keeps them in a file."""

    async def open(self, folder: Path, *, durability: str = POWER) -> None:
        """Make ready to write into a file in *folder*, which may be there from before."""

    async def hold(self) -> None:
        """See to it that nothing runs which is enqueued from now on."""

    async def enqueue(self) -> object:
        """Write down one job that does nothing; return when it is safe."""


class Runs(Enqueues, Protocol):
    """Something that also runs the jobs: ours, on a file or in memory."""

    def register(self, name: str, job: Job) -> None:
        """Make a function known under the name it is written down with."""

    async def add(self, job: Job, *args: Any, **options: Any) -> str:
        """Add a job and return its id when it is safe."""

    async def result(self, handle: str) -> object:
        """Wait for the job to finish and return what it returned."""

    async def written(self) -> None:
        """Return when all that has happened until now is in the file."""

    async def finished(self) -> None:
        """Return when all jobs have ended and their ends are in the file."""


class Persists(Runs, Protocol):
    """Something whose jobs are there when it is opened again."""

    async def close(self) -> None:
        """Stop at once; what runs is given back."""

    async def page(self, **query: Any) -> Any:
        """Return a page of the jobs that match, newest first."""
