"""How a run can end, as values: nothing here is raised or caught."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from .status import CANCELLED, COMPLETED, FAILED, PENDING, TaskStatus

Outcome = tuple[TaskStatus, Any, BaseException | None]
"""The final status, what the function returned, what it raised. A bare tuple: one is made per task."""

CUT_SHORT: Final[Outcome] = (CANCELLED, None, None)
"""The task was stopped before it had a result."""

GIVEN_BACK: Final[Outcome] = (PENDING, None, None)
"""The task was stopped before it had a result, and is to run again when the worker starts again."""


def completed(result: Any) -> Outcome:
    """The function returned *result*."""
    return COMPLETED, result, None


def failed(error: BaseException) -> Outcome:
    """The function raised *error*, or was stopped for it."""
    return FAILED, None, error


class Interruption(Enum):
    """Why a running task was told to stop. The first reason given decides how it ends."""

    CANCEL = "cancelled by its user"
    TIMEOUT = "out of time"
    STOP = "cut off when the worker stopped"
