"""DurableCalls: calls the functions of durable tasks, with arguments read from the file and at most once if need be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from ..exceptions import StorageDamagedError, StorageError, TaskInterruptedError
from ..journal.journal import Journal
from ..model.functions import TaskCallable
from ..model.outcome import REQUEUE, Ending, failed
from ..model.record import TaskRecord
from ..model.registry import function_of, is_idempotent, registered_function
from ..model.signatures import PROGRESS_PARAMETER
from ..runtime.executor import WRAPPED_FUNCTION, current_record
from ..state.ledger import Ledger
from ..state.progress import ProgressCallbacks

_T = TypeVar("_T")

_RETRY_INTERVAL: Final = 1.0
"""Seconds between two attempts to store that a task runs, or to read its arguments."""


async def _invoked() -> None:
    """Stand in for the function of a record that was called, and must not be called once more."""


class DurableCalls:
    """Calls the functions of durable tasks.

    Args:
        journal: The file.
        ledger: The state of tasks.
        progress: Makes the ``progress_callback`` of a task.

    Attributes:
        after_crash: Whether the process before this one died: then each start is stored before the
            function is called, so that a task which kills its process is found out.
    """

    def __init__(self, journal: Journal, ledger: Ledger, progress: ProgressCallbacks) -> None:
        self._journal = journal
        self._ledger = ledger
        self._progress = progress
        self.after_crash = False

    async def call_restored(self, **progress: Any) -> Any:
        """Run the current task, which was restored from the file: read its arguments and find its function."""
        record = current_record()
        if record is None:
            raise RuntimeError("this runs as a task only")
        name = record.function.name
        if record.function.idempotent and not is_idempotent(name):  # it was registered again since
            self._ledger.rebind(record, record.func, record.function.named(name, idempotent=False))
            self._journal.record_change(record)
        at_most_once = not record.function.idempotent
        if self.after_crash or at_most_once:
            await self._persist_running()
        args, kwargs = await self._retry_while_unwritable(partial(self._journal.load_arguments, record))
        function: Any = registered_function(name)  # today's: it may have been registered again
        if not function_of(function).wants_progress(tuple(args), kwargs):
            progress.pop(PROGRESS_PARAMETER, None)
        elif not progress:
            progress = {PROGRESS_PARAMETER: self._progress.callback_for(record)}
        if at_most_once:
            self._ledger.rebind(record, _invoked)
        return await function(*args, **kwargs, **progress)

    def at_most_once(self, function: TaskCallable) -> TaskCallable:
        """Return a function that calls *function* after it is stored that the task runs."""

        async def call_at_most_once(*args: Any, **kwargs: Any) -> Any:
            await self._persist_running()
            if (record := current_record()) is not None:
                self._ledger.rebind(record, _invoked)
            return await function(*args, **kwargs)

        setattr(call_at_most_once, WRAPPED_FUNCTION, function)
        return call_at_most_once

    @staticmethod
    def requeue_or_fail(record: TaskRecord) -> Ending:
        """Return how a run ends that the stop of the worker interrupts: again later, unless it must not run twice."""
        return failed(TaskInterruptedError(task_id=record.id)) if record.func is _invoked else REQUEUE

    async def _persist_running(self) -> None:
        """Return when it is durable that the task runs."""
        await self._retry_while_unwritable(self._journal.flush)

    async def _retry_while_unwritable(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Return what *ask* does. While the disk cannot be read or written, the task waits."""
        while True:
            try:
                return await ask()
            except StorageError as error:
                if isinstance(error, StorageDamagedError) or not self._journal.is_open:
                    raise
                await asyncio.sleep(_RETRY_INTERVAL)
