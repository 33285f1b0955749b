"""What a cache did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final


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
        bypassed: Calls without a key, by the type (or the key function) to blame; past a thousand of those ``others``.
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


MAX_BLAMED: Final = 1000
"""How many types and key functions are told apart in :attr:`CacheStatistics.bypassed`."""


class Tally:
    """What the front of a cache counts while it works."""

    __slots__ = ("bypassed", "coalesced", "hits", "misses", "refused", "sets")

    def __init__(self) -> None:
        self.hits = self.misses = self.sets = self.coalesced = 0
        self.refused: Counter[str] = Counter()
        self.bypassed: Counter[str] = Counter()

    def bypass(self, blamed: str) -> None:
        """Count a call without a key."""
        known = blamed in self.bypassed or len(self.bypassed) < MAX_BLAMED
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
    counted = {name: getattr(front, name) for name in ("hits", "misses", "sets", "coalesced")}
    maps = {"refused": dict(front.refused), "bypassed": dict(front.bypassed), "faults": dict(store.faults)}
    return CacheStatistics(**counted, **{**asdict(store), **maps}, errors=store.faults.total(), size=size, bytes=bytes_)
