"""Serialize and sign values that leave the process, and verify and deserialize them.

The bytes read from a shared storage may be written by another client, damaged, or, on a
connection that is out of step, the reply to another request. A signature over the location
and the payload detects all of these; with a secret it also proves who wrote the value. The
stored bytes are one valid msgpack array: ``[signature, payload]``.
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

CODE_EXECUTING_MODULES: Final = frozenset(
    {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "jsonpickle"}
)
"""Modules whose decoding can execute code that the bytes contain."""


def serializer_for(choice: Any, *, signed: bool) -> Codec | JsonSerializer | AdaptedSerializer:
    """Return the serializer for a name or an object.

    Its ``encode`` raises UnencodableError for a value that would not come back equal, its
    ``decode`` raises CorruptError for invalid bytes, and neither raises any other error.

    Args:
        choice: ``"msgpack"``, ``"json"``, ``"pickle"``, or an object with ``encode`` and
            ``decode`` or with ``dumps`` and ``loads``.
        signed: Whether only bytes signed with a secret are decoded.

    Raises:
        ValueError: The name is unknown, or decoding could execute code and *signed* is false.
        TypeError: The object lacks the methods.
    """
    can_run_code = choice == "pickle" or getattr(choice, "__name__", None) in CODE_EXECUTING_MODULES
    if can_run_code and not signed:
        raise ValueError(
            "anyone who can write to Redis could run code here through a pickle: "
            "pass secret=, which signs what is stored, or use serializer='msgpack'"
        )
    if isinstance(choice, str):
        if choice not in _BY_NAME:
            raise ValueError(f"serializer must be 'msgpack', 'json', 'pickle' or an object, not {choice!r}")
        return _BY_NAME[choice]()
    for encode, decode in (("encode", "decode"), ("dumps", "loads")):
        if callable(getattr(choice, encode, None)) and callable(getattr(choice, decode, None)):
            return AdaptedSerializer(getattr(choice, encode), getattr(choice, decode))
    raise TypeError(f"a serializer has encode and decode, or dumps and loads; {choice!r} has neither")


class JsonSerializer:
    """Serializes values that JSON returns unchanged; refuses all others, such as tuples."""

    def encode(self, value: Any) -> bytes:
        """Return *value* as UTF-8 JSON, or raise UnencodableError."""
        try:
            unsupported = _unsupported_type(value)
            if unsupported is None:
                return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except (
            ValueError,
            RecursionError,
        ) as error:  # such as lone surrogates, or a list that contains itself
            raise UnencodableError(type(value), describe(error)) from error
        raise UnencodableError(unsupported, "JSON would not return it unchanged")

    def decode(self, data: bytes) -> Any:
        """Return the value, or raise CorruptError."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CorruptError(describe(error)) from error


def _unsupported_type(value: Any) -> type | None:
    """Return the first type in *value* that JSON would change, or None."""
    kind = type(value)
    if kind is dict:
        unsupported = (type(key) if type(key) is not str else _unsupported_type(item) for key, item in value.items())
        return next((found for found in unsupported if found is not None), None)
    if kind is list:
        return next((found for found in map(_unsupported_type, value) if found is not None), None)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return None
    return kind


class AdaptedSerializer:
    """Wraps a user's serializer and converts its errors to UnencodableError and CorruptError."""

    def __init__(self, encode: Callable[[Any], Any], decode: Callable[[bytes], Any]) -> None:
        self._encode = encode
        self._decode = decode

    def encode(self, value: Any) -> bytes:
        """Return *value* as bytes, or raise UnencodableError."""
        try:
            data = self._encode(value)
            return data.encode() if isinstance(data, str) else bytes(memoryview(data))
        except UnencodableError:
            raise
        except Exception as error:
            raise UnencodableError(type(value), describe(error)) from error

    def decode(self, data: bytes) -> Any:
        """Return the value, or raise CorruptError."""
        try:
            return self._decode(data)
        except CorruptError:
            raise
        except Exception as error:
            raise CorruptError(describe(error)) from error


_BY_NAME: Final[dict[str, Callable[[], Codec | JsonSerializer | AdaptedSerializer]]] = {
    "msgpack": Codec,
    "json": JsonSerializer,
    "pickle": lambda: AdaptedSerializer(pickle.dumps, pickle.loads),
}

ENTRY: Final = b"e"
ID: Final = b"i"
"""Kinds of payload: a serialized value, or the key that an entry id is linked to. The signature covers the kind."""

ARRAY_OF_TWO: Final = b"\x92"
BIN_8: Final = b"\xc4"
BIN_32: Final = b"\xc6"
DIGEST_SIZE: Final = 16
HMAC_SIZE: Final = 32


class Signer:
    """Signs payloads for the location they are stored in, and verifies them when they are read.

    With a *secret* the signature is HMAC-SHA-256. Without one it is a digest, which detects
    damage and mix-ups but can be forged.
    """

    def __init__(self, secret: bytes | str | None = None) -> None:
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(self._secret, bytes | None):
            raise TypeError(f"secret must be bytes or text, not {type(secret).__name__}")
        if self._secret == b"":
            raise ValueError("secret must not be empty: use secrets.token_bytes(32), for example")
        size = DIGEST_SIZE if self._secret is None else HMAC_SIZE
        self._head = ARRAY_OF_TWO + BIN_8 + bytes([size])
        self._payload_offset = len(self._head) + size + len(BIN_32) + 4

    def sign(self, kind: bytes, location: bytes, payload: bytes) -> bytes:
        """Return the bytes to store at *location*: signature and payload."""
        return self._header(kind, location, payload) + payload

    def verify(self, kind: bytes, location: bytes, stored: object) -> bytes:
        """Return the payload of *stored*; raise CorruptError unless it was signed for *location*."""
        if not isinstance(stored, bytes):
            raise CorruptError(f"{type(stored).__name__} instead of bytes")
        payload = stored[self._payload_offset :]
        if not hmac.compare_digest(stored[: self._payload_offset], self._header(kind, location, payload)):
            raise CorruptError("the signature does not match")
        return payload

    def _header(self, kind: bytes, location: bytes, payload: bytes) -> bytes:
        text = kind + len(location).to_bytes(4, "big") + location + payload
        if self._secret is None:
            signature = hashlib.blake2b(text, digest_size=DIGEST_SIZE, person=b"async_cache").digest()
        else:
            signature = hmac.digest(self._secret, text, "sha256")
        return self._head + signature + BIN_32 + len(payload).to_bytes(4, "big")
