"""Counters of a cache, and warnings that are throttled so that they do not fill the log."""

from __future__ import annotations

import logging
import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAX_TOPICS: Final = 100
"""Maximum number of topics of warnings, and of types in :attr:`CacheStatistics.bypassed`."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Counters of a cache since it was created, and its current state.

    Attributes:
        hits: Lookups answered from the cache.
        misses: All other lookups, whatever the reason.
        sets: Values stored.
        evictions: Entries removed to make room for others.
        expirations: Entries removed because their time to live was over.
        coalesced: Calls that shared the result of a call already in progress.
        refused: Values not stored, by reason: ``unencodable``, ``too large``, ``ttl``.
        bypassed: Calls without a key, by the type (or key function) that caused it; beyond a hundred, ``others``.
        errors: Faults of the storage, all kinds together.
        faults: The same by kind: ``timeout``, ``connection``, ``rejected``, ``busy``, ``corrupt``, ``error``.
        skipped: Operations skipped because the circuit was open.
        circuit_openings: Number of times the circuit opened.
        circuit_open: Whether it is open now, so that operations are skipped.
        size: Number of entries now; None if only the storage knows.
        bytes: Size of their stored values in bytes; None if only the storage knows.
    """

    hits: int = 0
    misses: int = 0
    sets: int = 0
    evictions: int = 0
    expirations: int = 0
    coalesced: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    bypassed: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0
    circuit_openings: int = 0
    circuit_open: bool = False
    size: int | None = None
    bytes: int | None = None

    @property
    def hit_rate(self) -> float:
        """The share of lookups that were hits, from 0.0 to 1.0; 0.0 before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


@dataclass(slots=True)
class CacheCounters:
    """Counters of a cache, independent of its storage."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    coalesced: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    bypassed: Counter[str] = field(default_factory=Counter)

    def bypass(self, culprit: str) -> None:
        """Count a call without a key."""
        known = culprit in self.bypassed or len(self.bypassed) < MAX_TOPICS
        self.bypassed[culprit if known else "others"] += 1


@dataclass(slots=True)
class StoreCounters:
    """Counters of the storage of a cache."""

    evictions: int = 0
    expirations: int = 0
    skipped: int = 0
    circuit_openings: int = 0
    circuit_open: bool = False
    faults: Counter[str] = field(default_factory=Counter)


def statistics_of(front: CacheCounters, store: StoreCounters, size: int | None, bytes_: int | None) -> CacheStatistics:
    """Return the current values of the counters of a cache and its storage."""
    counted: dict[str, Any] = {name: getattr(part, name) for part in (front, store) for name in part.__slots__}
    plain: dict[str, Any] = {
        name: dict(count) if isinstance(count, Counter) else count for name, count in counted.items()
    }
    return CacheStatistics(**plain, errors=store.faults.total(), size=size, bytes=bytes_)


class ThrottledWarnings:
    """Logs a warning about a topic at most once in *interval* seconds; once only by default."""

    def __init__(
        self, logger: logging.Logger, interval: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._next: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()

    def warn(self, topic: str, message: str, *details: object) -> None:
        """Log a warning about *topic* unless one was logged within the interval, and the number of those suppressed."""
        now = self._clock()
        if now < self._next.get(topic, now):
            self._suppressed[topic] += 1
        elif topic in self._next or len(self._next) < MAX_TOPICS:
            self._next[topic] = now + self._interval
            self._warn(message, *details)
            if repeated := self._suppressed.pop(topic, 0):
                self._warn("cache: that happened %d more times since the last warning about it", repeated)

    def _warn(self, message: str, *details: object) -> None:
        """Log a warning. An error of a logging handler or filter of the program must not reach the caller."""
        try:
            self._logger.warning(message, *details)
        except Exception:  # noqa: BLE001 - it may raise anything
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc()
