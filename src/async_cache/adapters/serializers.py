"""How a value becomes the bytes that leave the process, and back: serialized, and sealed.

What comes back from a shared storage may be another client's bytes, a damaged value, or,
on a connection out of step, the answer to another question. A seal over the place and
the payload tells each of these from the real thing; with a secret it also tells who
wrote it. What is stored is one valid msgpack array: ``[seal, payload]``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import pickle
from collections.abc import Callable
from typing import Any, Final

from ..codec import Codec
from ..exceptions import CorruptError, UnencodableError, describe

CAN_RUN_CODE: Final = frozenset({"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "jsonpickle"})
"""Modules whose decoding runs whatever the bytes say."""


def serializer_for(choice: Any, *, signed: bool) -> Codec | JsonSerializer | _Adapted:
    """Return the serializer meant by a name or an object.

    Its ``encode`` raises UnencodableError for what would not come back as it is, its
    ``decode`` CorruptError for bytes that make no value, and neither anything else.

    Args:
        choice: ``"msgpack"``, ``"json"``, ``"pickle"``, or an object with ``encode`` and
            ``decode`` or with ``dumps`` and ``loads``.
        signed: Whether only bytes signed with a secret will be decoded.

    Raises:
        ValueError: The name is unknown, or decoding could run code and nothing is signed.
        TypeError: The object lacks the methods.
    """
    runs_code = choice == "pickle" or getattr(choice, "__name__", None) in CAN_RUN_CODE
    if runs_code and not signed:
        raise ValueError(
            "whoever can write to Redis could run code here through a pickle: "
            "give secret=, which signs what is stored, or use serializer='msgpack'"
        )
    if isinstance(choice, str):
        if choice not in _NAMED:
            raise ValueError(f"serializer must be 'msgpack', 'json', 'pickle' or an object, not {choice!r}")
        return _NAMED[choice]()
    for encode, decode in (("encode", "decode"), ("dumps", "loads")):
        if callable(getattr(choice, encode, None)) and callable(getattr(choice, decode, None)):
            return _Adapted(getattr(choice, encode), getattr(choice, decode))
    raise TypeError(f"a serializer has encode and decode, or dumps and loads; {choice!r} has neither")


class JsonSerializer:
    """Values that JSON gives back as they are; everything else is refused, a tuple too."""

    def encode(self, value: Any) -> bytes:
        """Return *value* as UTF-8 JSON, or raise UnencodableError."""
        try:
            stranger = _not_json(value)
            if stranger is None:
                return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except (ValueError, RecursionError) as error:  # lone surrogates, thousands of digits, a list in itself
            raise UnencodableError(type(value), describe(error)) from error
        raise UnencodableError(stranger, "which JSON does not give back as it is")

    def decode(self, data: bytes) -> Any:
        """Return the value, or raise CorruptError."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CorruptError(describe(error)) from error


def _not_json(value: Any) -> type | None:
    """Return the first type in *value* that JSON would change, or None."""
    kind = type(value)
    if kind is dict:
        strangers = (type(key) if type(key) is not str else _not_json(item) for key, item in value.items())
        return next((found for found in strangers if found is not None), None)
    if kind is list:
        return next((found for found in map(_not_json, value) if found is not None), None)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return None
    return kind


class _Adapted:
    """Somebody else's serializer: whatever it raises, the value is refused or the bytes are."""

    def __init__(self, encode: Callable[[Any], Any], decode: Callable[[bytes], Any]) -> None:
        self._encode = encode
        self._decode = decode

    def encode(self, value: Any) -> bytes:
        try:
            data = self._encode(value)
            return data.encode() if isinstance(data, str) else bytes(memoryview(data))
        except UnencodableError:
            raise
        except Exception as error:
            raise UnencodableError(type(value), describe(error)) from error

    def decode(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except CorruptError:
            raise
        except Exception as error:
            raise CorruptError(describe(error)) from error


_NAMED: Final[dict[str, Callable[[], Codec | JsonSerializer | _Adapted]]] = {
    "msgpack": Codec,
    "json": JsonSerializer,
    "pickle": lambda: _Adapted(pickle.dumps, pickle.loads),
}

ENTRY: Final = b"e"
ID: Final = b"i"
"""What a payload is: a serialized value, or the text of a key that an id stands for. One never passes for the other."""

ARRAY_OF_TWO: Final = b"\x92"
BIN_8: Final = b"\xc4"
BIN_32: Final = b"\xc6"
PLAIN_SIZE: Final = 16
SIGNED_SIZE: Final = 32


class Sealer:
    """Binds payloads to the place they are stored in, and tells whether they are what was stored there.

    A *secret* signs what is sealed (HMAC-SHA-256). Without one a seal shows damage and
    mix-ups, but anybody could make it.
    """

    def __init__(self, secret: bytes | str | None = None) -> None:
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(self._secret, bytes | None):
            raise TypeError(f"secret must be bytes or text, not {type(secret).__name__}")
        if self._secret == b"":
            raise ValueError("secret must not be empty: secrets.token_bytes(32) makes a good one")
        size = PLAIN_SIZE if self._secret is None else SIGNED_SIZE
        self._head = ARRAY_OF_TWO + BIN_8 + bytes([size])
        self._payload_at = len(self._head) + size + len(BIN_32) + 4

    def seal(self, what: bytes, place: bytes, payload: bytes) -> bytes:
        """Return what to store at *place*."""
        return self._before(what, place, payload) + payload

    def unseal(self, what: bytes, place: bytes, stored: object) -> bytes:
        """Return the payload sealed for *place*; CorruptError if *stored* is anything else."""
        if not isinstance(stored, bytes):
            raise CorruptError(f"{type(stored).__name__} instead of bytes")
        payload = stored[self._payload_at :]
        if not hmac.compare_digest(stored[: self._payload_at], self._before(what, place, payload)):
            raise CorruptError("the seal does not fit")
        return payload

    def _before(self, what: bytes, place: bytes, payload: bytes) -> bytes:
        text = what + len(place).to_bytes(4, "big") + place + payload
        if self._secret is None:
            seal = hashlib.blake2b(text, digest_size=PLAIN_SIZE, person=b"async_cache").digest()
        else:
            seal = hmac.digest(self._secret, text, "sha256")
        return self._head + seal + BIN_32 + len(payload).to_bytes(4, "big")
