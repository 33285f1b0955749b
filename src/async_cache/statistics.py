"""What a cache did: in numbers, and in warnings that tell a story without filling the log."""

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
"""How many things to tell apart in warnings, and how many types in :attr:`CacheStatistics.bypassed`."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache did since it was made, and how it stands now.

    Attributes:
        hits: Lookups answered from the cache.
        misses: Lookups that were not, for whatever reason.
        sets: Values stored.
        evictions: Entries that made room for others.
        expirations: Entries found past their time to live.
        coalesced: Calls that shared the result of one already under way.
        refused: Values not stored, by reason: ``unencodable``, ``too large``, ``ttl``.
        bypassed: Calls without a key, by the type (or the key function) to blame; beyond a hundred, ``others``.
        errors: Faults of the storage behind the cache, all kinds together.
        faults: The same by kind: ``timeout``, ``connection``, ``rejected``, ``busy``, ``corrupt``, ``error``.
        skipped: Operations not tried because the circuit was open.
        circuit_openings: How often the circuit opened.
        circuit_open: Whether it is open now: the storage is left alone for a while.
        size: Entries held now; None where only the storage knows.
        bytes: Bytes their values take, stored as they are; None where only the storage knows.
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
class Tally:
    """What the front of a cache counts while it works."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    coalesced: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    bypassed: Counter[str] = field(default_factory=Counter)

    def bypass(self, blamed: str) -> None:
        """Count a call without a key."""
        known = blamed in self.bypassed or len(self.bypassed) < MAX_TOPICS
        self.bypassed[blamed if known else "others"] += 1


@dataclass(slots=True)
class StoreTally:
    """What the storage behind a cache counts while it works."""

    evictions: int = 0
    expirations: int = 0
    skipped: int = 0
    circuit_openings: int = 0
    circuit_open: bool = False
    faults: Counter[str] = field(default_factory=Counter)


def statistics_of(front: Tally, store: StoreTally, size: int | None, bytes_: int | None) -> CacheStatistics:
    """Return what both halves of a cache counted, as it is now."""
    counted: dict[str, Any] = {name: getattr(part, name) for part in (front, store) for name in part.__slots__}
    plain: dict[str, Any] = {
        name: dict(count) if isinstance(count, Counter) else count for name, count in counted.items()
    }
    return CacheStatistics(**plain, errors=store.faults.total(), size=size, bytes=bytes_)


class Complaints:
    """Warns about the same thing once, or once in *interval* seconds."""

    def __init__(
        self, logger: logging.Logger, interval: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._next: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def about(self, topic: str, message: str, *details: object) -> None:
        """Warn about *topic* if it is time to, and say how often it recurred since the last warning."""
        now = self._clock()
        if now < self._next.get(topic, now):
            self._unsaid[topic] += 1
        elif topic in self._next or len(self._next) < MAX_TOPICS:
            self._next[topic] = now + self._interval
            self._warn(message, *details)
            if again := self._unsaid.pop(topic, 0):
                self._warn("cache: that happened %d more times since the last warning about it", again)

    def _warn(self, message: str, *details: object) -> None:
        """Log a warning. A handler or filter of the program that raises must not break what is going on."""
        try:
            self._logger.warning(message, *details)
        except Exception:  # noqa: BLE001 - it may raise anything
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc()
