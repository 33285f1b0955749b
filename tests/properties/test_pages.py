"""Walking through pages while tasks come, end and are forgotten, and the worker stops and starts.

Every task that was known from the first page to the last is seen exactly once, and no task twice.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker
from tests.conftest import MakeWorker
from tests.properties.run_length import long_or_short
from tests.support.tasks import echo, wait_at
from tests.support.waiting import finished

PROGRAMS = range(long_or_short(300, 12))


class Walk:
    """A worker with some tasks, and somebody who reads them page by page."""

    def __init__(self, worker: AsyncTaskWorker, seed: int) -> None:
        self.worker = worker
        self.choices = random.Random(seed)
        self.query: dict[str, Any] = self.choices.choice(
            [{}, {}, {"task_type": "echo"}, {"text": "tag"}, {"status": ["pending", "running"]}]
        )

    async def known(self) -> set[str]:
        """Return the ids of all tasks that match, in one page."""
        return {info.id for info in (await self.worker.search_tasks(**self.query, limit=10_000)).tasks}

    async def add(self, count: int) -> None:
        """Add tasks that end at once, and a few that wait; all at one moment of the clock."""
        for _ in range(count):
            if self.choices.random() < 0.4:
                await self.worker.add_task(wait_at, "never", metadata={"a": "tag"})
            else:
                await finished(self.worker, await self.worker.add_task(echo, 1, metadata={"a": "tag"}))

    async def cancel(self, count: int) -> None:
        """End some of the tasks that have not ended."""
        waiting = self.worker.get_all_tasks(["pending", "running"])
        for info in self.choices.sample(waiting, min(count, len(waiting))):
            await self.worker.cancel_task(info.id)

    async def disturb(self) -> None:
        """Let something happen between two pages."""
        if not self.worker.is_running:
            await self.worker.start()
            return
        match self.choices.randrange(5):
            case 0 | 1:
                await self.add(self.choices.randint(1, 8))
            case 2:
                await self.cancel(self.choices.randint(1, 4))
            case 3:
                await self.worker.stop(0)


@pytest.mark.parametrize("seed", PROGRAMS)
async def test_a_walk_sees_every_task_that_stays_once(make_worker: MakeWorker, seed: int) -> None:
    choices = random.Random(seed)
    worker = await make_worker(max_workers=500, max_history=choices.choice([5, 20, None]))
    walk = Walk(worker, seed)
    await walk.add(choices.randint(10, 40))
    stayed = await walk.known()
    seen: list[str] = []
    cursor = None
    while True:
        page = await worker.search_tasks(**walk.query, limit=choices.randint(1, 9), cursor=cursor)
        seen += [info.id for info in page.tasks]
        cursor = page.next_cursor
        if cursor is None:
            break
        await walk.disturb()
        stayed = stayed & await walk.known()
    assert len(seen) == len(set(seen)), "seen twice"
    assert stayed <= set(seen), "never seen"
