"""A value as it was when it was stored, and a fresh copy of it for everybody who asks.

Nobody gets the object that was stored, so nobody can change what others will see.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .codec import Codec
from .exceptions import CorruptError, UnencodableError

FLAT: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose values keep nothing outside of themselves, so their size is known without encoding them."""


class Snapshot(NamedTuple):
    """A value held still.

    Attributes:
        payload: The value itself if it can never change, else what it was encoded to.
        restore: Makes a copy of the value from *payload*; None if the payload is the value.
        size: How many bytes it takes.
    """

    payload: Any
    restore: Callable[[Any], Any] | None
    size: int

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
    if codec.is_immutable(value):
        return Snapshot(value, None, _size(codec, value))
    try:
        encoded = codec.encode(value)
        return Snapshot(encoded, codec.decode, len(encoded))
    except UnencodableError:
        pickled = _pickled(value)
        if pickled is None:
            raise
        return Snapshot(pickled, _unpickled, len(pickled))


def _size(codec: Codec, value: object) -> int:
    if type(value) in FLAT:
        return sys.getsizeof(value)
    try:
        return len(codec.encode(value))
    except UnencodableError:  # such as an Enum of a class defined inside a function
        return sys.getsizeof(value)


def _pickled(value: object) -> bytes | None:
    """Return *value* pickled if it comes back as what it was, else None."""
    try:
        payload = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return payload if type(_unpickled(payload)) is type(value) else None
    except Exception:  # noqa: BLE001 - a class may raise anything from its own pickling methods
        return None


def _unpickled(payload: bytes) -> Any:
    try:
        return pickle.loads(payload)  # noqa: S301 - made by _pickled, and never out of this process
    except Exception as error:
        raise CorruptError(f"a pickled value cannot be restored: {error!r}") from error
