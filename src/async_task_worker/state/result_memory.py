"""ResultMemory: how much memory the results of finished tasks take, and which ones to drop.

The ledger adds each result that it keeps and removes each that it drops. None and numbers are not
counted: most tasks return nothing, and those must not pay for this.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from math import inf
from sys import getsizeof
from types import MemberDescriptorType
from typing import Any, Final

from ..model.record import Dropped, TaskRecord
from ..model.safe_logger import SafeLogger

logger = SafeLogger("async_task_worker.result_memory")

UNCOUNTED: Final = frozenset({type(None), bool, int, float, complex, Dropped})
"""Types of results that take almost no memory."""

WARN_ABOVE: Final = 256 << 20
"""Bytes of results above which a warning is logged, once."""

_EXACT: Final = frozenset({str, bytes, bytearray, array})
_ITEMS: Final = 8
"""Items of a container that are measured. The others are assumed to be of the same size."""
_LEVELS: Final = 4
_SMALL: Final = 32
_FLAT: Final[tuple[Any, ...]] = (str, bytes, bytearray, array)
_CONTAINERS: Final[tuple[Any, ...]] = (list, tuple, set, frozenset, deque)


class ResultMemory:
    """Counts the bytes that results take.

    Args:
        limit: Bytes above which the oldest results are to be dropped; None for no limit.

    Attributes:
        total: Bytes of the counted results.
        may_drop: Returns whether the result of a task may be dropped: a durable one only after it is
            stored. The oldest result that may not be dropped delays the others.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.total = 0
        self.may_drop: Callable[[TaskRecord], bool] = lambda _: True
        self._limit: float = inf if limit is None else limit
        self._limited = limit is not None
        self._warned = False
        self._oldest_first: deque[TaskRecord] = deque()  # only with a limit

    def add(self, record: TaskRecord) -> bool:
        """Count the result of a task that has just completed; return whether results have to be dropped."""
        record.result_size = size = size_of(record.result)
        self.total += size
        if self._limited:
            self._oldest_first.append(record)
            return self.total > self._limit
        if self.total > WARN_ABOVE and not self._warned:
            self._warn()
        return False

    def remove(self, record: TaskRecord) -> None:
        """Count out the result of a task that the ledger drops."""
        self.total -= record.result_size
        if self._oldest_first and self._oldest_first[0] is record:
            self._oldest_first.popleft()
        elif self._limited:
            with suppress(ValueError):
                self._oldest_first.remove(record)

    def surplus(self) -> Iterator[TaskRecord]:
        """Count out the oldest results until the others fit; yield their tasks."""
        while self.total > self._limit:
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
            WARN_ABOVE >> 20,
        )


def size_of(value: object) -> int:
    """Return approximately how many bytes of memory a value takes.

    Exact for text, bytes and arrays. For a container, or an object with attributes, a few items are
    measured, and the others are assumed to be of the same size.
    """
    try:
        return _size_of(value, _LEVELS)
    except BaseException:  # noqa: BLE001 - methods of user classes may raise, and another thread may change the value
        return object.__sizeof__(value)


def _size_of(value: Any, levels: int) -> int:
    kind = type(value)
    if kind in _EXACT:
        return getsizeof(value)
    if kind in UNCOUNTED:
        return _SMALL
    if hasattr(kind, "nbytes") and isinstance(nbytes := value.nbytes, int):
        return object.__sizeof__(value) + nbytes  # for example a numpy array or a memoryview
    return _size_of_container(value, kind, levels) if levels else object.__sizeof__(value)


def _size_of_container(value: Any, kind: Any, levels: int) -> int:
    if issubclass(kind, dict):
        return dict.__sizeof__(value) + _sampled(dict.keys(value), levels) + _sampled(dict.values(value), levels)
    for container in _CONTAINERS:
        if issubclass(kind, container):
            return int(container.__sizeof__(value)) + _sampled(value, levels)
    flat, slots = _layout(kind)
    if flat is not None:
        return int(flat.__sizeof__(value))
    attributes = list(getattr(value, "__dict__", {}).values())
    for slot in slots:
        with suppress(AttributeError):  # it has no value yet
            attributes.append(slot.__get__(value))
    return object.__sizeof__(value) + _sampled(attributes, levels)


@lru_cache(maxsize=256)
def _layout(kind: Any) -> tuple[Any, list[MemberDescriptorType]]:
    """Return which type of :data:`_FLAT` a class derives from, if any, and the attributes in its ``__slots__``."""
    flat = next((base for base in _FLAT if issubclass(kind, base)), None)
    members = [held for base in kind.__mro__ if "__slots__" in vars(base) for held in vars(base).values()]
    return flat, [held for held in members if type(held) is MemberDescriptorType]


def _sampled(items: Collection[Any], levels: int) -> int:
    count = len(items)
    if count <= _ITEMS:
        return sum([_size_of(item, levels - 1) for item in items])
    return sum([_size_of(item, levels - 1) for item in islice(items, _ITEMS)]) * count // _ITEMS
