"""ProgressCallbacks: the functions through which running tasks report their progress, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..model.event_loop import call_from_any_thread
from ..model.record import TaskRecord
from ..model.safe_logger import SafeLogger
from ..model.status import RUNNING
from ..model.validation import checked_progress, is_out_of_range
from .ledger import Ledger

logger = SafeLogger("async_task_worker.ledger")

ProgressCallback = Callable[[float], None]
"""The ``progress_callback`` of a task function. It takes a number from 0.0 to 1.0."""


class ProgressCallbacks:
    """Creates the ``progress_callback`` of running tasks.

    Args:
        ledger: Where progress is recorded.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._warned: set[str] = set()  # names of task types that a warning was logged for

    def callback_for(self, record: TaskRecord) -> ProgressCallback:
        """Return the progress callback of a running task; any thread may call it.

        It takes a number. One outside of 0.0 to 1.0 is clamped, with a warning once per task type.
        After the task has ended, or its event loop has closed, it does nothing.
        """
        ledger, events, loop = self._ledger, self._ledger.events, asyncio.get_running_loop()

        def progress_callback(progress: float) -> None:
            if (
                type(progress) is float
                and 0.0 <= progress <= 1.0
                and record.status is RUNNING
                and not events.has_subscribers
            ):
                record.progress = progress  # inlined ledger.report(): there is no event to publish
                record.updates += 1
                return
            number = checked_progress(progress)
            if is_out_of_range(progress):
                self._warn(record, progress)
            if asyncio._get_running_loop() is loop:
                ledger.report(record, number)
            else:
                call_from_any_thread(loop, ledger.report, record, number)

        return progress_callback

    def _warn(self, record: TaskRecord, progress: object) -> None:
        """Log, once per task type, that a task reported progress outside of 0.0 to 1.0."""
        name = record.function.name
        if name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "Task %s (%s) reported progress %r, which is outside of 0.0 to 1.0; it was clamped to %g. "
                "Divide by the total: progress_callback(done / total). "
                "This is logged once for each task type.",
                record.id,
                name,
                progress,
                checked_progress(progress),
            )
