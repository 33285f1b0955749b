"""Take a census of Python source files: one background task per file, the largest first.

    python examples/census.py [folder] [--workers N] [--limit N] [--plain]

Without a folder it reads the standard library of the interpreter it runs on. To show that tasks
also end in other ways, it adds two files of its own making: one that is not UTF-8 and so fails,
and one so long that its task is cancelled when a tenth of it has been counted. Then it takes the
census of the same files once more, and finds what has not changed in the cache.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import statistics
import sys
import sysconfig
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

from census_tasks import FileCensus, SourceFile, as_it_is, census_file, find_sources, not_utf8, oversized

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo, TaskStatus

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TaskID, TextColumn
except ImportError:  # plain lines tell the same
    RICH = False
else:
    RICH = True

FILE_TIMEOUT = 60.0
CANCEL_AT = 0.1
MEGABYTE = 1_000_000
MOST_BARS = 8
LISTED = 10
"""How many of the slowest files, and of those not completed, the summary shows."""

STYLES = {TaskStatus.FAILED: "red", TaskStatus.CANCELLED: "yellow"}
INDENT = " " * 13
Table = Iterator[tuple[str, ...]]


# --- the census ---------------------------------------------------------------------------


class Census(NamedTuple):
    """How each task of it ended, and each task of the second one, of the same files."""

    tasks: list[TaskInfo]
    again: list[TaskInfo]


async def take_census(sources: Sequence[SourceFile], scratch: Path, workers: int, view: View) -> Census:
    """Count every file, and the two made in the folder *scratch*; then all but the last once more."""
    # As many threads as tasks at a time, so that no running task waits for a thread.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(workers))
    files = [*sources, not_utf8(scratch)]
    cache = {"cache_enabled": True, "cache_max_size": None}
    async with AsyncTaskWorker(max_workers=workers, max_history=None, **cache) as worker:
        stop_listening = worker.events.listen(view.update)
        for source in files:
            await add_file(worker, source)
        await cancel_midway(worker, await add_file(worker, oversized(scratch)))
        await worker.drain()
        stop_listening()
        tasks = worker.get_all_tasks()
        for source in files:
            await add_file(worker, source)
        await worker.drain()
        return Census(tasks, worker.get_all_tasks(limit=len(files)))


async def add_file(worker: AsyncTaskWorker, source: SourceFile) -> str:
    """Add the task that counts one file. Lower numbers run first, so the largest file does."""
    return await worker.add_task(
        census_file,
        source.path,
        priority=-source.size,
        timeout=FILE_TIMEOUT,
        metadata={"file": source.name, "size": source.size},
        cache_key_fn=as_it_is,
    )


async def cancel_midway(worker: AsyncTaskWorker, task_id: str) -> None:
    """Cancel a task in the middle of its work: when it has done a tenth of it."""
    async with worker.events.stream() as events:
        async for event in events:
            if event.task.id == task_id and (event.task.progress >= CANCEL_AT or event.task.finished):
                await worker.cancel_task(task_id)
                return


# --- while it runs ------------------------------------------------------------------------


class Tally:
    """How far the census is, as the events of its tasks tell it."""

    def __init__(self) -> None:
        self.files = self.bytes = self.bytes_done = 0
        self.running: dict[str, TaskInfo] = {}
        self.ended: Counter[TaskStatus] = Counter()

    def update(self, event: TaskEvent) -> None:
        """Take in what happened to one task."""
        info, size = event.task, event.task.metadata["size"]
        if event.type == "task.created":
            self.files += 1
            self.bytes += size
        elif not info.finished:
            self.running[info.id] = info
        else:
            self.running.pop(info.id, None)
            self.ended[info.status] += 1
            if info.status == TaskStatus.CANCELLED:
                self.bytes -= size  # nobody is going to count them any more
            else:
                self.bytes_done += size

    @property
    def progress(self) -> float:
        """The part of all bytes that has been counted, from 0.0 to 1.0."""
        begun: float = sum(info.progress * info.metadata["size"] for info in self.running.values())
        return (self.bytes_done + begun) / max(self.bytes, 1)

    def __str__(self) -> str:
        return f"{self.ended.total():,} of {self.files:,} files"


class View:
    """Shows the census in plain lines: one for each tenth of the whole."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._tenths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, event: TaskEvent) -> None:
        """Show what happened to one task, if it is worth a line."""
        self.tally.update(event)
        tenths = int(self.tally.progress * 10)
        if tenths > self._tenths:
            self._tenths = tenths
            current = next((info.metadata["file"] for info in self.tally.running.values()), "")
            self.write(f"{tenths:>4}0 %  {self.tally}  {current}".rstrip())

    def write(self, line: str = "", style: str = "") -> None:
        """Print a line at once. Plain text has no *style*."""
        del style
        print(line, flush=True)


class LiveView(View):
    """Shows the census in bars: one for the whole and one for each running task.

    The bars stay where they are and pass from file to file: rows that come and go a
    hundred times a second would be hard to look at.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._console = Console()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %", style="progress.percentage"),
            TextColumn("{task.fields[size]:>9}", style="progress.filesize"),
            expand=True,
        )
        ctrl_c = ""  # an empty last line for the terminal to write ^C on, not into the bars
        self._screen = Live(Group(self._bars, ctrl_c), console=self._console, transient=True)
        self._whole = self._bars.add_task("", total=1.0, size="")
        self._free = [self._bars.add_task("", total=1.0, size="") for _ in range(rows)]
        self._taken: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.stop()

    def update(self, event: TaskEvent) -> None:
        """Move the bar of the whole and the bar of the task."""
        self.tally.update(event)
        self._move(self._whole, str(self.tally), self.tally.progress, self.tally.bytes)
        info = event.task
        if event.type == "task.started" and self._free:
            self._taken[info.id] = self._free.pop()
        if (row := self._taken.get(info.id)) is not None:
            self._move(row, info.metadata["file"], info.progress, info.metadata["size"])
            if info.finished:
                self._free.append(self._taken.pop(info.id))

    def write(self, line: str = "", style: str = "") -> None:
        """Print a line in the given style."""
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _move(self, row: TaskID, text: str, progress: float, size: int) -> None:
        room = width() * 2 // 5
        text = cut_left(text, room).ljust(room)
        self._bars.update(row, description=text, completed=progress, size=as_size(size))


def choose_view(workers: int, *, plain: bool) -> View:
    """Return bars for a terminal if rich is installed, else plain lines."""
    return LiveView(min(workers, MOST_BARS)) if RICH and sys.stdout.isatty() and not plain else View()


# --- the summary --------------------------------------------------------------------------


def write_summary(census: Census, view: View) -> None:
    """Tell how the tasks ended, what the files contain, what took long, what went wrong and what was known."""
    tasks = census.tasks
    counted = [info for info in tasks if info.status == TaskStatus.COMPLETED]
    others = [info for info in tasks if info.status != TaskStatus.COMPLETED]
    view.write()
    view.write(headline(tasks), "bold")
    if counted:
        write_table(view, "Contents", contents([info.result for info in counted]))
        write_table(view, "Times, and the share of the completed tasks within them", times(counted))
        write_table(view, "Slowest files", slowest(counted))
    view.write()
    view.write("Not completed", "bold")
    for info in others[:LISTED]:
        view.write(f"  {info.status:9}  {info.metadata['file']}", STYLES[info.status])
        for line in textwrap.wrap(reason(info), width() - len(INDENT)):
            view.write(INDENT + line)
    if len(others) > LISTED:
        view.write(f"{INDENT}and {len(others) - LISTED:,} more")
    view.write()
    view.write("The same files once more", "bold")
    for line in second_time(census):
        view.write(f"  {line}")


def headline(tasks: list[TaskInfo]) -> str:
    """How many tasks ended in which way, and how long all of them took."""
    ended = Counter(info.status for info in tasks)
    ways = ", ".join(f"{ended[status]:,} {status}" for status in TaskStatus if ended[status])
    return f"{len(tasks):,} tasks in {duration(tasks):.1f} s: {ways}"


def duration(tasks: list[TaskInfo]) -> float:
    """Seconds from the first task that was added to the last that ended."""
    began = min(info.created_at for info in tasks)
    return (max(info.completed_at or began for info in tasks) - began).total_seconds()


def second_time(census: Census) -> Iterator[str]:
    """What the cache was good for."""
    first = duration([info for info in census.tasks if info.status != TaskStatus.CANCELLED])
    second = duration(census.again)
    known = [info for info in census.again if info.from_cache]
    yield f"{len(known):,} of {len(census.again):,} results were in the cache"
    yield f"{as_time(second)} instead of {as_time(first)}: {as_time(first - second)} saved"
    anew = Counter(info.status for info in census.again if not info.from_cache)
    if anew:
        yield f"Not in the cache, and so read again: {', '.join(f'{anew[status]:,} {status}' for status in anew)}"


def contents(results: list[FileCensus]) -> Table:
    """What the files contain."""
    yield "", "in all", "median", "most"
    yield "files", f"{len(results):,}", "", ""
    for thing in ("bytes", "lines", "blank", "comments", "functions", "classes", "tokens"):
        counts = [getattr(result, thing) for result in results]
        yield thing, f"{sum(counts):,}", f"{statistics.median_high(counts):,}", f"{max(counts):,}"
    copies = len(results) - len({result.digest for result in results})
    yield "copies of other files", f"{copies:,}", "", ""


def times(counted: list[TaskInfo]) -> Table:
    """How long the tasks waited and ran, in percentiles."""
    shares = (0.50, 0.90, 0.99, 1.00)
    yield "", *(f"{share:.0%}" for share in shares)
    for label, values in (
        ("waiting", sorted(info.wait_time or 0.0 for info in counted)),
        ("running", sorted(info.run_time or 0.0 for info in counted)),
    ):
        yield label, *(as_time(values[math.ceil(share * len(values)) - 1]) for share in shares)


def slowest(counted: list[TaskInfo]) -> Table:
    """The files that took longest."""
    yield "", "size", "lines", "tokens", "waited", "ran"
    for info in sorted(counted, key=lambda info: info.run_time or 0.0, reverse=True)[:LISTED]:
        census: FileCensus = info.result
        yield (
            info.metadata["file"],
            as_size(census.bytes),
            f"{census.lines:,}",
            f"{census.tokens:,}",
            as_time(info.wait_time),
            as_time(info.run_time),
        )


def reason(info: TaskInfo) -> str:
    """Why a task has no result."""
    if info.error_detail is not None:
        return f"{info.error_detail.type}: {info.error}"
    return f"{info.progress:.0%} done after {as_time(info.run_time)}"


def write_table(view: View, title: str, table: Table) -> None:
    """Write rows in columns. The first column gets what room the others leave."""
    rows = list(table)
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    first = min(first, width() - sum(2 + other for other in others) - 2)
    view.write()
    view.write(title, "bold")
    for number, (name, *cells) in enumerate(rows):
        line = [cut_left(name, first).ljust(first), *map(str.rjust, cells, others)]
        view.write(f"  {'  '.join(line)}".rstrip(), "" if number else "dim")


def cut_left(text: str, room: int) -> str:
    """Shorten *text* at its beginning: the end of a path says most."""
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]


def width() -> int:
    """Return the columns of the terminal, 80 if there is none."""
    return shutil.get_terminal_size().columns


def as_size(size: int) -> str:
    """Write a number of bytes."""
    return f"{size / MEGABYTE:,.1f} MB" if size >= MEGABYTE else f"{size / 1000:,.1f} kB"


def as_time(seconds: float | None) -> str:
    """Write a number of seconds."""
    return f"{seconds or 0.0:.3f} s"


# --- the command --------------------------------------------------------------------------


def main() -> int:
    """Run the census. The exit code is 0 even if some files cannot be counted: that is a finding."""
    options = parse_arguments()
    sources = find_sources(options.folder)[: options.limit]
    if not sources:
        problem = "no Python files in" if options.folder.is_dir() else "no such folder:"
        print(f"census: {problem} {options.folder}", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(errors="replace")  # a file may have a name that cannot be printed
    view = choose_view(options.workers, plain=options.plain)
    view.write(f"Census of {options.folder}", "bold")
    view.write(f"  {len(sources):,} to count, {options.workers} at a time")
    try:
        with tempfile.TemporaryDirectory(prefix="census-") as scratch, view:
            census = asyncio.run(take_census(sources, Path(scratch), options.workers, view))
    except KeyboardInterrupt:
        completed = view.tally.ended[TaskStatus.COMPLETED]
        view.write(f"Interrupted with {completed:,} of {view.tally.files:,} files counted")
        return 130
    write_summary(census, view)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Take a census of Python source files.")
    stdlib = Path(sysconfig.get_path("stdlib"))
    parser.add_argument("folder", nargs="?", type=Path, default=stdlib, help="default: the standard library")
    parser.add_argument("--workers", type=positive, default=4, metavar="N", help="files at a time (default: 4)")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the N largest files")
    parser.add_argument("--plain", action="store_true", help="lines instead of bars, on a terminal too")
    return parser.parse_args()


def positive(text: str) -> int:
    """Return a whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
