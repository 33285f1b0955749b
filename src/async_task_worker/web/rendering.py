"""JSON text of what is shown over HTTP."""

from __future__ import annotations

from typing import Final

from pydantic_core import to_json

from ..model.rendering import TOO_LARGE, placeholder, rendered, rfc3339, text

__all__ = ["NO_LONGER_KEPT", "TOO_LARGE", "encoded", "placeholder", "rendered", "rfc3339", "text"]

NO_LONGER_KEPT: Final = placeholder({}, "no longer kept")
"""Stands for the params of a task that there was no room to keep."""


def encoded(body: object) -> bytes:
    """Return plain data as JSON text."""
    return to_json(body, inf_nan_mode="null")
