"""Long polling: delay a response until a task has finished or changed, within a timeout."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from ...exceptions import TaskNotFoundError
from ...model.event_loop import spawn
from ...model.status import TaskInfo
from ..events.event_log import EventLog
from ..server_shutdown import ServerShutdown
from ..worker_protocol import WebWorker
from .etags import has_etag

MAX_WAIT: Final = 60.0
"""Seconds that a response may be delayed at most."""

_PREFERRED_WAIT: Final = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


def preferred_wait(prefer: str | None) -> float | None:
    """Return the seconds of ``Prefer: wait=10``, at most 60; None if the header has no valid ``wait``."""
    found = _PREFERRED_WAIT.search(prefer) if prefer else None
    return None if found is None else min(float(found[1]), MAX_WAIT)


class LongPolling:
    """Waits for tasks. Every wait ends early when the server shuts down.

    Args:
        worker: The worker that has the tasks.
        log: The log of its events.
        shutdown: Notifies of the shutdown of the server.
        require_info: Returns a snapshot of a task, or raises a Problem if it is unknown.
    """

    def __init__(
        self,
        worker: WebWorker,
        log: EventLog,
        shutdown: ServerShutdown,
        require_info: Callable[[str], Awaitable[TaskInfo]],
    ) -> None:
        self._worker = worker
        self._log = log
        self._shutdown = shutdown
        self._require_info = require_info

    async def wait_for_end(self, task_id: str, seconds: float) -> None:
        """Wait at most *seconds* until the task has finished; return at once if it is not in memory."""
        try:
            future = self._worker.get_task_future(task_id)
        except TaskNotFoundError:
            return
        try:
            if not future.done():
                await self._shutdown.wait(future, seconds)
        finally:
            future.cancel()

    async def wait_for_change(self, task_id: str, known_tags: str, seconds: float) -> None:
        """Wait at most *seconds* until the ETag of the task is not one of *known_tags*.

        Raises:
            Problem: The task is unknown, or not known any longer.
        """
        reader = self._log.open(task_id, None, is_stream=False)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        try:
            while has_etag(known_tags, await self._require_info(task_id)):
                changed = spawn(reader.wait())
                try:
                    await self._shutdown.wait(changed, max(0.0, deadline - loop.time()))
                    if not changed.done():
                        return
                finally:
                    changed.cancel()
        finally:
            self._log.close(reader)
