"""Read the arguments of restored tasks shortly before they run, a few hundred tasks at a time."""

from __future__ import annotations

import asyncio
from functools import partial

from ..model.record import TaskRecord
from .commit_participant import Read
from .serialization import Call, decode_call
from .unfinished_rows import read_arguments


class ArgumentPrefetch:
    """Holds the arguments of the task that was loaded last and of those that start after it.

    Args:
        read: Runs a query on the database.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.clear()

    def clear(self) -> None:
        """Discard everything that was read. Afterwards this can be used on another event loop."""
        self._encoded: dict[str, bytes | None] = {}
        self._lock = asyncio.Lock()

    async def load(self, record: TaskRecord) -> Call:
        """Return the arguments of a restored task.

        Raises:
            CorruptError: They cannot be decoded, for example because a class was changed since.
            StorageError: The file cannot be read.
        """
        if record.id not in self._encoded:
            async with self._lock:
                if record.id not in self._encoded:  # another task may have read it while this one waited
                    self._encoded = dict(await self._read(partial(read_arguments, record=record)))
        return decode_call(self._encoded.pop(record.id, None))
