"""aiosqlite, by hand: one connection, a table with an index, and for each job a transaction of its own.

A lock keeps the transactions apart, as it must: without one, a caller commits, or rolls back,
what another has half done. :mod:`benchmarks.durable.aiosqlite_merged` does without.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path

import aiosqlite

from benchmarks.durable.protocol import POWER

INSERT = "INSERT INTO task (id, name, status, priority, created_at) VALUES (?, 'noop', 0, 0, ?)"
SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, status INTEGER NOT NULL, priority INTEGER NOT NULL,
    created_at REAL NOT NULL, ended_at REAL, arguments BLOB, result BLOB
);
CREATE INDEX IF NOT EXISTS task_pending ON task (priority, created_at) WHERE status = 0;
"""


class Adapter:
    """One connection and a lock."""

    async def open(self, folder: Path, *, durability: str = POWER) -> None:
        self.connection = await aiosqlite.connect(folder / "tasks.db")
        await self.connection.execute("PRAGMA journal_mode = WAL")
        await self.connection.execute(f"PRAGMA synchronous = {'FULL' if durability == POWER else 'NORMAL'}")
        await self.connection.executescript(SCHEMA)
        self._alone = asyncio.Lock()

    async def hold(self) -> None:
        """Nobody takes anything out."""

    async def enqueue(self) -> str:
        async with self._alone:
            return await self._insert()

    async def _insert(self) -> str:
        task_id = str(uuid.uuid4())
        await self.connection.execute(INSERT, (task_id, time.time()))
        await self.connection.commit()
        return task_id
