"""Sending a submission twice without running the task twice: what each ``Idempotency-Key`` stands for."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final

from .problems import Problem

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class _Entry:
    """What a key was used for: the body, and the id of its task once there is one."""

    __slots__ = ("body", "task_id", "until")

    def __init__(self, body: bytes, until: float) -> None:
        self.body = body
        self.until = until
        self.task_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class IdempotencyKeys:
    """The keys used of late.

    Args:
        most: How many are remembered.
        age: Seconds each is remembered.
    """

    def __init__(self, most: int, age: float) -> None:
        self._most = most
        self._age = age
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def once(
        self, key: str, body: bytes, submit: Callable[[], Awaitable[str]], is_known: Callable[[str], Awaitable[bool]]
    ) -> tuple[str, bool]:
        """Return the id of the task for this key, and whether it had been submitted before.

        Of several calls at a time one submits, and the others wait for how that goes. A
        submission that was refused does not use the key up, nor does a task that is no
        longer known.

        Raises:
            Problem: The key is none, or was used with another body.
        """
        if not _KEY.fullmatch(key):
            raise Problem("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters")
        digest = blake2b(body, digest_size=16).digest()
        while (entry := self._current(key)) is not None:
            if entry.body != digest:
                raise Problem("idempotency_mismatch", "use a new Idempotency-Key for a new request")
            await asyncio.wait([entry.task_id])
            if not entry.task_id.cancelled():
                task_id = entry.task_id.result()
                if await is_known(task_id):
                    return task_id, True
                self._drop(key, entry)
        return await self._first(key, digest, submit), False

    async def _first(self, key: str, digest: bytes, submit: Callable[[], Awaitable[str]]) -> str:
        entry = self._entries[key] = _Entry(digest, time.monotonic() + self._age)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
        try:
            task_id = await submit()
        except BaseException:
            self._drop(key, entry)
            entry.task_id.cancel()  # whoever waits tries for himself
            raise
        entry.task_id.set_result(task_id)
        return task_id

    def _current(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.task_id.done() and entry.until <= time.monotonic():
            self._drop(key, entry)
            return None
        return entry

    def _drop(self, key: str, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
