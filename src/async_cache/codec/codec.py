"""Encode values to bytes and decode them: a decoded value equals the encoded one and has the same type.

The bytes are one msgpack array ``[format, payload]``, which any msgpack library can read.
Format 1 is plain data. Format 2 contains typed values as well, see :mod:`.typed_lists`. All
other bytes are corrupt.

Both directions are one pass of msgpack in C. It calls back only for types that it does not
know and, when decoding format 2, for each list.
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

from .canonical import MAX_POOLED_BYTES, canonical_form
from .exceptions import CorruptError, UnencodableError, describe
from .registry import ENCODERS, from_parts, to_parts
from .typed_lists import MARK, MARK_CODE

_PLAIN: Final = b"\x92\x01"  # an array of two, the first of them the format
_TYPED: Final = b"\x92\x02"
_MARK: Final = b"\xc7\x00\x2a"
_BIN_8, _BIN_16, _BIN_32 = b"\xc4\xc5\xc6"  # ints: searching bytes for an int is six times as fast as for bytes

_SCALARS: Final = frozenset({NoneType, bool, int, float, str, bytes})
_ZONES: Final = frozenset({NoneType, timezone, ZoneInfo})
_IMMUTABLE: Final = _SCALARS | {
    complex, Decimal, Fraction, UUID, date, timedelta, timezone, ZoneInfo, range, EllipsisType
}  # fmt: skip


class Codec:
    """Encodes values for storage and for cache keys. It is stateless and may be shared between threads."""

    def encode(self, value: object) -> bytes:
        """Return bytes from which :meth:`decode` makes an equal value of the same type.

        Raises:
            UnencodableError: Decoding would not return an equal part for some part of *value*, or
                *value* contains itself, or is nested more than 500 levels deep.
        """
        try:
            packer = _packer_pool.pop()  # no other thread and no nested call uses it until it is returned
        except IndexError:
            packer = _CountingPacker()
        try:
            data = packer.encode(value)
        except UnencodableError:
            raise
        except Exception as error:  # noqa: BLE001 - methods of the user's classes may raise anything
            raise UnencodableError(type(value), describe(error)) from None
        if len(data) < MAX_POOLED_BYTES:
            _packer_pool.append(packer)
        return data

    def decode(self, data: bytes) -> Any:
        """Return the value that *data* was encoded from, as a new object.

        Classes are looked up in loaded modules; nothing is imported, and no class is called.

        Raises:
            CorruptError: *data* was not encoded by a Codec, or names a class that has gone or changed.
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
                    ext_hook=_decode_extension,
                    list_hook=from_parts,
                )[1]
        except Exception as error:  # noqa: BLE001 - constructors and __hash__ may raise anything for invalid data
            raise CorruptError(describe(error)) from None
        raise CorruptError("neither format 1 nor 2")

    def canonical(self, value: object) -> bytes:
        """Return bytes that are equal for equal values of the same types and different for all others.

        Dicts and sets are sorted. Classes and functions are represented by their qualified
        name. A class may define ``__cache_key__()``, whose return value represents the instance.

        Raises:
            UnencodableError: Some part of *value* has no canonical form.
        """
        return canonical_form(value)

    def is_immutable(self, value: object) -> bool:
        """Return whether *value* is an immutable scalar, which several callers may share."""
        return is_constant(value) or isinstance(value, Enum)


def is_constant(value: Any) -> bool:
    """Return whether *value* is an immutable scalar of a type of Python or its standard library."""
    kind = type(value)
    if kind is datetime or kind is time:
        return type(value.tzinfo) in _ZONES
    return kind in _IMMUTABLE


def _decode_extension(code: int, data: bytes) -> ExtType:
    """Return the object MARK for the marker and a new ExtType for all other extension types."""
    return MARK if code == MARK_CODE and not data else ExtType(code, data)


class _CountingPacker:
    """Encodes one value at a time and counts the markers it writes.

    msgpack calls back for types that it does not know, but misreads two kinds of values: it
    encodes a bytearray or memoryview as bytes, and a user's ExtType may look like the marker.
    The bytes show whether either is possible; only then the value is encoded again, with
    each such value guarded.
    """

    def __init__(self) -> None:
        self._mark_count = 0
        self._packer = Packer(strict_types=True, default=self._to_parts)

    def encode(self, value: object) -> bytes:
        self._mark_count = 0
        try:
            payload: bytes = self._packer.pack(value)
        except UnicodeEncodeError:  # lone surrogates; passing them slows down all strings, so only on demand
            payload = self._pack(value, self._to_parts, "surrogatepass")
        if _may_hold_binary(payload) or (self._mark_count and payload.count(_MARK) != self._mark_count):
            payload = self._pack_guarded(_breaker(value))
        return (_TYPED if self._mark_count else _PLAIN) + payload

    def _pack_guarded(self, value: object) -> bytes:
        try:
            return self._pack(value, self._to_guarded_parts)
        except UnicodeEncodeError:
            return self._pack(value, self._to_guarded_parts, "surrogatepass")

    def _pack(self, value: object, default: Callable[[object], list[Any]], unicode_errors: str | None = None) -> bytes:
        self._mark_count = 0
        packed: bytes = Packer(strict_types=True, default=default, unicode_errors=unicode_errors).pack(value)
        return packed

    def _to_parts(self, value: object) -> list[Any]:
        self._mark_count += 1
        encode = ENCODERS.get(type(value))
        return encode(value) if encode else to_parts(value)

    def _to_guarded_parts(self, value: object) -> list[Any]:
        self._mark_count += 1
        value = value.content if type(value) is _Guarded else value
        items = to_parts(value)
        items[2:] = map(_breaker, items[2:])
        return items


_packer_pool: Final[list[_CountingPacker]] = []
"""Packers not in use. Creating one takes three times as long as encoding a small value."""


def _may_hold_binary(payload: bytes) -> bool:
    if _BIN_8 not in payload and _BIN_16 not in payload and _BIN_32 not in payload:
        return False  # the usual case, found out by three searches
    return _holds_filled_binary(payload) or b"\xc4\x00" in payload


def _holds_filled_binary(payload: bytes) -> bool:
    """Return whether the payload contains non-empty bytes. Parses it in C without creating its values."""
    no_types: dict[int, bytes] = {}
    try:
        unpackb(payload, raw=True, max_bin_len=0, list_hook=len, object_pairs_hook=len, ext_hook=no_types.get)
    except ValueError:
        return True
    return False


_MISREAD_BY_MSGPACK: Final = frozenset({bytearray, memoryview, ExtType})


class _Guarded:
    """Wraps a value that msgpack would misread, so that msgpack calls back for it."""

    def __init__(self, content: object) -> None:
        self.content = content


def _breaker(value: Any) -> Any:
    kind = type(value)
    if kind is list and not _SCALARS.issuperset(map(type, value)):
        return [_breaker(item) for item in value]
    if kind is dict:
        return {_breaker(key): _breaker(item) for key, item in value.items()}
    return _Guarded(value) if kind in _MISREAD_BY_MSGPACK else value
