"""WorkerOptions: the options of a worker, validated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from .clock import SYSTEM_CLOCK, Clock
from .functions import CacheKeyFunction
from .validation import (
    checked_cache_options,
    checked_count,
    checked_optional_count,
    checked_optional_seconds,
    checked_seconds,
    checked_switch,
)

OnFull = Literal["wait", "error"]


@dataclass(slots=True, kw_only=True)
class WorkerOptions:
    """What a worker was made with. :class:`.AsyncTaskWorker` documents each; durations are in seconds.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option is out of range.
    """

    max_workers: int = 10
    task_timeout: float | None = None
    worker_poll_interval: float = 1.0
    cache_enabled: bool = False
    cache_ttl: float | None = 3600
    cache_max_size: int | None = 1000
    cache_adapter: object = None
    cache_timeout: float = 0.2
    cache_cleanup_interval: float | None = None
    cleanup_interval: float | None = None
    cache_key_fn: CacheKeyFunction | None = None
    coalesce: bool = True
    max_queue_size: int | None = None
    on_full: OnFull = "wait"
    retention: float | timedelta | None = None
    max_history: int | None = None
    max_result_bytes: int | None = None
    stop_timeout: float | None = 5.0
    backend: Any = "memory://"
    consume: bool = True
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        """Validate each option and bring it to its plain form."""
        self.max_workers = checked_count("max_workers", self.max_workers)
        for name in ("task_timeout", "worker_poll_interval", "cache_timeout"):
            value = getattr(self, name)
            setattr(self, name, None if name == "task_timeout" and value is None else checked_seconds(name, value))
        for name in ("cache_cleanup_interval", "cleanup_interval", "retention"):
            setattr(self, name, checked_optional_seconds(name, getattr(self, name), zero=True))
        if self.stop_timeout is not None:
            self.stop_timeout = checked_seconds("stop_timeout", self.stop_timeout, zero=True)
        self.max_queue_size = checked_optional_count("max_queue_size", self.max_queue_size)
        for name in ("max_history", "max_result_bytes", "cache_max_size"):
            setattr(self, name, checked_optional_count(name, getattr(self, name), least=0))
        if self.on_full not in ("wait", "error"):
            raise ValueError(f"on_full must be 'wait' or 'error', not {self.on_full!r}")
        for name in ("cache_enabled", "coalesce", "consume"):
            checked_switch(name, getattr(self, name))
        checked_cache_options(None, self.cache_ttl, self.cache_key_fn)

    @property
    def retention_seconds(self) -> float | None:
        """Return how long a finished task stays known; None without limit."""
        return cast("float | None", self.retention)

    @property
    def sweep_interval(self) -> float | None:
        """Return the seconds between sweeps of stale cache mappings: 0 for none, None for the default."""
        return self.cleanup_interval if self.cache_cleanup_interval is None else self.cache_cleanup_interval
