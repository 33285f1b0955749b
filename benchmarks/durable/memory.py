"""The same worker in memory: what a file costs is the ratio to it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.durable import ours


class Adapter(ours.Adapter):
    """One ``AsyncTaskWorker`` without a file."""

    async def written(self) -> None:
        """Nothing is written."""

    def _place(self, _folder: Path, _durability: str) -> dict[str, str]:
        return {}
