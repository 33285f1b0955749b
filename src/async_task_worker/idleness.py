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
        self._waiting: list[tuple[asyncio.Future[None], str | None]] = []

    async def wait(self, task_id: str | None, timeout: float | None) -> bool:
        """Return True as soon as nothing is left to do, False if *timeout* seconds pass first.

        Args:
            task_id: The task this is called in, if any.
            timeout: Seconds; None for any time.
        """
        waiter = (asyncio.get_running_loop().create_future(), task_id)
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
        inside = {task_id for _, task_id in self._waiting if self._is_unfinished(task_id)}
        if self._ledger.unfinished() <= len(inside):
            for future, _ in self._waiting:
                if not future.done():
                    future.set_result(None)

    def _is_unfinished(self, task_id: str | None) -> bool:
        record = None if task_id is None else self._ledger.get(task_id)
        return record is not None and not record.finished
