"""From samples to figures: medians, spreads, and ratios taken within each round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.catalogue import SCENARIOS
from benchmarks.goals import GOALS, Goal
from benchmarks.runner import Sample


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
    """What became of a goal on one interpreter."""

    goal: Goal
    interpreter: str
    must: float
    moonshot: float | None
    reached: Spread
    verdict: str


class Figures:
    """Everything measured, by interpreter, scenario, metric and subject."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._values: defaultdict[tuple[str, str, str, str], dict[int, float]] = defaultdict(dict)
        for sample in samples:
            for metric, value in sample.figures.items():
                self._values[sample.interpreter, sample.scenario, metric, sample.subject][sample.round] = value

    def value(self, interpreter: str, scenario: str, metric: str, subject: str) -> Spread | None:
        """Return a subject's own figure."""
        return Spread.of(self._rounds(interpreter, scenario, metric, subject).values())

    def ratio(self, interpreter: str, scenario: str, metric: str, over: str, under: str) -> Spread | None:
        """Return how many times the figure of *under* that of *over* is, round by round."""
        above = self._rounds(interpreter, scenario, metric, over)
        below = self._rounds(interpreter, scenario, metric, under)
        return Spread.of(above[turn] / below[turn] for turn in above.keys() & below.keys() if below[turn])

    def judge(self, interpreter: str, version: tuple[int, int]) -> list[Judgement]:
        """Return a judgement of every goal whose figures are there."""
        judgements = []
        for goal in GOALS:
            reached = self._reached(goal, interpreter)
            if reached is not None:
                must, moonshot = goal.limits_on(version)
                verdict = goal.verdict(reached.median, version)
                judgements.append(Judgement(goal, interpreter, must, moonshot, reached, verdict))
        return judgements

    def _reached(self, goal: Goal, interpreter: str) -> Spread | None:
        if goal.under is None:
            return self.value(interpreter, goal.scenario, goal.metric, goal.over)
        return self.ratio(interpreter, goal.scenario, goal.metric, goal.over, goal.under)

    def _rounds(self, interpreter: str, scenario: str, metric: str, subject: str) -> dict[int, float]:
        return self._values.get((interpreter, scenario, metric, subject), {})


def title(goal: Goal) -> str:
    """Return what a goal is about in words, such as ``no-op task: published ÷ ours``."""
    metric = next(metric for metric in SCENARIOS[goal.scenario].metrics if metric.key == goal.metric)
    return f"{metric.title}: {goal.over} ÷ {goal.under}" if goal.under else f"{metric.title}, {metric.unit}"
