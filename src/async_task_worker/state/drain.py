"""Waiters of drain(): resolved when no other task is pending or running."""

from __future__ import annotations

import asyncio

from ..exceptions import WorkerNotRunningError
from ..model.event_loop import is_waiting
from ..model.record import TaskRecord
from .ledger import Ledger


class DrainWaiters:
    """Tells when no task is pending or running, but for those that wait for that themselves."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[asyncio.Future[None], TaskRecord | None]] = []

    async def wait(self, own: TaskRecord | None, timeout: float | None) -> bool:
        """Return True as soon as nothing is left to do, False if *timeout* seconds pass first.

        Args:
            own: The task this is called in, if any.
            timeout: Seconds; None for any time.

        Raises:
            WorkerNotRunningError: The worker stopped, and what is left waits for its next start.
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
        """Let go whoever waits for tasks that stay pending although the worker stopped."""
        for future, _ in self._waiting:
            if is_waiting(future):
                future.set_exception(WorkerNotRunningError("It stopped before everything was done"))

    def _update_watch(self) -> None:
        self._ledger.on_unfinished_at_most(len(self._waiting), self._check if self._waiting else None)

    def _check(self) -> None:
        """Let go whoever waits for nothing any more: tasks that wait here do not wait for each other."""
        inside = len({own for _, own in self._waiting if self._is_busy(own)})
        unfinished = self._ledger.unfinished()
        for future, own in self._waiting:
            if is_waiting(future) and unfinished <= (inside if self._is_busy(own) else 0):
                future.set_result(None)

    def _is_busy(self, own: TaskRecord | None) -> bool:
        return own is not None and not own.finished and self._ledger.owns(own)
