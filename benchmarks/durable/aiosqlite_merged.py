"""aiosqlite without a lock: who commits first commits what all others have inserted so far.

Fast, as long as nothing goes wrong: the error of one caller rolls the others' jobs back.
"""

from __future__ import annotations

from benchmarks.durable import aiosqlite


class Adapter(aiosqlite.Adapter):
    """One connection, whoever comes."""

    async def enqueue(self) -> str:
        return await self._insert()
