"""An idle worker is idle: no timer, no callback, for as long as nobody wants anything."""

from __future__ import annotations

import asyncio

from async_task_worker import AsyncTaskWorker
from tests.support.tasks import echo, sleep_for


class CountingLoop(asyncio.SelectorEventLoop):
    """A real loop that counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


def turns_while_idle(*, slots: int, seconds: float) -> int:
    loop = CountingLoop()

    async def main() -> int:
        async with AsyncTaskWorker(max_workers=slots) as worker:
            await worker.wait_for_tasks([await worker.add_task(echo, number) for number in range(slots)])
            await worker.wait_for_tasks([await worker.add_task(sleep_for, 0.001, number) for number in range(slots)])
            await asyncio.sleep(0.01)
            before = loop.turns
            await asyncio.sleep(seconds)
            return loop.turns - before

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


def test_an_idle_worker_with_a_hundred_slots_never_wakes_the_loop() -> None:
    """The loop turns for the sleep of the test itself: to begin it, and to end it."""
    assert turns_while_idle(slots=100, seconds=0.25) <= 3


async def test_an_idle_worker_leaves_no_timer(worker: AsyncTaskWorker) -> None:
    await worker.wait_for_tasks([await worker.add_task(echo, 1, timeout=60)])
    await asyncio.sleep(1)  # by then a file has been told of the end
    assert [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]
