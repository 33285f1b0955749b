"""What a scenario may ask of a contender.

An adapter offers what its contender can do and nothing else; the catalogue says which
scenario runs on which contender. Every method is a coroutine function for every contender,
so that the measuring code pays the same for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Job = Callable[..., Coroutine[Any, Any, object]]


class Opens(Protocol):
    """A contender that can be set up; the process ends without tearing it down."""

    async def open(self, slots: int, **options: Any) -> None:
        """Make ready to run at most *slots* jobs at a time."""


class Runs(Opens, Protocol):
    """A contender that runs a burst of jobs, the heart of the throughput scenarios."""

    async def run(self, job: Job, count: int) -> None:
        """Add *job* *count* times and return when all have finished, by the contender's cheapest way."""


class RunsWithTimeout(Opens, Protocol):
    """A contender that can limit the time of each job."""

    async def run_with_timeout(self, job: Job, count: int, timeout: float) -> None:
        """Like ``run``, giving each job *timeout* seconds."""


class Adds(Opens, Protocol):
    """A contender that takes jobs one by one and runs them behind the caller's back."""

    async def add(self, job: Job) -> Any:
        """Add one job and return a handle for it."""


class AddsWithPriority(Opens, Protocol):
    """A contender whose pending jobs are ordered by priority, lower first."""

    async def add(self, job: Job, *, priority: int = 0) -> Any:
        """Add one job and return a handle for it."""


class GivesResults(Adds, Protocol):
    """A contender whose results can be awaited."""

    async def result(self, handle: Any) -> object:
        """Wait for the job to finish and return what it returned."""


class Cancels(Adds, Protocol):
    """A contender that can take a job back."""

    async def cancel(self, handle: Any) -> object:
        """Cancel the job; it never starts if it was pending."""


class ReportsProgress(Opens, Protocol):
    """A contender whose jobs can tell how far they are."""

    async def add_reporting(self, job: Job) -> None:
        """Add one job that is called with the contender's ``progress_callback``."""


class Lists(GivesResults, Cancels, Protocol):
    """A contender that remembers its jobs."""

    statuses: tuple[Any, ...]

    async def newest(self, limit: int, status: Any = None) -> list[Any]:
        """Return the newest *limit* jobs, of one status if given."""
