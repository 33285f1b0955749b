"""Targets per metric and Python version: what the worker must reach, and the moonshot."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.model import BARE, OURS

Limits = tuple[float, float | None]
"""What it must reach, and the moonshot where there is one."""

Since = tuple[tuple[tuple[int, int], Limits], ...]
"""Other limits from a version of Python on, the later versions last."""

PUBLISHED = "published"
MEMORY = "memory"


@dataclass(frozen=True)
class Target:
    """A limit on a metric: on its own value, or on the ratio between two contenders.

    With ``over`` and ``under`` the value judged is the first's metric divided by the second's.
    ``at_least`` targets are better the larger they are, all others the smaller.
    """

    scenario: str
    metric: str
    limits: Limits
    over: str = OURS
    under: str | None = None
    at_least: bool = False
    since: Since = ()

    def limits_on(self, version: tuple[int, int]) -> Limits:
        """Return the limits for a version of Python."""
        return [self.limits, *(limits for start, limits in self.since if start <= version)][-1]

    def verdict(self, value: float, version: tuple[int, int]) -> str:
        """Return ``moonshot``, ``must`` or ``missed`` for a measured value."""
        must, moonshot = self.limits_on(version)
        if moonshot is not None and self._meets(value, moonshot):
            return "moonshot"
        return "must" if self._meets(value, must) else "missed"

    def _meets(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def _faster_than_published(scenario: str, limits: Limits, metric: str = "cpu", since: Since = ()) -> Target:
    return Target(scenario, metric, limits, PUBLISHED, OURS, at_least=True, since=since)


def _close_to_bare(scenario: str, limits: Limits, metric: str = "cpu", since: Since = ()) -> Target:
    return Target(scenario, metric, limits, OURS, BARE, since=since)


TARGETS = (
    _faster_than_published("noop", (15, 22), since=(((3, 13), (24, 33)),)),
    _close_to_bare("noop", (4.5, 3.5), since=(((3, 12), (3.2, 2.5)),)),
    Target("noop", "cpu", (0.9, 0.6), OURS, "aiojobs"),
    _faster_than_published("timeout", (10, 15)),
    _close_to_bare("sleep0", (2.5, 1.8)),
    _close_to_bare("start", (3.5, 2.3), "p50"),
    Target("poll", "ratio", (1.25, None)),
    _close_to_bare("result", (2.0, 1.6)),
    _close_to_bare("waiters", (1.5, 1.2)),
    Target("pending", "bytes", (500, 350)),
    Target("pending-context", "bytes", (500, 350)),
    Target("pending-random", "bytes", (750, 550)),
    Target("pending-random-context", "bytes", (750, 550)),
    Target("finished", "bytes", (650, 450)),
    Target("growth", "ratio", (1.2, 1.0)),
    Target("growth-random", "ratio", (2.5, 1.7)),
    Target("listing", "newest", (40, 15)),
    Target("listing", "worst", (60, 0.5)),
    _faster_than_published("cancel", (8, 12)),
    _close_to_bare("progress", (1.5, None)),
    Target("idle", "cpu", (0.1, None)),
    Target("idle", "wakeups", (0.0, 0.0)),
    _faster_than_published("cache-hit", (2, None), "number"),
    _faster_than_published("cache-evict-10k", (50, None)),
    _faster_than_published("cache-call-full", (5, None), "new"),
    _faster_than_published("cache-task", (12, 20)),
    Target("durable-noop", "wall", (2.5, None), OURS, MEMORY),
    Target("durable-enqueue", "wall", (25, None), "aiosqlite", OURS, at_least=True),
    Target("durable-lone", "ratio", (2.2, None)),
    Target("durable-lag", "p99", (5, None)),
    Target("durable-lag", "busy", (5, None)),
    Target("durable-lag-1000", "p99", (5, None)),
    Target("durable-lag-1000", "busy", (5, None)),
    Target("durable-million", "bytes", (300, None)),
    Target("durable-million", "killed", (3, None)),
    Target("durable-million", "stopped", (3, None)),
    Target("durable-million", "memory", (400, None)),
    Target("durable-claim", "ratio", (1.2, None)),
    Target("durable-pages", "p95", (100, None)),
)
