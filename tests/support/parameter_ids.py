"""Names of a test's parameters that are the same in every process, as running the suite in several asks for."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """Return the value's text without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
