"""Draw the picture of ``make demo`` for the README: an animated SVG of what the demo prints on a terminal.

Usage: python tools/demo_picture.py [docs/images/demo.svg]

Runs the demo on a pseudo-terminal, reads the few control sequences that it uses, and draws a choice of screens one
after the other. A program that does not play animations shows the last screen. Works on Linux and macOS.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import sysconfig
import termios
import time
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
COLUMNS: Final = 88
ROWS: Final = 24
FRAMES: Final = 24
SECONDS: Final = 0.6
"""Seconds for which each frame but the last is shown."""
LAST_SECONDS: Final = 5.0
CELL: Final = (7.8, 17.0)
"""Width and height of a character in the picture."""
FONT: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
COLOURS: Final = {
    "91": "#ff7b72",
    "31": "#ff7b72",
    "90": "#484f58",
    "2": "#8b949e",
    "35": "#d2a8ff",
    "32": "#7ee787",
    "33": "#e3b341",
}
BAR: Final = frozenset("━╺╸")
CONTROL: Final = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|(\r|\n)")


class Cell(NamedTuple):
    """A character and the codes of its style."""

    character: str
    style: str


Row = list[Cell]


class Screen:
    """As much of a terminal as the demo uses: styles, line ends, erasing a line, going up."""

    def __init__(self) -> None:
        self.rows: list[Row] = [[]]
        self._row = self._column = 0
        self._style = ""

    def write(self, text: str) -> None:
        """Process the output of a program."""
        place = 0
        for control in CONTROL.finditer(text):
            self._put(text[place : control.start()])
            self._obey(control)
            place = control.end()
        self._put(text[place:])

    def snapshot(self) -> list[Row]:
        """Return the rows that are in view."""
        return [list(row) for row in self.rows[-ROWS:]]

    def _put(self, text: str) -> None:
        row = self.rows[self._row]
        row.extend([Cell(" ", "")] * (self._column - len(row)))
        row[self._column : self._column + len(text)] = [Cell(character, self._style) for character in text]
        self._column += len(text)

    def _obey(self, control: re.Match[str]) -> None:
        codes, letter, end = control.groups()
        if end == "\n":
            self._row += 1
            if self._row == len(self.rows):
                self.rows.append([])
        elif end == "\r":
            self._column = 0
        elif letter == "m":
            self._style = "" if codes in {"", "0"} else codes
        elif letter == "K":
            self.rows[self._row] = []
        elif letter == "A":
            self._row = max(0, self._row - int(codes or 1))


def record() -> list[tuple[float, list[Row]]]:
    """Run the demo, and return the screens it showed with the seconds since its start."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS)}
    started = time.monotonic()
    screen, screens, pending = Screen(), [], b""
    with subprocess.Popen([sys.executable, "examples/census.py"], stdout=terminal, cwd=ROOT, env=environment) as demo:
        os.close(terminal)
        while chunk := _read(master):
            whole, line_end, pending = (pending + chunk).rpartition(b"\n")
            screen.write((whole + line_end).decode().replace(sysconfig.get_path("stdlib"), "/usr/lib/python3"))
            screens.append((time.monotonic() - started, screen.snapshot()))
    if demo.returncode:
        raise SystemExit(f"The demo failed with status {demo.returncode}")
    return screens


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux reports that the program has closed its end
        return b""


def chosen(screens: list[tuple[float, list[Row]]]) -> list[list[Row]]:
    """Return screens at equal distances in time, and the last one."""
    end = screens[-1][0]
    moments = [end * number / FRAMES for number in range(1, FRAMES)]
    shown = [next(rows for at, rows in screens if at >= moment) for moment in moments]
    return [rows for rows, _ in groupby([*shown, screens[-1][1]])]


def drawn(frames: list[list[Row]]) -> Iterator[str]:
    """Return the lines of the SVG."""
    width, height = COLUMNS * CELL[0] + 32, ROWS * CELL[1] + 56
    whole = (len(frames) - 1) * SECONDS + LAST_SECONDS
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
    yield "<title>make demo: 1,500 files counted by background tasks, a crash, and what became of the tasks</title>"
    yield f"<style>text{{font:13px {FONT};white-space:pre}}"
    yield f".f{{opacity:0;animation:{whole:g}s step-end infinite}}.f:last-child{{opacity:1}}"
    for number in range(len(frames)):
        begin, end = (100 * place * SECONDS / whole for place in (number, number + 1))
        hidden = "" if number == 0 else "0%{opacity:0}"
        over = "" if number == len(frames) - 1 else f"{end:.2f}%{{opacity:0}}"
        yield f"@keyframes k{number}{{{hidden}{begin:.2f}%{{opacity:1}}{over}}}"
    yield "@media (prefers-reduced-motion){.f{animation:none!important}}</style>"
    yield f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#0d1117"/>'
    for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        yield f'<circle cx="{20 + 20 * place}" cy="18" r="6" fill="{colour}"/>'
    yield f'<text x="{width / 2:.0f}" y="23" fill="#8b949e" text-anchor="middle">make demo</text>'
    for number, rows in enumerate(frames):
        yield f'<g class="f" style="animation-name:k{number}">'
        for place, row in enumerate(rows):
            yield from _runs(row, 52 + place * CELL[1])
        yield "</g>"
    yield "</svg>"


def _runs(row: Row, y: float) -> Iterator[str]:
    """Return the elements of one row: a run of characters of one style is a text, or a bar."""
    column = 0
    for (style, is_bar), cells in groupby(row, key=lambda cell: (cell.style, cell.character in BAR)):
        text = "".join(cell.character for cell in cells)
        x, width = 16 + column * CELL[0], len(text) * CELL[0]
        column += len(text)
        if is_bar:
            yield f'<rect x="{x:.1f}" y="{y - 6:.0f}" width="{width:.1f}" height="4" fill="{_colour(style)}"/>'
        elif text.strip():
            looks = f'fill="{_colour(style)}"' + (' font-weight="bold"' if style == "1" else "")
            yield f'<text x="{x:.1f}" y="{y:.0f}" textLength="{width:.1f}" {looks}>{escape(text)}</text>'


def _colour(style: str) -> str:
    return COLOURS.get(style.rpartition(";")[2], "#c9d1d9")


def main() -> None:
    """Run the demo and write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "demo.svg"
    frames = chosen(record())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(drawn(frames)) + "\n", encoding="utf-8")
    print(f"{target}: {len(frames)} frames, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
