"""The backends the conformance suite runs against. A new one is one line in ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Backend:
    """What the suite must know of a backend.

    Attributes:
        name: Shown in the test's id.
        url: Returns the address of an empty store of its own, given a fresh folder.
        durable: Whether tasks outlive their worker.
    """

    name: str
    url: Callable[[Path], str]
    durable: bool = False


BACKENDS = [
    Backend("memory", url=lambda folder: "memory://"),
]
