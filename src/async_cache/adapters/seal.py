"""Bytes bound to the place they are stored in.

What comes back from a shared storage may be another client's bytes, a damaged value, or,
on a connection out of step, the answer to another question. A seal over the place and
the payload tells each of these from the real thing; with a secret it also tells who
wrote it. The whole is one valid msgpack array: ``[seal, payload]``.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from ..exceptions import CorruptError

ARRAY_OF_TWO: Final = b"\x92"
BIN_8: Final = b"\xc4"
BIN_32: Final = b"\xc6"
PLAIN_SIZE: Final = 16
SIGNED_SIZE: Final = 32


class Sealer:
    """Seals payloads and breaks the seals again.

    Args:
        secret: Signs what is sealed (HMAC-SHA-256). Without one a seal shows damage and
            mix-ups, but anybody could make it.

    Raises:
        TypeError: *secret* is neither bytes nor text.
        ValueError: *secret* is empty.
    """

    def __init__(self, secret: bytes | str | None = None) -> None:
        self._secret = _checked(secret)
        size = PLAIN_SIZE if self._secret is None else SIGNED_SIZE
        self._head = ARRAY_OF_TWO + BIN_8 + bytes([size])
        self._payload_at = len(self._head) + size + len(BIN_32) + 4

    def seal(self, place: bytes, payload: bytes) -> bytes:
        """Return what to store at *place*."""
        return self._before(place, payload) + payload

    def unseal(self, place: bytes, stored: object) -> bytes:
        """Return the payload sealed for *place*.

        Raises:
            CorruptError: *stored* is anything else.
        """
        if not isinstance(stored, bytes):
            raise CorruptError(f"{type(stored).__name__} instead of bytes")
        payload = stored[self._payload_at :]
        if not hmac.compare_digest(stored[: self._payload_at], self._before(place, payload)):
            raise CorruptError("the seal does not fit")
        return payload

    def _before(self, place: bytes, payload: bytes) -> bytes:
        text = len(place).to_bytes(4, "big") + place + payload
        if self._secret is None:
            seal = hashlib.blake2b(text, digest_size=PLAIN_SIZE, person=b"async_cache").digest()
        else:
            seal = hmac.digest(self._secret, text, "sha256")
        return self._head + seal + BIN_32 + len(payload).to_bytes(4, "big")


def _checked(secret: bytes | str | None) -> bytes | None:
    if isinstance(secret, str):
        secret = secret.encode()
    if secret is not None and not isinstance(secret, bytes):
        raise TypeError(f"secret must be bytes or text, not {type(secret).__name__}")
    if secret == b"":
        raise ValueError("secret must not be empty: secrets.token_bytes(32) makes a good one")
    return secret
