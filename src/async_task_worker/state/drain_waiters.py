"""DrainWaiters: calls of drain(), resolved when no other task is pending or running."""

from __future__ import annotations

import asyncio

from ..exceptions import WorkerNotRunningError
from ..model.event_loop import is_waiting
from ..model.record import TaskRecord
from .ledger import Ledger


class DrainWaiters:
    """Resolves waiting calls of drain() when no task is pending or running.

    Tasks that wait here themselves do not count: they do not wait for each other.

    Args:
        ledger: The state of tasks.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[asyncio.Future[None], TaskRecord | None]] = []

    async def wait(self, own: TaskRecord | None, timeout: float | None) -> bool:
        """Wait until no task is pending or running; return False if *timeout* expires first.

        Args:
            own: The task that makes this call, if one does.
            timeout: Seconds; None waits for ever.

        Raises:
            WorkerNotRunningError: The worker stopped, and tasks stay pending until its next start.
        """
        waiter = (asyncio.get_running_loop().create_future(), own)
        self._waiting.append(waiter)
        self._update_watch()
        try:
            self._check()
            await asyncio.wait([waiter[0]], timeout=timeout)
            if waiter[0].done():
                waiter[0].result()
            return waiter[0].done()
        finally:
            self._waiting.remove(waiter)
            self._update_watch()

    def fail_pending(self) -> None:
        """Fail all waiting calls: the worker stopped, and tasks stay pending."""
        for future, _ in self._waiting:
            if is_waiting(future):
                future.set_exception(WorkerNotRunningError("It stopped before everything was done"))

    def _update_watch(self) -> None:
        self._ledger.on_unfinished_at_most(len(self._waiting), self._check if self._waiting else None)

    def _check(self) -> None:
        """Resolve the calls that have nothing left to wait for."""
        draining = len({own for _, own in self._waiting if self._is_unfinished(own)})
        unfinished = self._ledger.unfinished()
        for future, own in self._waiting:
            if is_waiting(future) and unfinished <= (draining if self._is_unfinished(own) else 0):
                future.set_result(None)

    def _is_unfinished(self, own: TaskRecord | None) -> bool:
        return own is not None and not own.finished and self._ledger.owns(own)
