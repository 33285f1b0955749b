"""The backends the conformance suite runs against. A new one is one line in ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from async_task_worker import TaskStatus

MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
"""A folder in memory, on systems that have one."""


@dataclass(frozen=True)
class Backend:
    """A backend that the suite runs against.

    Attributes:
        name: Shown in the test's id.
        url: Returns the address of an empty store of its own, given a fresh folder.
        durable: Whether tasks outlive their worker.
    """

    name: str
    url: Callable[[Path], str]
    durable: bool = False

    @property
    def status_after_stop(self) -> TaskStatus:
        """The status of a task that had not ended when its worker stopped."""
        return TaskStatus.PENDING if self.durable else TaskStatus.CANCELLED


BACKENDS = [
    Backend("memory", url=lambda folder: "memory://"),
    Backend("sqlite", url=lambda folder: f"sqlite:///{folder / 'tasks.db'}?durability=process", durable=True),
]
