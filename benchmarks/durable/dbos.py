"""DBOS with its system database on SQLite, as it comes: every workflow and its steps are written down.

It listens to no queue, so nothing runs.
"""

from __future__ import annotations

from pathlib import Path

from dbos import DBOS

from benchmarks.durable.protocol import POWER


class Adapter:
    """One DBOS runtime with one queue."""

    async def open(self, folder: Path, *, durability: str = POWER) -> None:
        if durability != POWER:
            raise ValueError("it always waits for the disk")
        address = f"sqlite:///{folder / 'tasks.db'}"
        DBOS(
            config={
                "name": "benchmark",
                "system_database_url": address,
                "run_admin_server": False,
                "log_level": "WARNING",
            }
        )
        self._noop = DBOS.workflow()(noop)
        DBOS.listen_queues([])
        DBOS.launch()
        self._queue = await DBOS.register_queue_async("benchmark")

    async def hold(self) -> None:
        """Nobody takes anything out."""

    async def enqueue(self) -> object:
        return await self._queue.enqueue_async(self._noop)


async def noop() -> None:
    """Do nothing."""
