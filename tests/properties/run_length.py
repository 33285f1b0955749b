"""Length of the random tests: short by default, long with ``ATW_LONG=1`` in the environment."""

from __future__ import annotations

import os
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T")

LONG: Final = os.environ.get("ATW_LONG", "0") not in ("", "0")


def long_or_short(long: T, short: T) -> T:
    """Return *long* in a long run, else *short*."""
    return long if LONG else short


def stateful_settings() -> settings:
    """Return the settings of a state machine. Its runs are random; a failure prints the code that replays it."""
    return settings(
        max_examples=long_or_short(200, 60),
        stateful_step_count=long_or_short(50, 30),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        derandomize=False,
        print_blob=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
