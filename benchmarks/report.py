"""Put the results together: everything as data, and what a person wants to know as Markdown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.model import BARE, BEFORE, CHAPTERS, OURS, Contender, Metric, Scenario
from benchmarks.runner import Plan, Sample
from benchmarks.statistics import Judgement, Spread, Statistics, title

RESULTS = "results.json"
TABLES = "results.md"
PLOT = "results"
"""The plot's name before ``.png`` and ``.svg``."""

LEGEND = """\
CPU time per task, or per use of a cache, unless a unit says otherwise; less is better everywhere. A
figure is the median of its rounds, ± half the range between the least and the greatest; *n*× is the
cost relative to ours, the median of the ratios taken within each round.
"""


@dataclass
class Report:
    """A plan and what came of it."""

    plan: Plan
    samples: list[Sample]
    date: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).date().isoformat())

    def __post_init__(self) -> None:
        self.machine = machine.describe()
        self.versions = _versions(self.plan)
        self.interpreters = [interpreter.name for interpreter in self.plan.interpreters]
        self._contenders = [prepared.contender for prepared in self.plan.contenders]
        self._statistics = Statistics(self.samples)

    def write(self, folder: Path) -> None:
        """Write the data and the tables into *folder*."""
        folder.mkdir(parents=True, exist_ok=True)
        data = json.dumps(self.data(), indent=1, ensure_ascii=False)
        (folder / RESULTS).write_text(data + "\n", encoding="utf-8")
        (folder / TABLES).write_text(self.markdown(), encoding="utf-8")

    def data(self) -> dict[str, object]:
        """Return everything as plain data, the samples of each round included."""
        return {
            "date": self.date,
            "machine": self.machine,
            "quick": self.plan.quick,
            "rounds": self.plan.rounds,
            "interpreters": self.interpreters,
            "contenders": {contender.name: contender.title for contender in self._contenders},
            "versions": self.versions,
            "figures": list(self._all_figures()),
            "targets": [_target_data(judgement) for row in self.judgements() for judgement in row],
            "samples": [asdict(sample) for sample in self.samples],
        }

    def markdown(self) -> str:
        """Return the tables with what they were measured on."""
        parts = ["# Benchmark results", self._circumstances(), f"![Cost relative to ours]({PLOT}.png)"]
        if self.judgements():
            parts += ["## Targets", self.targets_table()]
        if any(contender.name == BEFORE for contender in self._contenders):
            parts += ["## Before and after", self.comparison_table()]
        for interpreter in self.interpreters:
            parts += [f"## Figures on {interpreter}", LEGEND]
            for chapter in self._chapters():
                parts += [f"### {chapter}", self.figures_table(interpreter, chapter)]
        failures = dict.fromkeys(_failure(sample) for sample in self.samples if sample.error)
        if failures:
            parts += ["## Failed", "\n".join(failures)]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def judgements(self) -> list[list[Judgement]]:
        """Return for each target its judgements, one for each interpreter that has the figures."""
        rows: dict[int, list[Judgement]] = {}
        for interpreter in self.plan.interpreters:
            for judgement in self._statistics.judge(interpreter.name, interpreter.version):
                rows.setdefault(id(judgement.target), []).append(judgement)
        return list(rows.values())

    def targets_table(self) -> str:
        """Return the targets and what was reached, the interpreters side by side."""
        rows = [["target", "must", "moonshot", *self.interpreters]]
        for row in self.judgements():
            cells = {judgement.interpreter: _reached(judgement) for judgement in row}
            reached = [cells.get(name, "") for name in self.interpreters]
            rows.append([title(row[0].target), *_limits(row), *reached])
        return _table(rows)

    def comparison_table(self) -> str:
        """Return after ÷ before for every metric, the interpreters side by side."""
        rows = [["after ÷ before", *self.interpreters]]
        for scenario, metric in self._metrics():
            ratios = [
                self._statistics.ratio(name, scenario.name, metric.key, OURS, BEFORE) for name in self.interpreters
            ]
            if any(ratios):
                rows.append([metric.title, *(_range(ratio) for ratio in ratios)])
        return _table(rows)

    def figures_table(self, interpreter: str, chapter: str) -> str:
        """Return a chapter's figures on one interpreter, of all contenders that have any."""
        metrics = [(scenario, metric) for scenario, metric in self._metrics() if scenario.chapter == chapter]
        contenders = [contender for contender in self._contenders if self._has_any(interpreter, metrics, contender)]
        rows = [["", "unit", *(contender.title for contender in contenders)]]
        for scenario, metric in metrics:
            cells = [self._cell(interpreter, scenario, metric, contender.name) for contender in contenders]
            if any(cells):
                rows.append([metric.title, metric.unit, *cells])
        return _table(rows)

    def _has_any(self, interpreter: str, metrics: Iterable[tuple[Scenario, Metric]], contender: Contender) -> bool:
        return any(self._cell(interpreter, scenario, metric, contender.name) for scenario, metric in metrics)

    def _chapters(self) -> list[str]:
        planned = {scenario.chapter for scenario in self.plan.scenarios}
        return [chapter for chapter in CHAPTERS if chapter in planned]

    def _cell(self, interpreter: str, scenario: Scenario, metric: Metric, contender: str) -> str:
        value = self._statistics.value(interpreter, scenario.name, metric.key, contender)
        if value is None:
            return ""
        if not metric.comparable:
            return number(value.median)
        ratio = self._statistics.ratio(interpreter, scenario.name, metric.key, contender, OURS)
        relative = f" ({number(ratio.median)}×)" if ratio and contender != OURS else ""
        return f"{number(value.median)}{_deviation(value)}{relative}"

    def _circumstances(self) -> str:
        sizes = "quick sizes, so not all targets can be judged" if self.plan.quick else "full sizes"
        versions = "; ".join(
            f"{contender}: {', '.join(f'{name} {version}' for name, version in found.items())}"
            for contender, found in self.versions.items()
        )
        return (
            f"{self.date} · {self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['system']}, "
            f"{self.machine['files']} · {', '.join(self.interpreters)} · {sizes}, "
            f"rounds: {self.plan.rounds} or fewer · {versions}"
        )

    def _metrics(self) -> Iterator[tuple[Scenario, Metric]]:
        for scenario in self.plan.scenarios:
            for metric in scenario.metrics:
                yield scenario, metric

    def _all_figures(self) -> Iterator[dict[str, object]]:
        for interpreter in self.interpreters:
            for scenario, metric in self._metrics():
                for contender in self._contenders:
                    place = (interpreter, scenario.name, metric.key, contender.name)
                    value = self._statistics.value(*place)
                    if value is not None:
                        ratios = {
                            f"over_{other}": self._statistics.ratio(*place, other) if metric.comparable else None
                            for other in (OURS, BARE)
                        }
                        yield {
                            "interpreter": interpreter,
                            "scenario": scenario.name,
                            "chapter": scenario.chapter,
                            **asdict(metric),
                            "contender": contender.name,
                            **asdict(value),
                            **{name: ratio and asdict(ratio) for name, ratio in ratios.items()},
                        }


def number(value: float) -> str:
    """Return a number with three digits that matter, or all of those before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if abs(value) >= 0.001 else "0"


def _versions(plan: Plan) -> dict[str, dict[str, str]]:
    first = plan.interpreters[0]
    found = {prepared.contender.title: prepared.versions(first) for prepared in plan.contenders}
    return {contender: versions for contender, versions in found.items() if versions}


def _target_data(judgement: Judgement) -> dict[str, object]:
    return {
        "target": title(judgement.target),
        "interpreter": judgement.interpreter,
        "at_least": judgement.target.at_least,
        "must": judgement.must,
        "moonshot": judgement.moonshot,
        "reached": asdict(judgement.reached),
        "verdict": judgement.verdict,
    }


def _limits(row: Sequence[Judgement]) -> tuple[str, str]:
    """Return the must and the moonshot, several if the interpreters differ."""
    sign = "≥" if row[0].target.at_least else "≤"

    def several(limits: Iterator[float | None]) -> str:
        return " / ".join(dict.fromkeys(f"{sign} {limit:g}" for limit in limits if limit is not None))

    return several(judgement.must for judgement in row), several(judgement.moonshot for judgement in row)


def _reached(judgement: Judgement) -> str:
    mark = {"moonshot": "★", "must": "✓", "missed": "✗"}[judgement.verdict]
    return f"{_range(judgement.reached)} {mark} {judgement.verdict}"


def _range(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if spread.count == 1:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def _deviation(spread: Spread) -> str:
    if spread.count == 1 or not spread.median:
        return ""
    return f" ± {(spread.high - spread.low) / 2 / spread.median:.0%}"


def _failure(sample: Sample) -> str:
    return f"* {sample.scenario}, {sample.contender} on {sample.interpreter}: {sample.error}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    ruler = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *body))
