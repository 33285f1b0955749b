"""Snapshots of values: each reader gets a new copy, so that no reader can change what others see."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .codec import Codec
from .exceptions import CorruptError, UnencodableError, describe

SELF_CONTAINED: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose values refer to no other objects, so that their size is known without encoding them."""

MUTABLE_CONTAINERS: Final = frozenset({dict, list})
"""The types of most results. They are mutable, which saves a check."""


class Snapshot(NamedTuple):
    """An immutable representation of a value."""

    payload: Any  # the value itself if it is immutable, else its encoded form
    restore: Callable[[Any], Any] | None  # makes a copy of the value from the payload; None if that is the value
    size: int  # in bytes

    def value(self) -> Any:
        """Return the value: a new copy each time, unless it is immutable.

        Raises:
            CorruptError: It cannot be restored, for example because its class was removed.
        """
        return self.payload if self.restore is None else self.restore(self.payload)


def snapshot_of(codec: Codec, value: object) -> Snapshot:
    """Return a snapshot of *value*, for use within this process only.

    A value that the codec cannot encode is pickled, which is safe because the pickle neither
    leaves the process nor comes from outside.

    Raises:
        UnencodableError: The value cannot be copied faithfully.
    """
    if type(value) in SELF_CONTAINED:
        return Snapshot(value, None, sys.getsizeof(value))
    try:
        encoded = codec.encode(value)
    except UnencodableError:
        if codec.is_immutable(value):  # for example a member of an enum defined inside a function
            return Snapshot(value, None, sys.getsizeof(value))
        pickled = _pickle(value)
        if pickled is None:
            raise
        return Snapshot(pickled, _unpickle, len(pickled))
    if type(value) not in MUTABLE_CONTAINERS and codec.is_immutable(value):
        return Snapshot(value, None, len(encoded))
    return Snapshot(encoded, codec.decode, len(encoded))


class _TypeRecordingPickler(pickle.Pickler):
    """Records the types of all values it pickles, except builtin types."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.types: set[type] = set()

    def persistent_id(self, value: object) -> None:
        if type(value).__module__ != "builtins":
            self.types.add(type(value))


def _pickle(value: object) -> bytes | None:
    """Return *value* pickled, or None if unpickling would change a type in it."""
    try:
        payload, types = _pickle_with_types(value)
        copy = _unpickle(payload)
        return payload if type(copy) is type(value) and types <= _pickle_with_types(copy)[1] else None
    except Exception:  # noqa: BLE001 - pickling methods of the user's classes may raise anything
        return None


def _pickle_with_types(value: object) -> tuple[bytes, set[type]]:
    pickler = _TypeRecordingPickler(file := io.BytesIO())
    pickler.dump(value)
    return file.getvalue(), pickler.types


def _unpickle(payload: bytes) -> Any:
    try:
        return pickle.loads(payload)  # noqa: S301 - pickled by this process
    except Exception as error:
        raise CorruptError(f"a pickled value cannot be restored: {describe(error)}") from error
