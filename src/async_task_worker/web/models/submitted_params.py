"""The params tasks were submitted with: the worker lets them go when a task ends, and people still ask."""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...exceptions import DuplicateTaskError
from ..rendering.json_text import NO_LONGER_KEPT
from .added_params import AddedParams

Secrets = frozenset[str] | None
"""Texts that are never to be shown; None if it is not known which."""


class SubmittedParams:
    """Params by the id of their task, for as long as the task is known and there is room.

    Args:
        most_bytes: How much is kept of tasks submitted over HTTP, and as much again of those added in Python; the
            oldest params go first.
        is_known: Whether there still is a task of that id.
        known: How many tasks there are.
    """

    def __init__(self, max_bytes: int, is_known: Callable[[str], bool], task_count: Callable[[], int]) -> None:
        self._free_bytes = max_bytes
        self._is_known = is_known
        self._task_count = task_count
        self._kept: dict[str, tuple[dict[str, Any], int, Secrets]] = {}
        self._pending: dict[str, tuple[dict[str, Any], Secrets]] = {}
        self.added = AddedParams(max_bytes, self._pending.__contains__, _forget_by(self))
        """Those of tasks that did not come over HTTP; as much of them again."""
        self._evictable: OrderedDict[str, None] = OrderedDict()  # those that take room, the oldest first
        self._prune_queue: deque[str] = deque()

    @contextmanager
    def pending(
        self, task_id: str, params: dict[str, Any], size: int, secrets: frozenset[str] = frozenset()
    ) -> Iterator[None]:
        """Know the params of a task while it is submitted, and keep them if that succeeds.

        A task can have begun, even ended, and its events been told, before its submission
        returns: what is told of it then has to have its params, for its secrets to be known.

        Args:
            task_id: The id it will have.
            params: What it is submitted with.
            size: About how many bytes they take.
            secrets: Texts among them that are never to be shown.

        Raises:
            DuplicateTaskError: Somebody submits a task of this id at the moment.
        """
        if task_id in self._pending:
            raise DuplicateTaskError(task_id=task_id)
        if task_id in self._kept and not self._is_known(task_id):
            self._forget(task_id)
        self._pending[task_id] = params, secrets
        try:
            yield
            self._keep(task_id, params, size, secrets)
        finally:
            del self._pending[task_id]

    def _keep(self, task_id: str, params: dict[str, Any], size: int, secrets: frozenset[str]) -> None:
        self._forget(task_id)
        self._kept[task_id] = params, size, secrets
        self._prune_queue.append(task_id)
        if size:
            self._free_bytes -= size
            self._evictable[task_id] = None
            while self._free_bytes < 0:
                self._evict(next(iter(self._evictable)))
        if len(self._kept) > self._task_count():
            self._prune()

    def params_of(self, task_id: str) -> dict[str, Any] | None:
        """Return the params of a task, a placeholder for them if they are no longer kept, or None if not known."""
        found = self._lookup(task_id)
        return None if found is None else found[0]

    def secrets_of(self, task_id: str) -> Secrets:
        """Return the secrets among the params of a task; None if its params are not known, or no longer kept."""
        found = self._lookup(task_id)
        return None if found is None else found[1]

    def _lookup(self, task_id: str) -> tuple[dict[str, Any], Secrets] | None:
        """Return the params and secrets of a task: of the latest that has or had its id."""
        if (coming := self._pending.get(task_id)) is not None:
            return coming
        if (added := self.added.entry_of(task_id)) is not None:
            return added.params, added.secrets
        found = self._kept.get(task_id)
        return None if found is None else (found[0], found[2])

    def _evict(self, task_id: str) -> None:
        found = self._kept.get(task_id)
        if found is not None and found[1]:
            self._free_bytes += found[1]
            del self._evictable[task_id]
            self._kept[task_id] = NO_LONGER_KEPT, 0, None if found[2] else frozenset()

    def _prune(self) -> None:
        """Look at two tasks for each that comes, so that what is kept of unknown ones stays bounded."""
        for _ in range(min(2, len(self._prune_queue))):
            task_id = self._prune_queue.popleft()
            if task_id in self._kept and self._is_known(task_id):
                self._prune_queue.append(task_id)
            else:
                self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        self._evict(task_id)
        self._kept.pop(task_id, None)


def _forget_by(params: SubmittedParams) -> Callable[[str], None]:
    """Return what drops params of a task; it does not keep *params* alive, so that no cycle does."""
    reference = weakref.ref(params)

    def forget(task_id: str) -> None:
        if (params := reference()) is not None and task_id in params._kept:  # noqa: SLF001 - of this module
            params._forget(task_id)  # noqa: SLF001 - of this module

    return forget
