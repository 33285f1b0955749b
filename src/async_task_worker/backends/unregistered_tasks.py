"""Stored tasks whose function is not registered in this process: they wait until it is, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ..model.event_loop import call_from_any_thread
from ..model.record import TaskRecord
from ..model.registry import registered_function, watch_registrations
from ..model.safe_logger import SafeLogger
from ..model.status import PENDING
from ..state.ledger import Ledger

logger = SafeLogger("async_task_worker.backends.unregistered")

UNREGISTERED: Final = "unregistered"
"""The phase of a task that waits for its function to be registered."""


class Unregistered:
    """Tasks without a function; for one event loop at a time.

    Args:
        path: The file they are from.
        ledger: Where the state of tasks is kept.
        adopt: Queues the tasks of this name, whose function is registered now.
    """

    def __init__(self, path: Path, ledger: Ledger, adopt: Callable[[str, list[TaskRecord]], None]) -> None:
        self._path = path
        self._ledger = ledger
        self._take_over = adopt
        self._waiting: dict[str, list[TaskRecord]] = {}
        self._phases: dict[str, str] = {}  # by id: what they were in before, if in any
        self._unwatch: Callable[[], None] | None = None

    def counts(self) -> dict[str, int]:
        """Return how many tasks wait for each function."""
        counted = {name: sum(record.status is PENDING for record in records) for name, records in self._waiting.items()}
        return {name: count for name, count in counted.items() if count}

    def hold(self, records: Iterable[TaskRecord]) -> None:
        """Keep these tasks until their functions are registered, and log a warning with their names."""
        for record in records:
            self._waiting.setdefault(record.function.name, []).append(record)
            if record.phase is not None:
                self._phases[record.id] = record.phase
            self._ledger.set_phase(record, UNREGISTERED)
        if not self._waiting:
            return
        counts = self.counts()
        logger.warning(
            "%s: stored tasks (%d) wait for functions that are not registered: %s. "
            "Import the modules that define them, or register them with @task(name)",
            self._path,
            sum(counts.values()),
            ", ".join(f"{name!r} ({count})" for name, count in counts.items()),
        )
        loop = asyncio.get_running_loop()
        self._unwatch = watch_registrations(lambda name: self._registered(loop, name))
        for name in filter(registered_function, counts):  # while the rest was read
            self._adopt(name)

    def forget(self) -> None:
        """Hold nothing any more: the file is closed."""
        self._waiting.clear()
        self._phases.clear()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _registered(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        if name in self._waiting:
            call_from_any_thread(loop, self._adopt, name)

    def _adopt(self, name: str) -> None:
        records = [record for record in self._waiting.pop(name, ()) if record.status is PENDING]
        for record in records:
            self._ledger.set_phase(record, self._phases.pop(record.id, None))
        if records:
            self._take_over(name, records)
