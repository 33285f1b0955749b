"""Output of a census: bars on a terminal, plain lines elsewhere, and tables of the results."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Self

from census_tasks import News

from async_task_worker import TaskStatus

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TaskID, TextColumn
except ImportError:  # plain lines have the same information
    RICH = False
else:
    RICH = True

MEGABYTE = 1_000_000
MOST_BARS = 8

Table = Iterator[tuple[str, ...]]


class Tally:
    """The progress of a census, from the news of its tasks."""

    def __init__(self) -> None:
        self.files = self.bytes = self.bytes_done = 0
        self.running: dict[str, News] = {}
        self.ended: Counter[TaskStatus] = Counter()
        self._latest: dict[str, News] = {}

    def update(self, news: News) -> None:
        """Replace the state of one task."""
        if (before := self._latest.get(news.id)) is not None:
            self._count(before, -1)
        self._count(news, 1)
        self._latest[news.id] = news
        self.running.pop(news.id, None)
        if news.status == TaskStatus.RUNNING:
            self.running[news.id] = news

    def _count(self, news: News, sign: int) -> None:
        self.files += sign
        if news.finished:
            self.ended[news.status] += sign
        if news.status != TaskStatus.CANCELLED:  # a cancelled file is not counted any more
            self.bytes += sign * news.size
            self.bytes_done += sign * news.size * news.finished

    @property
    def progress(self) -> float:
        """The part of all bytes that has been counted, from 0.0 to 1.0."""
        begun = sum(news.progress * news.size for news in self.running.values())
        return (self.bytes_done + begun) / max(self.bytes, 1)

    def __str__(self) -> str:
        return f"{self.ended.total():,} of {self.files:,} files"


class View:
    """Shows a census in plain lines: one for each tenth of the whole."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._tenths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, news: News) -> None:
        """Show the news of one task, if it is worth a line."""
        self.tally.update(news)
        tenths = int(self.tally.progress * 10)
        if tenths > self._tenths:
            self._tenths = tenths
            current = next((running.file for running in self.tally.running.values()), "")
            self.write(f"{tenths:>4}0 %  {self.tally}  {current}".rstrip())

    def write(self, line: str = "", style: str = "") -> None:
        """Print a line at once. Plain text has no *style*."""
        del style
        print(line, flush=True)


class LiveView(View):
    """Shows a census in bars: one for the whole and one for each running task.

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

    def update(self, news: News) -> None:
        """Move the bar of the whole and the bar of the task."""
        self.tally.update(news)
        self._move(self._whole, str(self.tally), self.tally.progress, self.tally.bytes)
        runs = news.status == TaskStatus.RUNNING
        if runs and news.id not in self._taken and self._free:
            self._taken[news.id] = self._free.pop()
        if (row := self._taken.get(news.id)) is not None:
            self._move(row, news.file, news.progress, news.size)
            if not runs:
                self._free.append(self._taken.pop(news.id))

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


def write_table(view: View, title: str, table: Table) -> None:
    """Write rows in columns. The first column gets the width that the others leave."""
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
