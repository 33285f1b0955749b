"""A value as it was when it was stored, and a fresh copy of it for everybody who asks.

Nobody gets the object that was stored, so nobody can change what others will see.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .codec import Codec
from .exceptions import CorruptError, UnencodableError, describe

FLAT: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose values keep nothing outside of themselves, so their size is known without encoding them."""

CONTAINERS: Final = frozenset({dict, list})
"""What most results are, told at a glance: no other look at whether they can change."""


class Snapshot(NamedTuple):
    """A value held still."""

    payload: Any  # the value itself if it can never change, else what it was encoded to
    restore: Callable[[Any], Any] | None  # makes a copy of the value from the payload; None if that is the value
    size: int  # in bytes

    def value(self) -> Any:
        """Return the value: a new copy each time, unless it can never change.

        Raises:
            CorruptError: It cannot be restored, as when its class is gone.
        """
        return self.payload if self.restore is None else self.restore(self.payload)


def snapshot_of(codec: Codec, value: object) -> Snapshot:
    """Return a snapshot of *value*, for use within this process only.

    What the codec cannot express is pickled: that is safe as long as it never leaves
    the process, and never comes in from outside.

    Raises:
        UnencodableError: There is no faithful copy of it.
    """
    if type(value) in FLAT:
        return Snapshot(value, None, sys.getsizeof(value))
    try:
        encoded = codec.encode(value)
    except UnencodableError:
        if codec.is_immutable(value):  # such as a member of an enum defined inside a function
            return Snapshot(value, None, sys.getsizeof(value))
        pickled = _pickled(value)
        if pickled is None:
            raise
        return Snapshot(pickled, _unpickled, len(pickled))
    if type(value) not in CONTAINERS and codec.is_immutable(value):
        return Snapshot(value, None, len(encoded))
    return Snapshot(encoded, codec.decode, len(encoded))


class _Witness(pickle.Pickler):
    """Notes the types of all it pickles, but for Python's own."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.types: set[type] = set()

    def persistent_id(self, value: object) -> None:
        if type(value).__module__ != "builtins":
            self.types.add(type(value))


def _pickled(value: object) -> bytes | None:
    """Return *value* pickled if nothing in it comes back as something else, else None."""
    try:
        payload, types = _witnessed(value)
        copy = _unpickled(payload)
        return payload if type(copy) is type(value) and types <= _witnessed(copy)[1] else None
    except Exception:  # noqa: BLE001 - a class may raise anything from its own pickling methods
        return None


def _witnessed(value: object) -> tuple[bytes, set[type]]:
    witness = _Witness(file := io.BytesIO())
    witness.dump(value)
    return file.getvalue(), witness.types


def _unpickled(payload: bytes) -> Any:
    try:
        return pickle.loads(payload)  # noqa: S301 - made by _pickled, and never out of this process
    except Exception as error:
        raise CorruptError(f"a pickled value cannot be restored: {describe(error)}") from error
