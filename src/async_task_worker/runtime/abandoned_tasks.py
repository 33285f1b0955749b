"""Abandoned tasks: those that were asked to stop and still run when their grace period is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final

from ..model.record import TaskRecord
from .slot import Slot

CANCEL_GRACE: Final = 1.0
"""Seconds that a cancelled or timed out task has to end. Then it is abandoned: its slot goes to another task."""

STOP_GRACE: Final = 0.5
"""The same for a task that the worker's stop interrupts: ``stop(timeout)`` returns within timeout + 1 s."""


class AbandonedTasks:
    """Runs the grace periods of interrupted tasks and holds those that outlived theirs.

    The event loop holds asyncio Tasks weakly only, so the slots of abandoned ones are held here.

    Args:
        abandon: Called with the slot and the task at the end of a grace period.
    """

    def __init__(self, abandon: Callable[[Slot, TaskRecord], None]) -> None:
        self._abandon = abandon
        self._slots: set[Slot] = set()

    def __len__(self) -> int:
        """Return how many abandoned tasks still run."""
        return len(self._slots)

    def start_grace_period(
        self, loop: asyncio.AbstractEventLoop, slot: Slot, record: TaskRecord, seconds: float
    ) -> None:
        """Abandon the task if it has not ended in *seconds* from now. An earlier end of its grace period stays."""
        end = loop.time() + seconds
        if slot.grace_timer is not None:
            if slot.grace_timer.when() <= end:
                return
            slot.grace_timer.cancel()
        slot.grace_timer = loop.call_at(end, self._abandon, slot, record, context=Context())

    def add(self, slot: Slot) -> None:
        """Hold the slot of an abandoned task."""
        self._slots.add(slot)

    def discard(self, slot: Slot) -> None:
        """Drop the slot of an abandoned task that has ended."""
        self._slots.discard(slot)

    def clear(self) -> None:
        """Drop all slots: the event loop that their tasks ran on is closed."""
        self._slots.clear()
