"""Draw the results: ``python -m benchmarks.plot RESULTS.json PATH-WITHOUT-SUFFIX``.

Runs in an environment of its own that has matplotlib; of the results it reads the JSON file alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.model import BARE, BEFORE, CACHE, CHAPTERS, DURABLE, OURS, TASKS
from benchmarks.report import number

NOOP = ("noop", "cpu")
COLOURS = {
    OURS: "#0b6e4f",
    BARE: "#8a8f98",
    "taskgroup": "#6fa8dc",
    "semaphore": "#2f5597",
    "aiojobs": "#e0a030",
    "taskiq": "#9b5094",
    "published": "#c8443c",
    "lru_cache": "#8a8f98",
    "cachetools": "#6fa8dc",
    "cashews": "#e0a030",
    "aiocache": "#9b5094",
    "deepcopy": "#2f5597",
    "memory": "#8a8f98",
    "aiosqlite": "#6fa8dc",
    "aiosqlite-merged": "#2f5597",
    "huey": "#e0a030",
    "dbos": "#9b5094",
    BEFORE: "#5ac8ae",
}
"""One for each contender of a chapter; the floor of each chapter is grey."""
HEADINGS = {TASKS: "Everything else", CACHE: "The cache", DURABLE: "On disk"}
SHADES = (1.0, 0.6, 0.4, 0.3)
"""Opacity of the bars, one for each interpreter."""
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "svg.hashsalt": "benchmarks",  # the same figures give the same file
}

BEHIND_WORDS = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9.5}

Data = dict[str, Any]
Metric = tuple[str, str]
"""Names of a scenario and of a figure in it."""


class Results:
    """The JSON file, asked for what a plot needs."""

    def __init__(self, data: Data) -> None:
        self.interpreters: list[str] = data["interpreters"]
        self.titles: dict[str, str] = data["contenders"]
        self.circumstances = (
            f"{data['date']} · {data['machine']['cpu']}, {data['machine']['cores']} cores, "
            f"{data['machine']['system']}{' · quick sizes' if data['quick'] else ''}"
        )
        self._figures = {
            (figure["interpreter"], (figure["scenario"], figure["key"]), figure["contender"]): figure
            for figure in data["figures"]
        }

    def relative(self, interpreter: str, metric: Metric, contender: str) -> float | None:
        """Return the cost relative to ours; to the bare floor where ours was not measured."""
        figure = self._figures.get((interpreter, metric, contender))
        ratio = figure and (figure["over_ours"] or (figure["over_bare"] if self.reference == BARE else None))
        return ratio["median"] if ratio and ratio["median"] > 0 else None

    def microseconds(self, interpreter: str, metric: Metric, contender: str) -> float:
        """Return the figure itself."""
        return float(self._figures[interpreter, metric, contender]["median"])

    @property
    def reference(self) -> str:
        """The contender all others are compared with."""
        return OURS if OURS in self.titles else BARE

    def contenders_by_cost(self) -> list[str]:
        """Return the contenders that took the no-op scenario, the cheapest first."""
        costs = {contender: self.relative(self.interpreters[0], NOOP, contender) for contender in self.titles}
        return sorted((s for s, cost in costs.items() if cost), key=lambda contender: costs[contender] or 0)

    def compared_metrics(self, chapter: str) -> dict[Metric, str]:
        """Return a chapter's metrics besides the no-op that can be compared between contenders, with their titles."""
        return {
            metric: figure["title"]
            for (interpreter, metric, contender), figure in self._figures.items()
            if figure["chapter"] == chapter
            and metric != NOOP
            and contender != self.reference
            and self.relative(interpreter, metric, contender)
        }

    def compared_contenders(self, metrics: dict[Metric, str]) -> dict[str, str]:
        """Return the contenders, besides the reference, that have any of these metrics, with their titles."""
        having = {contender for _, metric, contender in self._figures if metric in metrics} - {self.reference}
        return {contender: title for contender, title in self.titles.items() if contender in having}


def draw(results: Results, path: Path) -> None:
    """Write the plot as PNG and SVG."""
    with mpl.rc_context(STYLE):
        panels = list(_panels(results))
        heights = [panel.height for panel in panels]
        figure = Figure(figsize=(11.5, sum(heights) + 0.8), layout="constrained")
        FigureCanvasAgg(figure)
        if panels:
            parts = figure.subfigures(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
            for part, panel in zip(parts, panels, strict=True):
                panel.draw(part)
        figure.supxlabel(results.circumstances, fontsize=9, color="#555555")
        figure.savefig(path.with_suffix(".png"), dpi=144)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


class _Panel(NamedTuple):
    """A part of the plot: its height in inches, and what draws it."""

    height: float
    draw: Callable[[FigureBase], None]


def _panels(results: Results) -> Iterator[_Panel]:
    """Return the parts there are figures for: the no-op as bars, then each chapter as dots."""
    bars = len(results.contenders_by_cost())
    if bars:
        yield _Panel(bars * (0.3 * len(results.interpreters) + 0.2) + 0.9, partial(_draw_noop, results=results))
    for chapter in CHAPTERS:
        dots = len(results.compared_metrics(chapter))
        if dots:
            yield _Panel(0.36 * dots + 1.1, partial(_draw_chapter, results=results, chapter=chapter))


def _draw_noop(part: FigureBase, results: Results) -> None:
    """Draw the cost of a task that does nothing, one bar for each contender and interpreter."""
    axes: Axes = part.subplots()
    contenders, interpreters = results.contenders_by_cost(), results.interpreters
    height = 0.84 / len(interpreters)
    for place, contender in enumerate(contenders):
        for turn, interpreter in enumerate(interpreters):
            cost = results.relative(interpreter, NOOP, contender)
            if cost is not None:
                at = place + (turn - (len(interpreters) - 1) / 2) * height
                axes.barh(at, cost, height * 0.92, color=COLOURS[contender], alpha=SHADES[turn % len(SHADES)])
                own = results.microseconds(interpreter, NOOP, contender)
                label = f"{number(cost)}×   {number(own)} µs on {interpreter}"
                axes.annotate(label, (cost, at), (5, 0), bbox=BEHIND_WORDS, **BESIDE)
    axes.set_yticks(range(len(contenders)), [results.titles[contender] for contender in contenders])
    axes.set_ylim(len(contenders) - 0.5, -0.5)
    axes.set_title("CPU time of a task that does nothing", loc="left")
    _set_scale(axes, results)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.35)  # room for the words behind the longest bar


def _draw_chapter(part: FigureBase, results: Results, chapter: str) -> None:
    """Draw the costs in a chapter, a dot for each contender, the interpreters side by side."""
    metrics = results.compared_metrics(chapter)
    contenders = results.compared_contenders(metrics)
    columns = part.subplots(1, len(results.interpreters), sharex=True, sharey=True, squeeze=False)[0]
    for axes, interpreter in zip(columns, results.interpreters, strict=True):
        for place, metric in enumerate(metrics):
            for contender in contenders:
                cost = results.relative(interpreter, metric, contender)
                if cost is not None:
                    axes.plot(cost, place, "o", color=COLOURS[contender], markersize=8, alpha=0.9)
        axes.set_yticks(range(len(metrics)), list(metrics.values()))
        axes.set_ylim(len(metrics) - 0.5, -0.5)
        axes.grid(visible=True, axis="y", linewidth=0.6)
        axes.set_title(f"{HEADINGS[chapter]} on {interpreter}", loc="left")
        _set_scale(axes, results)
    _add_legend(part, contenders)


def _add_legend(figure: Any, contenders: dict[str, str]) -> None:
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=COLOURS[contender], label=title)
        for contender, title in contenders.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9.5)


def _set_scale(axes: Axes, results: Results) -> None:
    """Make the axis logarithmic, with a line at the reference and factors for labels."""
    name = "ours" if results.reference == OURS else results.titles[results.reference]
    axes.set_xscale("log")
    axes.axvline(1, color=COLOURS[results.reference], linewidth=2, zorder=0.5)
    axes.grid(visible=True, axis="x", linewidth=0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"relative to {name}, logarithmic; less is better", fontsize=10)


if __name__ == "__main__":
    draw(Results(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), Path(sys.argv[2]))
