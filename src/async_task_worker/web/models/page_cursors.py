"""Cursors over HTTP: those of the worker, and with them what the worker is not told of the filters.

A worker's cursor checks the filters it was asked for. It does not see a text that is looked for
in what is shown, nor that a moment was given as an age, which means another moment at each page.
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
    """What a cursor has to hold beyond the worker's own.

    Attributes:
        before: Before which moment tasks are wanted, if an age was given; the same for all pages.
        digest: Of the filters the worker is not told; None if it is told all.
    """

    before: datetime | None
    digest: bytes | None

    @classmethod
    def for_filters(cls, text: str | None, minutes: float | None = None) -> CursorExtension:
        """Return what the cursors for these filters hold.

        Args:
            text: What is looked for in tasks as they are shown; None if the worker is told of it, or nothing is.
            minutes: The age that was given.
        """
        filters = text, minutes
        if filters == (None, None):
            return cls(None, None)
        digest = blake2b(repr(filters).encode("ascii", "backslashreplace"), digest_size=8).digest()
        return cls(None if minutes is None else _minutes_ago(minutes), digest)

    def extend(self, cursor: str | None) -> str | None:
        """Return the cursor to show for one of the worker."""
        if cursor is None or self.digest is None:
            return cursor
        since = 0 if self.before is None else (self.before - _EPOCH) // _MICROSECOND
        return f"{cursor}{_MARK}{_encode(_EXTENSION.pack(since, self.digest))}"

    def strip_extension(self, cursor: str | None) -> str | None:
        """Return the worker's cursor for one that was shown, and go by the moment that was meant then.

        Raises:
            ValueError: It was not returned here, or for other filters.
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
