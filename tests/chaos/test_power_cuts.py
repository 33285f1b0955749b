"""A power cut at any moment loses nothing acknowledged, whatever part of the unsynced writes the disk has kept."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("apsw")

from async_task_worker import AsyncTaskWorker
from async_task_worker.backends.sqlite import SqliteBackend
from async_task_worker.journal.location import DatabaseLocation
from tests.chaos import crash_report
from tests.chaos.crash_report import FINAL
from tests.chaos.disk import Change, Disk
from tests.chaos.run_length import CUTS, report
from tests.support.tasks import echo, fail_with, take_turns

CALLERS = 10
CANCELLED = FINAL + 2


async def load(worker: AsyncTaskWorker, disk: Disk, caller: int) -> None:
    """Add tasks one after the other, cancel some, and record acknowledgements among the changes of the disk."""
    for number in range(8):
        match (caller + number) % 4:
            case 0:
                task_id = await worker.add_task(fail_with, "wrong")
            case 1:
                task_id = await worker.add_task(take_turns, 200)
            case _:
                task_id = await worker.add_task(echo, "value" * number)
        disk.record(Change("added", task_id))
        if number % 3 == 0 and await worker.cancel_task(task_id):
            disk.record(Change("cancelled", task_id))


async def run_worker(disk: Disk, location: DatabaseLocation) -> None:
    """Run a worker on the disk under load, until all of its tasks have ended."""
    worker = AsyncTaskWorker(max_workers=3, backend=SqliteBackend(location, disk.connect))
    async with worker:
        await asyncio.gather(*(load(worker, disk, caller) for caller in range(CALLERS)))
        await worker.drain()
    disk.unregister()


async def recover(path: Path) -> int:
    """Run the unfinished tasks with another worker; return their number."""
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?check=yes&durability=process") as worker:
        left = len(worker.get_all_tasks())
        await worker.drain()
    return left


class Losses:
    """Compares what is found after power cuts with what was acknowledged before each."""

    def __init__(self, disk: Disk) -> None:
        self._changes = disk.changes
        self._ended: dict[str, int] = {}
        self.lost = self.uncancelled = self.final_states_changed = 0

    def count(self, at: int, path: Path) -> None:
        """Count losses in the file that a power cut after *at* changes left."""
        found = {task_id: row.status for task_id, row in crash_report.read_tasks(path).items()}
        self.lost += sum(change.file not in found for change in self._changes[:at] if change.kind == "added")
        for change in self._changes[:at]:
            self.uncancelled += change.kind == "cancelled" and found.get(change.file) != CANCELLED
        self.final_states_changed += sum(found.get(task_id) != status for task_id, status in self._ended.items())
        self._ended |= {task_id: status for task_id, status in found.items() if status >= FINAL}


def cut(disk: Disk, folder: Path, kept: float, count: int) -> Iterator[tuple[int, Path]]:
    """Yield the moments of *count* power cuts in order, each with the file it left."""
    chance = random.Random(f"{count} {kept}")
    first = next(index for index, change in enumerate(disk.changes) if change.kind == "added")
    for at in sorted(chance.randrange(first, len(disk.changes)) for _ in range(count)):
        after = folder / "after"
        after.mkdir()
        disk.after_power_cut(at, after, chance, kept)
        yield at, after / "tasks.db"
        shutil.rmtree(after)


@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0], ids=["nothing", "some", "everything"])
async def test_power_cuts_lose_nothing_acknowledged_and_change_no_ending(folder: Path, kept: float) -> None:
    """Of the unsynced writes, the disk has kept none, some or all."""
    disk, left = Disk(), 0
    await run_worker(disk, DatabaseLocation(folder / "tasks.db"))
    losses = Losses(disk)
    for at, path in cut(disk, folder, kept, CUTS // 3 + 1):
        losses.count(at, path)
        left += await recover(path)
    report(
        f"{CUTS // 3 + 1} power cuts",
        acknowledged=sum(change.kind == "added" for change in disk.changes),
        lost=losses.lost,
        uncancelled=losses.uncancelled,
        final_states_changed=losses.final_states_changed,
        run_again=left,
        integrity="ok",
    )
    assert (losses.lost, losses.uncancelled, losses.final_states_changed) == (0, 0, 0)


async def test_without_sync_a_power_cut_loses_acknowledged_tasks(folder: Path) -> None:
    """This shows that the simulated disk loses unsynced writes. The file is intact nevertheless."""
    disk = Disk()
    await run_worker(disk, DatabaseLocation(folder / "tasks.db", survives_power_cuts=False))
    losses = Losses(disk)
    for at, path in cut(disk, folder, 0.0, 5):
        losses.count(at, path)
    assert losses.lost > 0
