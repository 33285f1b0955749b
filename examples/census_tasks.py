"""Source files, and the task that counts the contents of one.

Splitting a file into tokens is pure computing. Done on the event loop it would hold up all
else for as long as a file takes, so it happens in a thread: the total stays about the same,
since threads share the interpreter, but the loop goes on and every file shows its progress.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from async_task_worker import AsyncTaskWorker, ProgressCallback, TaskEvent, TaskStatus, task

FILE_TIMEOUT = 60.0
ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
LINES_PER_REPORT = 100
REPORTS = 50
"""No more than so many of one file: the event loop has to keep up with the threads that make them."""


class SourceFile(NamedTuple):
    """A file to be counted, and the name to show for it."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class FileCensus:
    """The contents of one file. Files with the same digest are copies of each other."""

    digest: str
    bytes: int
    lines: int
    blank: int
    comments: int
    functions: int
    classes: int
    tokens: int


class News(NamedTuple):
    """The state of the task that counts a file, as far as it is shown."""

    id: str
    status: TaskStatus
    progress: float
    file: str
    size: int

    @property
    def finished(self) -> bool:
        """Whether the task has ended, in whichever way."""
        return self.status in ENDED


def find_sources(folder: Path) -> list[SourceFile]:
    """Return the Python files below *folder*, the largest first, without installed packages."""
    sources = [
        SourceFile(path, str(name), path.stat().st_size)
        for path in folder.rglob("*.py")
        if "site-packages" not in (name := path.relative_to(folder)).parts and path.is_file()
    ]
    return sorted(sources, key=lambda source: (-source.size, source.name))


def not_utf8(folder: Path) -> SourceFile:
    """Make a file with a line in Latin-1, which it does not declare: it cannot be read."""
    return write_source(folder / "not_utf8.py", b"# Written long ago.\n\ngreeting = 'Ol\xe1'\n")


def oversized(folder: Path) -> SourceFile:
    """Make a file that takes seconds to count: time enough to think better of it."""
    return write_source(folder / "oversized.py", b"rows.append(('one', 'of', 'many'))\n" * 200_000)


def write_source(path: Path, content: bytes) -> SourceFile:
    """Make a file for the sake of demonstration."""
    path.write_bytes(content)
    return SourceFile(path, f"{path.name} (made for this run)", len(content))


async def add_file(worker: AsyncTaskWorker, source: SourceFile, **options: Any) -> str:
    """Add the task that counts one file."""
    metadata = {"file": source.name, "size": source.size}
    return await worker.add_task(census_file, source.path, timeout=FILE_TIMEOUT, metadata=metadata, **options)


def news_of(event: TaskEvent) -> News:
    """Return the news from an event of a task that :func:`add_file` added."""
    info = event.task
    return News(info.id, info.status, info.progress, info.metadata["file"], info.metadata["size"])


@task("census.file")
async def census_file(path: Path, progress_callback: ProgressCallback) -> FileCensus:
    """Count the contents of the file at *path* and report progress.

    Raises:
        OSError: The file cannot be read.
        SyntaxError: It declares an encoding that does not exist, or is not made of Python's tokens.
        UnicodeDecodeError: It is not in the encoding it declares (UTF-8 if it declares none).
        tokenize.TokenError: It ends inside a string or bracket.
    """
    unwanted = threading.Event()
    try:
        return await asyncio.to_thread(_count, path, progress_callback, unwanted)
    finally:
        unwanted.set()  # if this task is cancelled: a thread cannot be stopped, but it checks this


def as_it_is(context: dict[str, Any]) -> str:
    """Return a cache key for the count of a file that is good until the file is written to."""
    path: Path = context["args"][0]
    state = path.stat()
    return f"census:{path.resolve()}:{state.st_size}:{state.st_mtime_ns}"


def _count(path: Path, report: ProgressCallback, unwanted: threading.Event) -> FileCensus:
    data = path.read_bytes()
    lines = _decoded_lines(data)
    found: Counter[int | str] = Counter()  # names by their text, all other tokens by their type
    for kind, text, *_ in tokenize.generate_tokens(_observed(lines, report, unwanted).__next__):
        found[text if kind == tokenize.NAME else kind] += 1
    return FileCensus(
        digest=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        lines=len(lines),
        blank=sum(not line.strip() for line in lines),
        comments=found[tokenize.COMMENT],
        functions=found["def"],
        classes=found["class"],
        tokens=found.total(),
    )


def _decoded_lines(data: bytes) -> list[str]:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return io.StringIO(data.decode(encoding), newline=None).readlines()


def _observed(lines: list[str], report: ProgressCallback, unwanted: threading.Event) -> Iterator[str]:
    """Yield *lines* and report how many have been read; end early if the result is not wanted any more."""
    step = max(LINES_PER_REPORT, len(lines) // REPORTS)
    for number, line in enumerate(lines, 1):
        if number % step == 0:
            if unwanted.is_set():
                return
            report(number / len(lines))  # may be called from any thread
        yield line
