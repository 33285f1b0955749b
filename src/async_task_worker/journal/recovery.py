"""Crash recovery when a file is opened: requeue or fail the tasks that ran when their process died."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

_FAIL: Final = """
    UPDATE task SET status = 3, phase = NULL, ended_at = :now, recoveries = recoveries + 1, error = {error}
    WHERE status = 1 AND {condition}
"""
_FAIL_AFTER_CRASHES: Final = _FAIL.format(
    error="'worker died ' || (recoveries + 1) || ' times while running this task'",
    condition="recoveries + 1 >= :max_recoveries",
)
_FAIL_AT_MOST_ONCE: Final = _FAIL.format(
    error="'worker died while running this task, which must not run twice'", condition="once"
)
_REQUEUE: Final = """
    UPDATE task SET status = 0, phase = 'recovered', recoveries = recoveries + 1, changes = changes + 1
    WHERE status = 1
"""


class OpenResult(NamedTuple):
    """What was found when a file was opened.

    Attributes:
        last_seq: The highest sequence number of a task.
        finished: The number of finished tasks.
        unclean_shutdown: Whether the last owner did not close the file.
    """

    last_seq: int
    finished: int
    unclean_shutdown: bool


def recover(connection: Any, max_recoveries: int, now: float) -> OpenResult:
    """Requeue the tasks that were running, or fail them. The caller has begun a transaction.

    Args:
        connection: The connection.
        max_recoveries: Number of crashes after which a task fails; 0 counts as 1.
        now: The time, in seconds since the epoch.
    """
    connection.execute(_FAIL_AT_MOST_ONCE, {"now": now})
    connection.execute(_FAIL_AFTER_CRASHES, {"now": now, "max_recoveries": max(max_recoveries, 1)})
    connection.execute(_REQUEUE)
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM task").fetchone()[0]
    finished = connection.execute("SELECT count(*) FROM task WHERE status >= 2").fetchone()[0]
    in_use = connection.execute("SELECT 1 FROM fact WHERE name = 'in use'").fetchone()
    connection.execute("INSERT INTO fact VALUES ('in use', 1) ON CONFLICT DO NOTHING")
    return OpenResult(last_seq=last, finished=finished, unclean_shutdown=in_use is not None)
