"""How long the random tests go on: short in every run, at length with ``ATW_LONG=1`` in the environment."""

from __future__ import annotations

import os
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T")

LONG: Final = os.environ.get("ATW_LONG", "0") not in ("", "0")


def long_or_short(long: T, short: T) -> T:
    """Return the one that this run asks for."""
    return long if LONG else short


def stateful_settings() -> settings:
    """Return the length of a state machine's run. It is random everywhere; a failure prints what replays it."""
    return settings(
        max_examples=long_or_short(200, 60),
        stateful_step_count=long_or_short(50, 30),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        derandomize=False,
        print_blob=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
