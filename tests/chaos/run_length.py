"""Number of repetitions of the chaos tests: few by default, many with ``ATW_CHAOS=1`` in the environment."""

from __future__ import annotations

import os
import sys
from typing import Final

LONG: Final = os.environ.get("ATW_CHAOS", "0") not in ("", "0")
KILLS: Final = 200 if LONG else 10
CUTS: Final = 200 if LONG else 20
FAULTS: Final = range(1, 51) if LONG else (1, 2, 3, 5, 8, 13, 21, 34)


def report(title: str, **counts: object) -> None:
    """Print counts; pytest shows them with ``-s``."""
    sys.stdout.write(f"\n{title}: {', '.join(f'{name} {count}' for name, count in counts.items())}\n")
