"""huey on SQLite, which waits for the disk (``fsync``); called in threads, since it has no coroutines.

There is no consumer, so nothing runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from huey import SqliteHuey

from benchmarks.durable.protocol import POWER


def noop() -> None:
    """Do nothing."""


class Adapter:
    """One ``SqliteHuey``."""

    async def open(self, folder: Path, *, durability: str = POWER) -> None:
        self._add: Any = SqliteHuey(filename=str(folder / "tasks.db"), fsync=durability == POWER).task()(noop)

    async def hold(self) -> None:
        """Nobody takes anything out."""

    async def enqueue(self) -> object:
        return await asyncio.to_thread(self._add)
