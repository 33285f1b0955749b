"""Idempotency keys: a submission that is sent twice with the same ``Idempotency-Key`` runs its task once."""

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
"""Old keys that are checked for each new key, so that keys of tasks that are no longer known are removed."""

ScopedKey = tuple[str, str]
"""The scope of a caller, and a key of that caller."""


class _Entry:
    """The use of a key: the digest of the body, and the id of the task once it is submitted."""

    __slots__ = ("body", "task_id")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.task_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class IdempotencyKeys:
    """The keys in use: those of tasks that are being submitted, and those of known tasks.

    Args:
        max_keys: How many keys are kept before those of tasks that are no longer known are removed.
        is_known: Whether the worker still knows a task of that id.
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

        Of several concurrent calls one submits, and the others wait for its outcome. The key can be
        used again after a submission that was refused, and when its task is no longer known.

        Args:
            scope: Identifies the caller; the same key of another caller is a different key.
            key: The key.
            body: The body of the request, canonical.
            submit: Submits the task and returns its id.

        Raises:
            Problem: The key is invalid, or was used with another body.
        """
        if not _KEY.fullmatch(key):
            raise Problem("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters")
        scoped, digest = (scope, key), blake2b(body, digest_size=16).digest()
        while (entry := self._entries.get(scoped)) is not None:
            if entry.task_id.done() and not await self._is_valid(scoped, entry):
                continue
            if entry.body != digest:
                raise Problem("idempotency_mismatch", "use a new Idempotency-Key for a different request")
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
            entry.task_id.cancel()  # each call that waits for it tries to submit, too
            raise
        entry.task_id.set_result(task_id)
        self._prune_queue.append((scoped, entry))
        if len(self._entries) > self._max_keys:
            with suppress(TaskWorkerError):  # the task is submitted, even if other tasks cannot be fetched
                await self._prune()
        return task_id

    async def _prune(self) -> None:
        """Remove the oldest keys if their tasks are no longer known; never a key that is being submitted."""
        for _ in range(min(_PRUNED_PER_KEY, len(self._prune_queue) - 1)):
            scoped, entry = self._prune_queue.popleft()
            if self._entries.get(scoped) is entry and await self._is_valid(scoped, entry):
                self._prune_queue.append((scoped, entry))

    async def _is_valid(self, scoped: ScopedKey, entry: _Entry) -> bool:
        """Whether the entry's task is known; if not, remove the entry."""
        if not entry.task_id.cancelled() and await self._is_known(entry.task_id.result()):
            return True
        self._drop(scoped, entry)
        return False

    def _drop(self, scoped: ScopedKey, entry: _Entry) -> None:
        if self._entries.get(scoped) is entry:
            del self._entries[scoped]
