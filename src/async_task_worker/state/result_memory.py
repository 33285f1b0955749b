"""How much memory the results of finished tasks take, and which results are to be dropped.

The ledger tells it of each result that is kept and of each that is forgotten. What is as small
as None or a number is not told of: most tasks return nothing, and those must not pay for this.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import islice
from math import inf
from sys import getsizeof
from typing import Any, Final

from ..model.record import Dropped, TaskRecord
from ..model.safe_logger import SafeLogger

logger = SafeLogger("async_task_worker.result_memory")

UNCOUNTED: Final = frozenset({type(None), bool, int, float, complex, Dropped})
"""Types of results that take next to no memory."""

MUCH: Final = 256 << 20
"""Bytes of results in memory that are worth a warning."""

_EXACT: Final = frozenset({str, bytes, bytearray, array})
_ITEMS: Final = 8
"""Items of a container that are measured: of the others it is assumed that they are like these."""
_LEVELS: Final = 4
_SMALL: Final = 32
_CONTAINERS: Final[tuple[Any, ...]] = (list, tuple, set, frozenset, deque)


class ResultMemory:
    """Counts the bytes that results take.

    Args:
        most: Bytes above which the oldest results are to be dropped; None for any number.

    Attributes:
        total: Bytes that the counted results take.
        may_drop: Whether a task's result is written down, where it is to be. One that is not holds up
            the others until another task ends.
    """

    def __init__(self, most: int | None = None) -> None:
        self.total = 0
        self.may_drop: Callable[[TaskRecord], bool] = lambda _: True
        self._most: float = inf if most is None else most
        self._limited = most is not None
        self._warned = False
        self._oldest_first: deque[TaskRecord] = deque()  # only where there is a limit

    def add(self, record: TaskRecord) -> bool:
        """Count the result of a task that completed just now; return whether there is too much."""
        record.result_size = size = size_of(record.result)
        self.total += size
        if self._limited:
            self._oldest_first.append(record)
            return self.total > self._most
        if self.total > MUCH and not self._warned:
            self._warn()
        return False

    def remove(self, record: TaskRecord) -> None:
        """Count out the result of a task that is forgotten."""
        self.total -= record.result_size
        if self._oldest_first and self._oldest_first[0] is record:
            self._oldest_first.popleft()
        elif self._limited:
            with suppress(ValueError):
                self._oldest_first.remove(record)

    def surplus(self) -> Iterator[TaskRecord]:
        """Count out the oldest results until the others fit, and return whose they are."""
        while self.total > self._most:
            oldest = self._oldest_first[0]
            if not self.may_drop(oldest):
                return
            self._oldest_first.popleft()
            self.total -= oldest.result_size
            yield oldest

    def _warn(self) -> None:
        self._warned = True
        logger.warning(
            "The results of finished tasks take over %d MiB of memory. They are kept as long as their tasks are known: "
            "set retention or max_history lower, or set max_result_bytes, which drops the oldest results above it",
            MUCH >> 20,
        )


def size_of(value: object) -> int:
    """Return about how many bytes of memory a value takes.

    Exact for text, bytes and arrays. Of a container, or an object with attributes, a few items
    are measured, and the others taken to be like these.
    """
    try:
        return _size_of(value, _LEVELS)
    except BaseException:  # noqa: BLE001 - objects of all sorts are asked, which may change at this moment
        return object.__sizeof__(value)


def _size_of(value: Any, levels: int) -> int:
    kind = type(value)
    if kind in _EXACT:
        return getsizeof(value)
    if kind in UNCOUNTED:
        return _SMALL
    if hasattr(kind, "nbytes") and isinstance(nbytes := value.nbytes, int):
        return object.__sizeof__(value) + nbytes  # numpy's arrays, memoryview and the like
    return _size_of_container(value, kind, levels) if levels else object.__sizeof__(value)


def _size_of_container(value: Any, kind: type, levels: int) -> int:
    if issubclass(kind, dict):
        return dict.__sizeof__(value) + _sampled(dict.keys(value), levels) + _sampled(dict.values(value), levels)
    for container in _CONTAINERS:
        if issubclass(kind, container):
            return int(container.__sizeof__(value)) + _sampled(value, levels)
    return object.__sizeof__(value) + _sampled(getattr(value, "__dict__", {}).values(), levels)


def _sampled(items: Collection[Any], levels: int) -> int:
    count = len(items)
    if count <= _ITEMS:
        return sum([_size_of(item, levels - 1) for item in items])
    return sum([_size_of(item, levels - 1) for item in islice(items, _ITEMS)]) * count // _ITEMS
