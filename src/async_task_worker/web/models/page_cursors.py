"""Cursors of the HTTP API: the worker's cursor, extended by the filters that the worker does not see.

A worker's cursor is valid only for the filters of its search. The router applies two filters by itself:
a text that is searched in redacted bodies, and an age in minutes, which means a different time for each page.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

_EXTENSION: Final = struct.Struct(">q8s")
_MARK: Final = "."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class CursorExtension:
    """The part of a cursor that the router adds.

    Attributes:
        before: Only tasks created before this time match, if an age was given; the same for all pages.
        digest: Digest of the filters that the worker does not see; None if it sees all of them.
    """

    before: datetime | None
    digest: bytes | None

    @classmethod
    def for_filters(cls, text: str | None, minutes: float | None = None) -> CursorExtension:
        """Return the extension of cursors for these filters.

        Args:
            text: The text that is searched in redacted bodies; None if there is none, or the worker searches it.
            minutes: The least age of tasks; None if none was given.
        """
        filters = text, minutes
        if filters == (None, None):
            return cls(None, None)
        digest = blake2b(repr(filters).encode("ascii", "backslashreplace"), digest_size=8).digest()
        return cls(None if minutes is None else _minutes_ago(minutes), digest)

    def extend(self, cursor: str | None) -> str | None:
        """Return the cursor for the client, made from the worker's cursor; None for the last page."""
        if cursor is None or self.digest is None:
            return cursor
        since = 0 if self.before is None else (self.before - _EPOCH) // _MICROSECOND
        return f"{cursor}{_MARK}{_encode(_EXTENSION.pack(since, self.digest))}"

    def strip_extension(self, cursor: str | None) -> str | None:
        """Return the worker's cursor from a client's cursor, and set ``before`` to the time that belongs to it.

        Raises:
            ValueError: The cursor is invalid, or belongs to other filters.
        """
        if cursor is None:
            return None
        worker_cursor, mark, extension = cursor.partition(_MARK)
        since, digest = _decode(extension) if mark else (0, None)
        if digest != self.digest:
            raise ValueError(
                "the filters differ from those of the page that returned this cursor: repeat q and older_than_minutes "
                "for each page, or leave out the cursor to begin again"
            )
        if self.before is not None:
            self.before = _EPOCH + since * _MICROSECOND
        return worker_cursor


def _decode(extension: str) -> tuple[int, bytes]:
    try:
        data = base64.b64decode(extension + "=" * (-len(extension) % 4), altchars=b"-_", validate=True)
        since, digest = _EXTENSION.unpack(data)
    except (binascii.Error, struct.error, ValueError):
        data, since, digest = b"", 0, b""
    if _encode(data) != extension:
        raise ValueError("this is not a cursor that a search returned: pass next_cursor of the page before unchanged")
    return since, digest


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _minutes_ago(minutes: float) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(minutes=minutes)
    except OverflowError:
        return _OLDEST
