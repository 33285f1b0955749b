"""Long polling: the longest wait, and the wait that a ``Prefer`` header asks for."""

from __future__ import annotations

import re
from typing import Final

MAX_WAIT: Final = 60.0
"""Seconds that a response may be delayed at most."""

_PREFERRED_WAIT: Final = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


def preferred_wait(prefer: str | None) -> float | None:
    """Return the seconds of ``Prefer: wait=10``, at most 60; None if the header has no valid ``wait``."""
    found = _PREFERRED_WAIT.search(prefer) if prefer else None
    return None if found is None else min(float(found[1]), MAX_WAIT)
