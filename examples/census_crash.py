"""Kill a census in the middle, start it again, and see whether anything got lost.

A process of its own takes the census and keeps the tasks in a file. It is sent SIGKILL, which no
process can do anything about, and another one goes on with what is in the file. Then the file is
asked what became of every task that was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

from census_durable import Found, ending, history, open_file
from census_tasks import FileCensus, News, SourceFile
from census_view import Table, View, as_size, write_table

from async_task_worker import TaskInfo, TaskStatus

KILL_AT = 0.4
"""The part of the files after which the first process is killed."""
MOST_BYTES = 10_000_000
"""So much is counted here: enough to be in the middle of it, little enough to be done in seconds."""

SCRIPT = Path(__file__).with_name("census_durable.py")
OWN_GROUP: dict[str, Any] = (  # Ctrl-C is for this process, which sees to the other
    {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {"process_group": 0}
)
SIGKILL = 9
COUNTED = ("bytes", "lines", "functions", "classes", "tokens")


class Process:
    """A process that takes a census, until the end of the ``with`` block at the latest.

    Attributes:
        file: The file of its tasks.
        pid: Its number.
        acknowledged: The tasks it said it had added.
        started: Those it said it had begun with.
        found: What it found in the file.
    """

    def __init__(self, file: Path, workers: int, *sources: Path) -> None:
        command = [sys.executable, SCRIPT, file, str(workers), *sources]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603 - a script of ours, with paths of ours
            command, stdin=pipe, stdout=pipe, encoding="ascii", **OWN_GROUP
        )
        self._killed = False
        self.file = file
        self.pid = self._process.pid
        self.acknowledged: set[str] = set()
        self.started: set[str] = set()
        self.found = Found({}, 0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.__exit__(None, None, None)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self._killed = self._killed or self._process.poll() is None
        self._process.kill()

    def news(self) -> Iterator[News]:
        """Iterate over its reports on tasks until the process ends."""
        for line in self._process.stdout or ():
            if line.endswith("\n"):  # else it was killed while it said that
                yield from self._heard(*json.loads(line))
        self._process.wait()

    def _heard(self, kind: str, content: Any) -> Iterator[News]:
        if kind == "acknowledged":
            self.acknowledged.add(content)
        elif kind == "found":
            self.found = Found(*content)
        else:
            task_id, status, *rest = content
            if status == TaskStatus.RUNNING:
                self.started.add(task_id)
            yield News(task_id, TaskStatus(status), *rest)

    @property
    def fate(self) -> str:
        """How it ended."""
        code = self._process.wait()
        if code == -SIGKILL:
            return "was killed with SIGKILL"
        return "was terminated" if self._killed else f"ended with exit code {code}"

    @property
    def failed(self) -> bool:
        """Whether it ended before its work did, and not because it was killed."""
        return self._process.wait() != 0 and not self._killed


@dataclass
class Crash:
    """A census that was killed and went on.

    Attributes:
        killed: The first process.
        heir: The second one.
        tasks: How each task ended, as the file says afterwards.
    """

    killed: Process
    heir: Process
    tasks: dict[str, TaskInfo]

    @property
    def lost(self) -> set[str]:
        """The acknowledged tasks that have not ended."""
        return self.killed.acknowledged - self.tasks.keys()

    @property
    def changed(self) -> set[str]:
        """The tasks that had ended when the first process was killed, and now have another ending or none."""
        before, after = self.heir.found.ended, self.tasks
        return {task_id for task_id in before if task_id not in after or ending(after[task_id]) != before[task_id]}

    @property
    def run_twice(self) -> set[str]:
        """The tasks that both processes started: each runs at least once, which may be twice."""
        return self.killed.started & self.heir.started

    @property
    def known_as_second(self) -> list[TaskInfo]:
        """Those of them of which the file knows: the others had no time to be written down."""
        return [info for info in self.tasks.values() if info.attempt > 1]

    @property
    def results(self) -> dict[str, FileCensus]:
        """The counts by file name."""
        return {info.metadata["file"]: info.result for info in self.tasks.values() if info.result is not None}

    def problems(self) -> Iterator[str]:
        """Yield what went wrong: nothing, unless a guarantee was broken."""
        for process in (self.killed, self.heir):
            if process.failed:
                yield f"process {process.pid} {process.fate}"
        if self.lost:
            yield f"{len(self.lost):,} of {len(self.killed.acknowledged):,} acknowledged tasks lost"
        if self.changed:
            yield f"{len(self.changed):,} of {len(self.heir.found.ended):,} final states changed"


def survive(sources: Sequence[SourceFile], scratch: Path, workers: int, view: View) -> Crash:
    """Take the census of these files in two processes, the first of which is killed."""
    file, listed = scratch / "census.db", scratch / "sources.json"
    listed.write_text(json.dumps([(str(source.path), source.name, source.size) for source in sources]))
    with Process(file, workers, listed) as first:
        kill_midway(first, len(sources), view)
    view.write(f"  Process {first.pid} {first.fate}: {view.tally} counted", "red")
    with Process(file, workers) as second:
        view.write(f"  Process {second.pid} goes on with the same file")
        for news in second.news():
            view.update(news)
    return Crash(first, second, asyncio.run(read(file)))


def kill_midway(process: Process, files: int, view: View) -> None:
    """Kill the process in the middle of its work: all is acknowledged, a part has ended, and something runs."""
    for news in process.news():
        view.update(news)
        ended = view.tally.ended.total()
        if len(process.acknowledged) == files and ended >= int(KILL_AT * files) and view.tally.running:
            process.kill()
    for news in list(view.tally.running.values()):
        view.update(news._replace(status=TaskStatus.PENDING, progress=0.0))  # no process runs them now


async def read(file: Path) -> dict[str, TaskInfo]:
    """Return the final status of the tasks in the file by their ids."""
    async with open_file(file) as worker:
        return {info.id: info for info in await history(worker)}


def affordable(sources: Sequence[SourceFile]) -> list[SourceFile]:
    """Return the smallest files, as many as can be counted in some seconds, in the order of their names."""
    by_size = sorted(sources, key=lambda source: source.size)
    total = accumulate(source.size for source in by_size)
    chosen = [source for source, size in zip(by_size, total, strict=True) if size <= MOST_BYTES]
    return sorted(chosen or by_size[:1], key=lambda source: source.name)


def write_intention(chosen: Sequence[SourceFile], files: int, view: View) -> None:
    """Print what will happen to the census of the *chosen* files."""
    view.write()
    view.write("Killed and started again", "bold")
    which = f"The same {files:,}" if len(chosen) == files else f"The {len(chosen):,} smallest of the {files:,}"
    size = as_size(sum(source.size for source in chosen))
    view.write(f"  {which} files, as tasks in an SQLite file: {size} to count")


def write_report(crash: Crash, earlier: Sequence[TaskInfo], view: View) -> None:
    """Print how the tasks ended, and how the counts compare with those of the *earlier* census."""
    write_table(view, "What became of the tasks", endings(crash))
    view.write("  Run a second time: what was interrupted, or ended too late to be written.", "dim")
    names = {info.metadata["file"] for info in crash.tasks.values()}
    expected = [info.result for info in earlier if info.result is not None and info.metadata["file"] in names]
    write_table(view, "What the files contain", totals(expected, list(crash.results.values())))


def endings(crash: Crash) -> Table:
    """Yield the lines about the tasks."""
    found = crash.heir.found
    yield "", "tasks"
    yield "acknowledged", f"{len(crash.killed.acknowledged):,}"
    yield "ended before the kill, as the file says", f"{len(found.ended):,}"
    yield "found waiting at the restart", f"{found.waiting:,}"
    yield "  recovered: they ran when the process was killed", f"{found.interrupted:,}"
    yield "run a second time", f"{len(crash.run_twice):,}"
    yield "  with attempt 2, as the file says", f"{len(crash.known_as_second):,}"
    yield "lost", f"{len(crash.lost):,}"
    yield "final states changed", f"{len(crash.changed):,}"


def totals(expected: list[FileCensus], counted: list[FileCensus]) -> Table:
    """Yield the counts of the same files, without a crash and with one."""
    yield "", "first census", "with a crash"
    yield "files", f"{len(expected):,}", f"{len(counted):,}"
    for thing in COUNTED:
        yield thing, *(f"{sum(getattr(result, thing) for result in results):,}" for results in (expected, counted))
