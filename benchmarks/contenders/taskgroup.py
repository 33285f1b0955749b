"""``asyncio.TaskGroup``: it has no limit of its own, so all jobs of a burst run at once.

The end of a burst is the end of the group's block. This flatters it: a limit of ten would
take a semaphore besides.
"""

from __future__ import annotations

import asyncio

from benchmarks.contenders.protocol import Job


class Adapter:
    """One group for each burst."""

    async def open(self, slots: int) -> None:
        self.slots = slots

    async def run(self, job: Job, count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(job())
