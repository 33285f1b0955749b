"""Take a census of Python source files: one background task per file, the largest first.

    python examples/census.py [folder] [--workers N] [--limit N] [--plain]

Without a folder it reads the standard library of the interpreter it runs on. To show that tasks
also end in other ways, it adds two files of its own making: one that is not UTF-8 and so fails,
and one so long that its task is cancelled when a tenth of it has been counted. Then it takes the
census of the same files once more, and finds what has not changed in the cache. In the end it has
a process of its own count the smaller files, kills it in the middle, and lets another one go on.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import statistics
import sys
import sysconfig
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from census_crash import affordable, survive, write_intention, write_report
from census_tasks import FileCensus, SourceFile, add_file, as_it_is, find_sources, news_of, not_utf8, oversized
from census_view import Table, View, as_size, as_time, choose_view, width, write_table

from async_task_worker import AsyncTaskWorker, TaskInfo, TaskStatus

CANCEL_AT = 0.1
LISTED = 10
"""How many of the slowest files, and of those not completed, the summary shows."""

STYLES = {TaskStatus.FAILED: "red", TaskStatus.CANCELLED: "yellow"}
INDENT = " " * 13


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
        stop_listening = worker.events.listen(lambda event: view.update(news_of(event)))
        for source in files:
            await add(worker, source)
        await cancel_midway(worker, await add(worker, oversized(scratch)))
        await worker.drain()
        stop_listening()
        tasks = worker.get_all_tasks()
        for source in files:
            await add(worker, source)
        await worker.drain()
        return Census(tasks, worker.get_all_tasks(limit=len(files)))


async def add(worker: AsyncTaskWorker, source: SourceFile) -> str:
    """Add the task of one file. Lower numbers run first, so the largest file does."""
    return await add_file(worker, source, priority=-source.size, cache_key_fn=as_it_is)


async def cancel_midway(worker: AsyncTaskWorker, task_id: str) -> None:
    """Cancel a task in the middle of its work: when it has done a tenth of it."""
    async with worker.events.stream() as events:
        async for event in events:
            if event.task.id == task_id and (event.task.progress >= CANCEL_AT or event.task.finished):
                await worker.cancel_task(task_id)
                return


# --- the summary --------------------------------------------------------------------------


def write_summary(census: Census, view: View) -> None:
    """Print how the tasks ended, what the files contain, what took long, what failed and what was cached."""
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
    """Yield the lines about the cache."""
    first = duration([info for info in census.tasks if info.status != TaskStatus.CANCELLED])
    second = duration(census.again)
    known = [info for info in census.again if info.from_cache]
    yield f"{len(known):,} of {len(census.again):,} results were in the cache"
    yield f"{as_time(second)} instead of {as_time(first)}: {as_time(first - second)} saved"
    anew = Counter(info.status for info in census.again if not info.from_cache)
    if anew:
        yield f"Not in the cache, and so read again: {', '.join(f'{anew[status]:,} {status}' for status in anew)}"


def contents(results: list[FileCensus]) -> Table:
    """Yield the lines about the contents of the files."""
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


# --- the command --------------------------------------------------------------------------


def main() -> int:
    """Run the census. The exit code is 0 even if some files cannot be counted: that is a finding."""
    options = parse_arguments()
    logging.getLogger("async_task_worker").setLevel(logging.CRITICAL)  # the summary lists what failed
    sources = find_sources(options.folder)[: options.limit]
    if not sources:
        problem = "no Python files in" if options.folder.is_dir() else "no such folder:"
        print(f"census: {problem} {options.folder}", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(errors="replace")  # a file may have a name that cannot be printed
    try:
        with tempfile.TemporaryDirectory(prefix="census-") as scratch:
            return perform(sources, Path(scratch), options)
    except KeyboardInterrupt:
        return 130


def perform(sources: Sequence[SourceFile], scratch: Path, options: argparse.Namespace) -> int:
    """Take the census in all ways, and return the exit code: 1 if a task that must not get lost did."""
    with shown(options) as view:
        view.write(f"Census of {options.folder}", "bold")
        view.write(f"  {len(sources):,} to count, {options.workers} at a time")
        census = asyncio.run(take_census(sources, scratch, options.workers, view))
    write_summary(census, view)
    files = [*sources, not_utf8(scratch)]
    chosen = affordable(files)
    with shown(options) as view:
        write_intention(chosen, len(files), view)
        crash = survive(chosen, scratch, options.workers, view)
    write_report(crash, census.tasks, view)
    problems = list(crash.problems())
    for problem in problems:
        print(f"census: {problem}", file=sys.stderr)
    return 1 if problems else 0


@contextmanager
def shown(options: argparse.Namespace) -> Iterator[View]:
    """Show a census while it runs. If Ctrl-C ends it, say how far it was."""
    view = choose_view(options.workers, plain=options.plain)
    try:
        with view:
            yield view
    except KeyboardInterrupt:
        completed = view.tally.ended[TaskStatus.COMPLETED]
        view.write(f"Interrupted with {completed:,} of {view.tally.files:,} files counted")
        raise


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
