"""A call asked for: checked in every part before there is a record of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uuid_utils import uuid4

from .record import TaskRecord
from .registry import known_functions, resolved
from .validation import (
    NORMAL_PRIORITY,
    checked_metadata,
    checked_priority,
    checked_seconds,
    checked_task_id,
)


def requested(
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    priority: int,
    timeout: float | None,
    metadata: Mapping[Any, Any] | None,
    task_id: str | None,
    new_id: Callable[[], object] = uuid4,
) -> TaskRecord:
    """Return the task asked for, not admitted yet, or say what is wrong with it.

    *func* is a task function, or the ``Registration`` of one that was asked for by its name.
    """
    function = known_functions.get(id(func))
    if function is None:
        func, function = resolved(func)
    if kwargs is not None or not function.required <= len(args) <= function.most:
        function.check(args, kwargs)
    if priority is not NORMAL_PRIORITY:
        priority = checked_priority(priority)
    if timeout is not None:
        timeout = checked_seconds("timeout", timeout)
    if metadata is not None:
        metadata = checked_metadata(metadata)
    task_id = str(new_id()) if task_id is None else checked_task_id(task_id)
    return TaskRecord(task_id, function, func, args, kwargs, priority, timeout, metadata)
