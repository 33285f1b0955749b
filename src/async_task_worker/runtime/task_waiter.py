"""TaskWaiter: futures for tasks, and waits for several of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..exceptions import TaskCancelledError
from ..model.record import TaskRecord
from ..model.status import COMPLETED, FAILED
from ..state.futures import TaskFuture, TaskFutures, as_task_failed_error, error_to_raise, result_of
from ..state.ledger import Ledger
from .executor import current_record, in_task
from .nested_waits import Waits

_TaskEnd = tuple[TaskRecord, TaskFuture]
"""What is known of a task after a wait, and its future, cancelled if the task had not ended."""


class TaskWaiter:
    """Waits for tasks of one worker.

    Args:
        ledger: The state of tasks.
        futures: Resolved as tasks end.
        waits: Counts which running tasks wait for others.
        require_bound: Raises if the caller runs on another event loop than the worker.
    """

    def __init__(self, ledger: Ledger, futures: TaskFutures, waits: Waits, require_bound: Callable[[], None]) -> None:
        self._ledger = ledger
        self._futures = futures
        self._waits = waits
        self._require_bound = require_bound

    def future_for(self, record: TaskRecord) -> TaskFuture:
        """Return a new future for the task's result, done already if the task is."""
        if record.status is not COMPLETED and not record.finished:
            self._require_bound()
            if in_task() is not None:
                return self._futures.future_for(record, self._waits.future_for(record))
        return self._futures.future_for(record)

    async def wait_for_all(self, records: list[TaskRecord], timeout: float | None) -> list[Any]:
        """Return the results of all tasks, in the order given; see :meth:`.TaskClient.wait_for_tasks`."""
        ends = await self._wait(records, timeout, asyncio.ALL_COMPLETED)
        if unfinished := sum(not record.finished for record, _ in ends):
            raise TimeoutError(
                f"{unfinished} of {len(ends)} tasks had not finished after {timeout:g} seconds; they go on"
            )
        return [_result(*end) for end in ends]

    async def wait_for_any(self, records: list[TaskRecord], timeout: float | None) -> tuple[Any, str]:
        """Return the result and the id of the first to end; see :meth:`.TaskClient.wait_for_any_task`."""
        ends = await self._wait(records, timeout, asyncio.FIRST_COMPLETED)
        finished = [end for end in ends if end[0].finished]
        if not finished:
            raise TimeoutError(f"None of {len(records)} tasks had finished after {timeout:g} seconds; they go on")
        first, future = min(finished, key=lambda end: end[0].ended)
        if first.status is FAILED:
            raise as_task_failed_error(first)
        return _result(first, future), first.id

    async def _wait(self, records: list[TaskRecord], timeout: float | None, until: str) -> list[_TaskEnd]:
        """Wait for the ends of these tasks, and return what is known of each then: a restart makes new records.

        A future has the result even if that was dropped as soon as the task ended.
        """
        if current_record() in records:
            raise ValueError("a task cannot wait for itself to finish")
        futures = [self.future_for(record) for record in records]
        try:
            if not all(future.done() for future in futures):
                await asyncio.wait(futures, timeout=timeout, return_when=until)
            now = [record if record.finished else self._ledger.get(record.id) or record for record in records]
            for future, record in zip(futures, now, strict=True):
                if future.done() and not record.finished:
                    future.result()  # the worker stopped, and the task waits for its next start
            return list(zip(now, futures, strict=True))
        finally:
            for future in futures:
                future.cancel()


def _result(record: TaskRecord, future: TaskFuture) -> Any:
    if record.status is COMPLETED:
        return result_of(record) if future.cancelled() or future.exception() else future.result()
    if record.status is FAILED:
        raise error_to_raise(record)
    raise TaskCancelledError(repr(record.id), task_id=record.id)
