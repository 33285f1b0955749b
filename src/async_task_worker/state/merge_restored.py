"""Merge the unfinished tasks of a file with the tasks that the ledger has already."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from ..model.record import TaskRecord


def merge_restored(
    known: dict[str, TaskRecord], restored: dict[str, TaskRecord]
) -> tuple[dict[str, TaskRecord], list[TaskRecord]]:
    """Return all tasks by id, in the order they were added, and those known to have ended although the file has them.

    Another worker may have had the file since. So what is unfinished is what the file says, and
    what is known and not in it was ended there.

    Args:
        known: The tasks known so far. Those that have ended stay.
        restored: The unfinished tasks in the file, in the order they were added.
    """
    if not known:
        return restored, []
    only_restored = dict(restored)
    kept: dict[str, TaskRecord] = {}
    ended = []
    for task_id, record in known.items():
        again = only_restored.pop(task_id, None)
        if record.finished:
            kept[task_id] = record
            if again is not None:
                ended.append(record)
        elif again is not None:
            kept[task_id] = again
    if kept and only_restored:
        in_order = sorted([*kept.values(), *only_restored.values()], key=_created)
        return {record.id: record for record in in_order}, ended
    return only_restored or kept, ended


_created: Final = attrgetter("created")
