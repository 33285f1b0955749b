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
from .commit_queue import Arrival, Group

AT_ONCE: Final = 50
"""Callers told in one turn: what they do next takes the loop a millisecond."""


class Telling:
    """Passes on what commits did, in their order."""

    def __init__(self) -> None:
        self._parts: deque[Callable[[], None]] = deque()

    def tell(
        self, loop: asyncio.AbstractEventLoop, group: Group, error: BaseException | None, taken: AbstractSet[int]
    ) -> None:
        """Begin to tell those a commit was about; the first of them before this returns.

        Args:
            loop: Theirs, which is running.
            group: They.
            error: Why the commit failed, None if it did not.
            taken: Numbers of the tasks that were left out since their ids are taken.
        """
        begun = bool(self._parts)
        for start in range(0, len(group.added), AT_ONCE):
            self._parts.append(partial(_tell_some, group.added[start : start + AT_ONCE], error, taken))
        if group.waiting:
            self._parts.append(partial(_tell_each, group.waiting, error))
        if not begun:
            self._go_on(loop)

    def finish(self) -> None:
        """Tell all the rest now."""
        while self._parts:
            self._parts.popleft()()

    def forget(self) -> None:
        """Tell nobody any more: their loop is closed."""
        self._parts.clear()

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._parts:
            self._parts.popleft()()
        if self._parts:
            loop.call_soon(self._go_on, loop, context=Context())


def _tell_some(arrivals: Sequence[Arrival], error: BaseException | None, taken: AbstractSet[int]) -> None:
    for record, row, durable in arrivals:
        if durable.done():  # its caller was called off
            continue
        if error is not None:
            durable.set_exception(error)
        elif taken and row[0] in taken:
            durable.set_exception(DuplicateTaskError(repr(record.id), task_id=record.id))
        else:
            durable.set_result(None)


def _tell_each(waiting: Sequence[asyncio.Future[None]], error: BaseException | None) -> None:
    for told in waiting:
        if told.done():
            continue
        if error is None:
            told.set_result(None)
        else:
            told.set_exception(error)
