"""Validation of arguments: each function returns the value in its plain form, or raises TypeError or ValueError."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from .status import TaskStatus

_MAX_DEPTH: Final = 100
LOWEST_PRIORITY: Final = -(2**63)
HIGHEST_PRIORITY: Final = 2**63 - 1
NORMAL_PRIORITY: Final = 0


def checked_priority(priority: object) -> int:
    """Return an integer of at most 64 bits, else raise."""
    if type(priority) is int and -(2**29) < priority < 2**29:  # what the interpreter compares fastest
        return priority
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority must be an int (lower numbers run first), not {priority!r}")
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise ValueError(f"priority must fit in 64 bits, not {priority!r}")
    return int(priority)


def checked_seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Return a finite number of seconds above zero (or zero too), else raise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    seconds = _finite(value)
    if seconds is None or seconds < 0 or (seconds == 0 and not zero):
        least = "zero or more" if zero else "more than zero"
        raise ValueError(f"{name} must be a finite number of seconds, {least}, not {value!r}")
    return seconds


def _finite(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an int too large for a float
        return None


_ROUNDING: Final = 1e-6
"""The rounding error of a sum of fractions that is not reported as out of range."""


def checked_progress(progress: Any) -> float:
    """Return the nearest number from 0.0 to 1.0, else raise."""
    return min(max(_progress_number(progress), 0.0), 1.0)


def is_out_of_range(progress: Any) -> bool:
    """Return whether reported progress is outside of 0.0 to 1.0 by more than a rounding error."""
    return not -_ROUNDING <= _progress_number(progress) <= 1 + _ROUNDING


def _progress_number(progress: Any) -> float:
    if isinstance(progress, str | bytes) or not hasattr(progress, "__float__"):
        raise TypeError(f"progress must be a number from 0.0 to 1.0, not {progress!r}")
    try:
        number = float(progress)
    except OverflowError:  # an int too large for a float
        return math.inf if progress > 0 else -math.inf
    if math.isnan(number):
        raise ValueError("progress must be a number from 0.0 to 1.0, not NaN")
    return number


def checked_metadata(metadata: Any) -> dict[Any, Any]:
    """Return a copy with copies of all containers in it, else raise."""
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping such as a dict, not {metadata!r}")
    try:
        return {key: copied(value, _MAX_DEPTH) for key, value in metadata.items()}
    except RecursionError:
        raise ValueError(f"metadata must not contain itself, nor be over {_MAX_DEPTH} levels deep") from None


def checked_task_id(task_id: object) -> str:
    """Return a non-empty string, else raise."""
    if not isinstance(task_id, str):
        raise TypeError(f"task_id must be a str, not {task_id!r}; leave it out to get a new id")
    if not task_id:
        raise ValueError("task_id must not be empty; leave it out to get a new id")
    return str.__str__(task_id)  # a plain str also for an instance of a subclass


def checked_statuses(status: object) -> frozenset[TaskStatus]:
    """Return a set of statuses, from one status, its text, or an iterable of either."""
    several: Any = [status] if isinstance(status, str) or not isinstance(status, Iterable) else status
    try:
        return frozenset(TaskStatus(one) for one in several)
    except ValueError as error:
        known = ", ".join(TaskStatus)
        raise ValueError(f"{error}; the statuses are {known}") from None


def checked_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
    """Return copies of the arguments of a call; None for no keyword arguments."""
    if isinstance(args, str | bytes) or not isinstance(args, Iterable):
        raise TypeError(f"args must be a tuple or list of arguments, not {args!r}")
    if kwargs is None:
        return tuple(args), None
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise TypeError(f"kwargs must map names to arguments, not {kwargs!r}")
    return tuple(args), dict(kwargs) or None


def copied(value: Any, levels: int = _MAX_DEPTH) -> Any:
    """Copy the builtin containers in *value*, at every level, and share all other objects.

    ``copy.deepcopy`` would also copy the other objects, and fail on those that cannot be copied.
    """
    if not levels:
        raise RecursionError
    if isinstance(value, dict):
        return {key: copied(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item, levels - 1) for item in value]
    if type(value) is tuple:
        return tuple(copied(item, levels - 1) for item in value)
    return value.copy() if isinstance(value, set | bytearray) else value


def checked_count(name: str, value: object, *, least: int = 1) -> int:
    """Return an integer of at least *least*, else raise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return int(value)


def checked_optional_count(name: str, value: object, *, least: int = 1) -> int | None:
    """Return None for None, else an integer of at least *least*."""
    return None if value is None else checked_count(name, value, least=least)


def checked_optional_seconds(name: str, value: object, *, zero: bool = False) -> float | None:
    """Return None for None, else the seconds of a number or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return None if value is None else checked_seconds(name, value, zero=zero)


def checked_switch(name: str, value: object) -> bool:
    """Return a bool, else raise: a string such as "no" would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


class CacheOptions(NamedTuple):
    """What a call says about the result cache.

    Attributes:
        use: True or False for this call; None follows the worker.
        ttl: Seconds its result stays cached; None means the default.
        key_fn: Makes the cache key from the call; None means the default key.
    """

    use: bool | None
    ttl: float | None
    key_fn: Callable[[dict[str, Any]], str] | None


def checked_cache_options(use_cache: object, cache_ttl: object, cache_key_fn: Any) -> CacheOptions:
    """Return what a call says about the cache, else raise."""
    if use_cache is not None:
        checked_switch("use_cache", use_cache)
    if cache_ttl is not None and (isinstance(cache_ttl, bool) or not isinstance(cache_ttl, int | float)):
        raise TypeError(f"cache_ttl must be a number of seconds, not {cache_ttl!r}")
    if isinstance(cache_ttl, float) and math.isnan(cache_ttl):
        raise ValueError("cache_ttl must be a number of seconds, not NaN")
    if cache_key_fn is not None and not callable(cache_key_fn):
        raise TypeError(f"cache_key_fn must be a function of the call's context, not {cache_key_fn!r}")
    return CacheOptions(use_cache, cache_ttl, cache_key_fn)  # type: ignore[arg-type]
