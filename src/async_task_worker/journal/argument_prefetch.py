"""The arguments of tasks from an earlier life of the worker, read a few hundred at a time when they are run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ..model.record import TaskRecord
from .recovery import read_arguments
from .serialization import Call, decoded_call

Ask = Callable[[Callable[[Any], Any]], Awaitable[Any]]


class ArgumentWindow:
    """Holds the arguments of the task asked for last and of those whose turn comes next.

    Args:
        ask: Runs a query on the file.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.forget()

    def forget(self) -> None:
        """Hold nothing; the event loop may be another from now on."""
        self._held: dict[str, bytes | None] = {}
        self._reading = asyncio.Lock()

    async def of(self, record: TaskRecord) -> Call:
        """Return what the task is to be called with.

        Raises:
            CorruptError: It cannot be read any more, as when a class is not what it was.
        """
        if record.id not in self._held:
            async with self._reading:
                if record.id not in self._held:  # who held the lock may have read it too
                    self._held = dict(await self._ask(partial(read_arguments, record=record)))
        return decoded_call(self._held.pop(record.id, None))
