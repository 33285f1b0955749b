"""Values as bytes and back: what is decoded is equal to what was encoded, and of the same type.

The bytes are one msgpack array ``[format, payload]``, so anybody's msgpack can look in.
Format 1 is plain data. In format 2 there are typed values as well, see :mod:`.stdlib_types`
and :mod:`.classes`. Other data, and any other program's bytes, are corrupt.

Both directions are one pass of msgpack in C, which calls back only for what it has no
type for (and, reading format 2, for each list).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import EllipsisType, NoneType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgpack import ExtType, Packer, unpackb  # type: ignore[import-untyped]

from .canonical import LARGE, canonical_form
from .classes import TAKERS, put_together, taken_apart
from .exceptions import CorruptError, UnencodableError, describe
from .stdlib_types import MARK, MARK_CODE

_PLAIN: Final = b"\x92\x01"  # an array of two, the first of them the format
_TYPED: Final = b"\x92\x02"
_MARK: Final = b"\xc7\x00\x2a"
_BIN_8, _BIN_16, _BIN_32 = b"\xc4\xc5\xc6"  # ints, which are looked for in bytes six times as fast as bytes are

_SCALARS: Final = frozenset({NoneType, bool, int, float, str, bytes})
_ZONES: Final = frozenset({NoneType, timezone, ZoneInfo})
_IMMUTABLE: Final = _SCALARS | {
    complex, Decimal, Fraction, UUID, date, timedelta, timezone, ZoneInfo, range, EllipsisType
}  # fmt: skip


class Codec:
    """Encodes values for storing and for keys; keeps no state and may be shared."""

    def encode(self, value: object) -> bytes:
        """Return bytes from which :meth:`decode` makes an equal value of the same type.

        Raises:
            UnencodableError: Some part of *value* would not come back as it was, or it
                contains itself, or is nested more than 500 levels deep.
        """
        try:
            encoding = _idle.pop()  # nobody else's meanwhile, whether on another thread or inside of this call
        except IndexError:
            encoding = _Encoding()
        try:
            data = encoding.encode(value)
        except UnencodableError:
            raise
        except Exception as error:  # noqa: BLE001 - classes of all sorts are asked what they are
            raise UnencodableError(type(value), describe(error)) from None
        if len(data) < LARGE:
            _idle.append(encoding)
        return data

    def decode(self, data: bytes) -> Any:
        """Return the value *data* was encoded from, as a new object.

        Classes are looked up among what is loaded; none is imported, called or trusted.

        Raises:
            CorruptError: *data* is not ours, or names a class that is not what it was.
        """
        try:
            head = data[:2]
            if head == _PLAIN:
                return unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")[1]
            if head == _TYPED:
                return unpackb(
                    data,
                    strict_map_key=False,
                    unicode_errors="surrogatepass",
                    ext_hook=_marker_or_data,
                    list_hook=put_together,
                )[1]
        except Exception as error:  # noqa: BLE001 - garbage can offend any constructor, or a class's own __hash__
            raise CorruptError(describe(error)) from None
        raise CorruptError("neither format 1 nor 2")

    def canonical(self, value: object) -> bytes:
        """Return bytes that are the same for equal values of the same types, and for no others.

        Dicts and sets are sorted. Classes and functions stand for themselves if their
        module and name lead back to them. A class may offer ``__cache_key__()``, which
        returns a value to stand for the instance.

        Raises:
            UnencodableError: Some part of *value* has no such form.
        """
        return canonical_form(value)

    def is_immutable(self, value: object) -> bool:
        """Whether *value* is a scalar that can be handed to several callers as it is."""
        return is_constant(value) or isinstance(value, Enum)


def is_constant(value: Any) -> bool:
    """Whether *value* is a scalar of Python's own that nobody can change, nor what it means."""
    kind = type(value)
    if kind is datetime or kind is time:
        return type(value.tzinfo) in _ZONES
    return kind in _IMMUTABLE


def _marker_or_data(code: int, data: bytes) -> ExtType:
    """Return msgpack's extension types as they are, but the marker always as the one object MARK."""
    return MARK if code == MARK_CODE and not data else ExtType(code, data)


class _Encoding:
    """One value on its way to bytes.

    msgpack asks for what it does not know, but two things it takes for its own: a
    bytearray or memoryview becomes bytes, and a user's own ExtType may look like our
    marker. The bytes show when either is possible. Only then everything is encoded
    once more with a careful look at each container.
    """

    def __init__(self) -> None:
        self._marks = 0
        self._packer = Packer(strict_types=True, default=self._typed)

    def encode(self, value: object) -> bytes:
        self._marks = 0
        try:
            payload: bytes = self._packer.pack(value)
        except UnicodeEncodeError:  # lone surrogates: slower for all strings, so only when needed
            payload = self._pack(value, self._typed, "surrogatepass")
        if _may_hold_binary(payload) or (self._marks and payload.count(_MARK) != self._marks):
            payload = self._pack_guarded(_guarded(value))
        return (_TYPED if self._marks else _PLAIN) + payload

    def _pack_guarded(self, value: object) -> bytes:
        try:
            return self._pack(value, self._typed_guarded)
        except UnicodeEncodeError:
            return self._pack(value, self._typed_guarded, "surrogatepass")

    def _pack(self, value: object, default: Callable[[object], list[Any]], unicode_errors: str | None = None) -> bytes:
        self._marks = 0
        packed: bytes = Packer(strict_types=True, default=default, unicode_errors=unicode_errors).pack(value)
        return packed

    def _typed(self, value: object) -> list[Any]:
        self._marks += 1
        take = TAKERS.get(type(value))
        return take(value) if take else taken_apart(value)

    def _typed_guarded(self, value: object) -> list[Any]:
        self._marks += 1
        value = value.content if type(value) is _Guarded else value
        items = taken_apart(value)
        items[2:] = map(_guarded, items[2:])
        return items


_idle: Final[list[_Encoding]] = []
"""Encodings at rest. To make one, with a buffer of msgpack's, takes three times as long as to encode a small value."""


def _may_hold_binary(payload: bytes) -> bool:
    if _BIN_8 not in payload and _BIN_16 not in payload and _BIN_32 not in payload:
        return False  # the usual case, told by three searches
    return _holds_filled_binary(payload) or b"\xc4\x00" in payload


def _holds_filled_binary(payload: bytes) -> bool:
    """Walk through the payload in C, making nothing of it."""
    nothing: dict[int, bytes] = {}
    try:
        unpackb(payload, raw=True, max_bin_len=0, list_hook=len, object_pairs_hook=len, ext_hook=nothing.get)
    except ValueError:
        return True
    return False


_TAKEN_WRONGLY: Final = frozenset({bytearray, memoryview, ExtType})


class _Guarded:
    """Keeps msgpack from taking its content for something it knows."""

    def __init__(self, content: object) -> None:
        self.content = content


def _guarded(value: Any) -> Any:
    kind = type(value)
    if kind is list and not _SCALARS.issuperset(map(type, value)):
        return [_guarded(item) for item in value]
    if kind is dict:
        return {_guarded(key): _guarded(item) for key, item in value.items()}
    return _Guarded(value) if kind in _TAKEN_WRONGLY else value
