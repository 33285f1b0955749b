"""The params tasks were submitted with: the worker lets them go when a task ends, and people still ask."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...exceptions import DuplicateTaskError
from ..rendering.json_text import NO_LONGER_KEPT
from .added_params import AddedParams

Secrets = frozenset[str] | None
"""Texts that are never to be shown; None if it is not known which."""


class GivenParams:
    """Params by the id of their task, for as long as the task is known and there is room.

    Args:
        most_bytes: How much is kept of tasks submitted over HTTP, and as much again of those added in Python; the
            oldest params go first.
        is_known: Whether there still is a task of that id.
        known: How many tasks there are.
    """

    def __init__(self, most_bytes: int, is_known: Callable[[str], bool], known: Callable[[], int]) -> None:
        self._left = most_bytes
        self._is_known = is_known
        self._known = known
        self._given: dict[str, tuple[dict[str, Any], int, Secrets]] = {}
        self._coming: dict[str, tuple[dict[str, Any], Secrets]] = {}
        self.added = AddedParams(most_bytes, self._coming.__contains__)
        """Those of tasks that did not come over HTTP; as much of them again."""
        self._held: OrderedDict[str, None] = OrderedDict()  # those that take room, the oldest first
        self._to_look_at: deque[str] = deque()

    @contextmanager
    def coming(
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
        if task_id in self._coming:
            raise DuplicateTaskError(task_id=task_id)
        if task_id in self._given and not self._is_known(task_id):
            self._forget(task_id)
        self._coming[task_id] = params, secrets
        try:
            yield
            self._keep(task_id, params, size, secrets)
        finally:
            del self._coming[task_id]

    def _keep(self, task_id: str, params: dict[str, Any], size: int, secrets: frozenset[str]) -> None:
        self._forget(task_id)
        self._given[task_id] = params, size, secrets
        self._to_look_at.append(task_id)
        if size:
            self._left -= size
            self._held[task_id] = None
            while self._left < 0:
                self._let_go(next(iter(self._held)))
        if len(self._given) > self._known():
            self._look_at_some()

    def of(self, task_id: str) -> dict[str, Any] | None:
        """Return the params of a task, a placeholder for them if they are no longer kept, or None if not known."""
        found = self._found(task_id)
        return None if found is None else found[0]

    def secrets_of(self, task_id: str) -> Secrets:
        """Return the secrets among the params of a task; None if its params are not known, or no longer kept."""
        found = self._found(task_id)
        return None if found is None else found[1]

    def _found(self, task_id: str) -> tuple[dict[str, Any], Secrets] | None:
        """Return the params and secrets of a task: of the latest that has or had its id."""
        if (coming := self._coming.get(task_id)) is not None:
            return coming
        if (added := self.added.of(task_id)) is not None:
            return added.params, added.secrets
        found = self._given.get(task_id)
        return None if found is None else (found[0], found[2])

    def _let_go(self, task_id: str) -> None:
        found = self._given.get(task_id)
        if found is not None and found[1]:
            self._left += found[1]
            del self._held[task_id]
            self._given[task_id] = NO_LONGER_KEPT, 0, None if found[2] else frozenset()

    def _look_at_some(self) -> None:
        """Look at two tasks for each that comes, so that what is kept of unknown ones stays bounded."""
        for _ in range(min(2, len(self._to_look_at))):
            task_id = self._to_look_at.popleft()
            if task_id in self._given and self._is_known(task_id):
                self._to_look_at.append(task_id)
            else:
                self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        self._let_go(task_id)
        self._given.pop(task_id, None)
