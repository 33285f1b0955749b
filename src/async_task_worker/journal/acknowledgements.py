"""Resolve callers' futures after a commit, at most 50 per loop iteration."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from functools import partial
from typing import Final

from ..exceptions import DuplicateTaskError
from .commit_queue import CommitGroup, PendingInsert

MAX_PER_TURN: Final = 50
"""Inserts acknowledged in one loop iteration: what their callers do next takes the loop about a millisecond."""


class Acknowledgements:
    """Resolves the futures of commits, in the order of the commits."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()

    def send(
        self,
        loop: asyncio.AbstractEventLoop,
        group: CommitGroup,
        error: BaseException | None,
        duplicate_seqs: AbstractSet[int],
    ) -> None:
        """Resolve the futures of a commit: the first of them before this returns, unless others are still due.

        Args:
            loop: The running event loop, which the futures belong to.
            group: What was committed.
            error: Why the commit failed; None if it succeeded.
            duplicate_seqs: Sequence numbers of tasks that were not inserted, because their ids exist.
        """
        is_busy = bool(self._steps)
        for start in range(0, len(group.inserts), MAX_PER_TURN):
            inserts = group.inserts[start : start + MAX_PER_TURN]
            self._steps.append(partial(_resolve_inserts, inserts, error, duplicate_seqs))
        if group.waiters:
            self._steps.append(partial(_resolve_waiters, group.waiters, error))
        if not is_busy:
            self._run_step(loop)

    def send_all(self) -> None:
        """Resolve all futures that are still due, now."""
        while self._steps:
            self._steps.popleft()()

    def discard(self) -> None:
        """Resolve no more futures: their event loop is closed."""
        self._steps.clear()

    def _run_step(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._steps:
            self._steps.popleft()()
        if self._steps:
            loop.call_soon(self._run_step, loop, context=Context())


def _resolve_inserts(
    inserts: Sequence[PendingInsert], error: BaseException | None, duplicate_seqs: AbstractSet[int]
) -> None:
    for record, row, durable in inserts:
        if durable.done():  # its caller was cancelled
            continue
        if error is not None:
            durable.set_exception(error)
        elif duplicate_seqs and row[0] in duplicate_seqs:
            durable.set_exception(DuplicateTaskError(repr(record.id), task_id=record.id))
        else:
            durable.set_result(None)


def _resolve_waiters(waiters: Sequence[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
