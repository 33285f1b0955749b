"""Medians, spreads and ratios of samples; a ratio is taken within each round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.catalogue import SCENARIOS
from benchmarks.runner import Sample
from benchmarks.targets import TARGETS, Target


@dataclass(frozen=True)
class Spread:
    """The median of some values with the least and the greatest of them."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of the values, or ``None`` if there are none."""
        known = sorted(values)
        return cls(median(known), known[0], known[-1], len(known)) if known else None


@dataclass(frozen=True)
class Judgement:
    """Whether a target was reached on one interpreter."""

    target: Target
    interpreter: str
    must: float
    moonshot: float | None
    reached: Spread
    verdict: str


class Statistics:
    """Everything measured, by interpreter, scenario, metric and contender."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._values: defaultdict[tuple[str, str, str, str], dict[int, float]] = defaultdict(dict)
        for sample in samples:
            for metric, value in sample.figures.items():
                self._values[sample.interpreter, sample.scenario, metric, sample.contender][sample.round] = value

    def value(self, interpreter: str, scenario: str, metric: str, contender: str) -> Spread | None:
        """Return a contender's own figure."""
        return Spread.of(self._rounds(interpreter, scenario, metric, contender).values())

    def ratio(self, interpreter: str, scenario: str, metric: str, over: str, under: str) -> Spread | None:
        """Return how many times the figure of *under* that of *over* is, round by round."""
        above = self._rounds(interpreter, scenario, metric, over)
        below = self._rounds(interpreter, scenario, metric, under)
        return Spread.of(above[turn] / below[turn] for turn in above.keys() & below.keys() if below[turn])

    def judge(self, interpreter: str, version: tuple[int, int]) -> list[Judgement]:
        """Return a judgement of every target whose figures are there."""
        judgements = []
        for target in TARGETS:
            reached = self._reached(target, interpreter)
            if reached is not None:
                must, moonshot = target.limits_on(version)
                verdict = target.verdict(reached.median, version)
                judgements.append(Judgement(target, interpreter, must, moonshot, reached, verdict))
        return judgements

    def _reached(self, target: Target, interpreter: str) -> Spread | None:
        if target.under is None:
            return self.value(interpreter, target.scenario, target.metric, target.over)
        return self.ratio(interpreter, target.scenario, target.metric, target.over, target.under)

    def _rounds(self, interpreter: str, scenario: str, metric: str, contender: str) -> dict[int, float]:
        return self._values.get((interpreter, scenario, metric, contender), {})


def title(target: Target) -> str:
    """Return what a target is about in words, such as ``no-op task: published ÷ ours``."""
    metric = next(metric for metric in SCENARIOS[target.scenario].metrics if metric.key == target.metric)
    return f"{metric.title}: {target.over} ÷ {target.under}" if target.under else f"{metric.title}, {metric.unit}"
