"""ETags of tasks."""

from __future__ import annotations

from ...model.status import TaskInfo


def etag_of(info: TaskInfo) -> str:
    """Return a tag that differs between two states of a task, two tasks of the same id, and two attempts.

    The attempt is part of it because after a crash the revision continues from what was stored, and clients may
    have seen higher ones.
    """
    return f'"{round(info.created_at.timestamp() * 1e6):x}-{info.status}-{info.attempt}-{info.revision}"'


def has_etag(known_tags: str, info: TaskInfo) -> bool:
    """Whether *known_tags*, the value of ``If-None-Match``, has the current ETag of the task."""
    tags = [tag.strip().removeprefix("W/") for tag in known_tags.split(",")]
    return "*" in tags or etag_of(info) in tags
