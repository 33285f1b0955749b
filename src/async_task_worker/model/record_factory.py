"""create_record: one call becomes one task record, after every part of it is validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .record import CacheUse, TaskRecord
from .registry import known_functions, resolved
from .validation import (
    NORMAL_PRIORITY,
    CacheOptions,
    checked_metadata,
    checked_priority,
    checked_seconds,
    checked_task_id,
)

LookupFor = Callable[[TaskRecord, CacheOptions | None], CacheUse | None]
"""Returns what a task goes through the result cache with; None if it goes without."""


def create_record(  # noqa: PLR0913 - one keyword for each part of a call: no second object per task
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    *,
    priority: int,
    timeout: float | None,
    metadata: Mapping[Any, Any] | None,
    task_id: str | None,
    new_id: Callable[[], object],
    lookup_for: LookupFor | None = None,
    cache: CacheOptions | None = None,
) -> TaskRecord:
    """Return the record of a new task; it is not known to any ledger yet.

    Args:
        func: A task function, or the ``Registration`` of one that was asked for by its name.
        args: Its positional arguments.
        kwargs: Its keyword arguments; None for none.
        priority: Lower numbers run first.
        timeout: Seconds it may run; None for any time.
        metadata: Kept with the task, as a copy.
        task_id: Its id; None for one of *new_id*.
        new_id: Returns an id.
        lookup_for: Makes its cache lookup; None if the cache is not asked.
        cache: What the call says about the cache.

    Raises:
        TypeError: The function is not a coroutine function or does not take these arguments, or
            another part of the call is of the wrong type.
        ValueError: A part of the call is out of range.
        InvalidCacheKeyError: Cache keys are validated, and this one cannot be used.
    """
    function = known_functions.get(id(func))
    if function is None:
        func, function = resolved(func)
    if kwargs is not None or not function.required <= len(args) <= function.maximum:
        function.check(args, kwargs)
    if priority is not NORMAL_PRIORITY:
        priority = checked_priority(priority)
    if timeout is not None:
        timeout = checked_seconds("timeout", timeout)
    if metadata is not None:
        metadata = checked_metadata(metadata)
    task_id = str(new_id()) if task_id is None else checked_task_id(task_id)
    record = TaskRecord(task_id, function, func, args, kwargs, priority, timeout, metadata)
    if lookup_for is not None:
        record.cache_lookup = lookup_for(record, cache)
    return record
