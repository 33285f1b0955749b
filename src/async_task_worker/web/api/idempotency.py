"""Sending a submission twice without running the task twice: what each ``Idempotency-Key`` stands for."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from ...exceptions import TaskWorkerError
from ..problems import Problem

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_PRUNED_PER_KEY: Final = 2
"""Old keys that each new one has looked at, so that keys of forgotten tasks do not pile up."""

ScopedKey = tuple[str, str]
"""What stands for a caller, and a key of that caller."""


class _Entry:
    """What a key was used for: the body, and the id of its task once there is one."""

    __slots__ = ("body", "task_id")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.task_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class IdempotencyKeys:
    """The keys in use: those of tasks that are submitted at the moment, and those of known tasks.

    Args:
        enough: How many there may be before those of tasks that are no longer known are dropped.
        is_known: Tells whether there still is a task of that id.
    """

    def __init__(self, max_keys: int, is_known: Callable[[str], Awaitable[bool]]) -> None:
        self._max_keys = max_keys
        self._is_known = is_known
        self._entries: dict[ScopedKey, _Entry] = {}
        self._prune_queue: deque[tuple[ScopedKey, _Entry]] = deque()

    async def run_once(
        self, scope: str, key: str, body: bytes, submit: Callable[[], Awaitable[str]]
    ) -> tuple[str, bool]:
        """Return the id of the task for this key, and whether it had been submitted before.

        Of several calls at a time one submits, and the others wait for how that goes. A
        submission that was refused does not use the key up, nor does a task that is no
        longer known.

        Args:
            scope: What stands for the caller; the same key of another caller is another key.
            key: The key.
            body: What was sent along with it.
            submit: Submits the task.

        Raises:
            Problem: The key is none, or was used with another body.
        """
        if not _KEY.fullmatch(key):
            raise Problem("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters")
        scoped, digest = (scope, key), blake2b(body, digest_size=16).digest()
        while (entry := self._entries.get(scoped)) is not None:
            if entry.task_id.done() and not await self._is_valid(scoped, entry):
                continue
            if entry.body != digest:
                raise Problem("idempotency_mismatch", "use a new Idempotency-Key for a new request")
            await asyncio.wait([entry.task_id])
            if not entry.task_id.cancelled() and await self._is_valid(scoped, entry):
                return entry.task_id.result(), True
        return await self._submit_first(scoped, digest, submit), False

    async def _submit_first(self, scoped: ScopedKey, digest: bytes, submit: Callable[[], Awaitable[str]]) -> str:
        entry = self._entries[scoped] = _Entry(digest)
        try:
            task_id = await submit()
        except BaseException:
            self._drop(scoped, entry)
            entry.task_id.cancel()  # each of those who wait tries by itself
            raise
        entry.task_id.set_result(task_id)
        self._prune_queue.append((scoped, entry))
        if len(self._entries) > self._max_keys:
            with suppress(TaskWorkerError):  # it is submitted, whatever becomes of the others
                await self._prune()
        return task_id

    async def _prune(self) -> None:
        """Drop the oldest keys if their tasks are no longer known; never one that is under way."""
        for _ in range(min(_PRUNED_PER_KEY, len(self._prune_queue) - 1)):
            scoped, entry = self._prune_queue.popleft()
            if self._entries.get(scoped) is entry and await self._is_valid(scoped, entry):
                self._prune_queue.append((scoped, entry))

    async def _is_valid(self, scoped: ScopedKey, entry: _Entry) -> bool:
        """Whether the entry's task is known; if not, the entry is dropped."""
        if not entry.task_id.cancelled() and await self._is_known(entry.task_id.result()):
            return True
        self._drop(scoped, entry)
        return False

    def _drop(self, scoped: ScopedKey, entry: _Entry) -> None:
        if self._entries.get(scoped) is entry:
            del self._entries[scoped]
