"""Wait until everything is done."""

from __future__ import annotations

import asyncio

from .events import EventBus
from .ledger import Ledger
from .record import TaskRecord


class Idleness:
    """Tells when no task is pending or running, but for those that wait for that themselves."""

    def __init__(self, ledger: Ledger, events: EventBus) -> None:
        self._ledger = ledger
        self._events = events
        self._waiting: list[tuple[asyncio.Future[None], TaskRecord | None]] = []

    async def wait(self, own: TaskRecord | None, timeout: float | None) -> bool:
        """Return True as soon as nothing is left to do, False if *timeout* seconds pass first.

        Args:
            own: The task this is called in, if any.
            timeout: Seconds; None for any time.
        """
        waiter = (asyncio.get_running_loop().create_future(), own)
        self._waiting.append(waiter)
        untap = self._events.tap(self._note)
        try:
            self._look()
            await asyncio.wait([waiter[0]], timeout=timeout)
            return waiter[0].done()
        finally:
            untap()
            self._waiting.remove(waiter)

    def _note(self, _kind: str, record: TaskRecord) -> None:
        if record.ended is not None and self._ledger.unfinished() <= len(self._waiting):
            self._look()

    def _look(self) -> None:
        """Let go whoever waits for nothing any more: tasks that wait here do not wait for each other."""
        inside = len({own for _, own in self._waiting if self._is_busy(own)})
        unfinished = self._ledger.unfinished()
        for future, own in self._waiting:
            if not future.done() and unfinished <= (inside if self._is_busy(own) else 0):
                future.set_result(None)

    def _is_busy(self, own: TaskRecord | None) -> bool:
        return own is not None and not own.finished and self._ledger.owns(own)
