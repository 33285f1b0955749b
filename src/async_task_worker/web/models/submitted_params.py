"""The params of tasks, kept for responses after the worker has dropped the arguments of finished tasks."""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...exceptions import DuplicateTaskError
from ..rendering.json_text import NO_LONGER_KEPT
from .python_params import PythonParams

Secrets = frozenset[str] | None
"""Texts that are never shown; None if they are not known."""


class SubmittedParams:
    """Params by task id, kept while the task is known and there is space; the oldest are dropped first.

    Args:
        max_bytes: Bytes kept of tasks submitted over HTTP, and as many again of tasks added in Python.
        is_known: Whether the worker knows a task of that id.
        task_count: How many tasks the worker knows.

    Attributes:
        added: The params of tasks that were added in Python.
    """

    def __init__(self, max_bytes: int, is_known: Callable[[str], bool], task_count: Callable[[], int]) -> None:
        self._free_bytes = max_bytes
        self._is_known = is_known
        self._task_count = task_count
        self._kept: dict[str, tuple[dict[str, Any], int, Secrets]] = {}
        self._pending: dict[str, tuple[dict[str, Any], Secrets]] = {}
        self.added = PythonParams(max_bytes, self._pending.__contains__, _forget_by(self))
        self._evictable: OrderedDict[str, None] = OrderedDict()  # ids whose params take space, the oldest first
        self._prune_queue: deque[str] = deque()

    @contextmanager
    def pending(
        self, task_id: str, params: dict[str, Any], size: int, secrets: frozenset[str] = frozenset()
    ) -> Iterator[None]:
        """Make the params of a task known while it is submitted, and keep them if that succeeds.

        A task may have started, and even finished, before its submission returns. Events published
        until then need its params, since these contain its secrets.

        Args:
            task_id: Id of the task.
            params: Its params.
            size: About how many bytes they take.
            secrets: Texts in them that are never shown.

        Raises:
            DuplicateTaskError: Another request submits a task of this id at the same time.
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
        """Return the params of a task, a placeholder if they are no longer kept, or None if they are not known."""
        found = self._lookup(task_id)
        return None if found is None else found[0]

    def secrets_of(self, task_id: str) -> Secrets:
        """Return the secrets in the params of a task; None if its params are not known or no longer kept."""
        found = self._lookup(task_id)
        return None if found is None else found[1]

    def _lookup(self, task_id: str) -> tuple[dict[str, Any], Secrets] | None:
        """Return the params and secrets of the latest task of this id; None if they are not known."""
        if (pending := self._pending.get(task_id)) is not None:
            return pending
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
        """Check two of the oldest tasks, so that few params of tasks that are no longer known are kept."""
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
    """Return a function that drops the params of a task; it holds *params* weakly, to avoid a reference cycle."""
    reference = weakref.ref(params)

    def forget(task_id: str) -> None:
        if (params := reference()) is not None and task_id in params._kept:  # noqa: SLF001 - a function of the same module
            params._forget(task_id)  # noqa: SLF001 - a function of the same module

    return forget
