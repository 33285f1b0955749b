"""The data model of the catalogue: contenders, scenarios, metrics and chapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = "ours"
BARE = "bare"
BEFORE = "before"
"""The contender that ``--against`` adds: the same adapter on another commit's tree."""

TASKS = "Tasks"
CACHE = "Cache"
DURABLE = "Durable"
CHAPTERS = (TASKS, CACHE, DURABLE)
"""The parts that the results are shown in, in this order."""

MILLION = 1_000_000


@dataclass(frozen=True)
class Contender:
    """Something that runs jobs, caches results, or stores jobs, or does several of these.

    ``adapter`` names a module of :mod:`benchmarks.contenders` for the first, of
    :mod:`benchmarks.caches` for the second and of :mod:`benchmarks.durable` for the third;
    ``packages`` is what to install for it. A ``from_checkout``
    contender runs from a source tree, with the dependencies that tree declares. A ``slow`` one takes
    the scenarios with a million tasks once only.
    """

    name: str
    title: str
    adapter: str
    packages: tuple[str, ...] = ()
    from_checkout: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario. Less is better for each of them."""

    key: str
    title: str
    unit: str

    @property
    def comparable(self) -> bool:
        """Whether a ratio between contenders says something: not of ratios, nor of figures near zero."""
        return self.unit in {"µs", "ms", "bytes"}


@dataclass(frozen=True)
class Scenario:
    """A measurement: a function of :mod:`benchmarks.scenarios`, who takes it, and its sizes."""

    name: str
    function: str
    contenders: tuple[str, ...]
    metrics: tuple[Metric, ...]
    full: Mapping[str, object]
    quick: Mapping[str, object]
    extra: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Sizes or options for some contenders only."""
    chapter: str = TASKS
    """Under which heading the figures are shown."""
    adapters: str = "contenders"
    """The subpackage of its adapters: ``contenders`` run jobs, ``caches`` cache results, ``durable`` store jobs."""
    most_rounds: int | None = None
    """For scenarios that take long and vary little. A slow contender takes such a scenario once."""

    def sizes(self, contender: str, *, quick: bool) -> dict[str, object]:
        """Return the arguments of the function for *contender*."""
        known_as = OURS if contender == BEFORE else contender
        return {**(self.quick if quick else self.full), **self.extra.get(known_as, {})}

    def rounds(self, contender: Contender, wanted: int) -> int:
        """Return how many of the *wanted* rounds *contender* takes."""
        if self.most_rounds is None:
            return wanted
        return min(wanted, 1 if contender.slow else self.most_rounds)
