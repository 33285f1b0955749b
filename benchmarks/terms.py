"""The terms the catalogue is written in: subjects, scenarios, metrics and the chapters they are shown in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = "ours"
BARE = "bare"
BEFORE = "before"
"""The subject that ``--against`` adds: the same adapter on another commit's tree."""

TASKS = "Tasks"
CACHE = "Cache"
DURABLE = "Durable"
CHAPTERS = (TASKS, CACHE, DURABLE)
"""The parts that the results are shown in, in this order."""

MILLION = 1_000_000


@dataclass(frozen=True)
class Subject:
    """Something that runs jobs, keeps results, or writes jobs down, or several of these.

    ``adapter`` names a module of :mod:`benchmarks.subjects` for the first, of
    :mod:`benchmarks.caches` for the second and of :mod:`benchmarks.durable` for the third;
    ``packages`` is what to install for it. A ``from_tree``
    subject runs from a source tree, with the dependencies that tree declares. A ``slow`` one takes
    the scenarios with a million tasks once only.
    """

    name: str
    title: str
    adapter: str
    packages: tuple[str, ...] = ()
    from_tree: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario. Less is better for each of them."""

    key: str
    title: str
    unit: str

    @property
    def comparable(self) -> bool:
        """Whether a ratio between subjects says something: not of ratios, nor of figures near zero."""
        return self.unit in {"µs", "ms", "bytes"}


@dataclass(frozen=True)
class Scenario:
    """A measurement: a function of :mod:`benchmarks.scenarios`, who takes it, and its sizes."""

    name: str
    function: str
    subjects: tuple[str, ...]
    metrics: tuple[Metric, ...]
    full: Mapping[str, object]
    quick: Mapping[str, object]
    extra: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Sizes or options for some subjects only."""
    chapter: str = TASKS
    """Under which heading the figures are shown."""
    adapters: str = "subjects"
    """The subpackage whose adapters take it: ``subjects`` run jobs, ``caches`` keep results, ``durable`` write down."""
    most_rounds: int | None = None
    """For what takes long and varies little. A slow subject takes such a scenario once."""

    def sizes(self, subject: str, *, quick: bool) -> dict[str, object]:
        """Return the arguments of the function for *subject*."""
        known_as = OURS if subject == BEFORE else subject
        return {**(self.quick if quick else self.full), **self.extra.get(known_as, {})}

    def rounds(self, subject: Subject, wanted: int) -> int:
        """Return how many of the *wanted* rounds *subject* takes."""
        if self.most_rounds is None:
            return wanted
        return min(wanted, 1 if subject.slow else self.most_rounds)
