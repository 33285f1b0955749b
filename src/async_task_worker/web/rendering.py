"""JSON text of what is shown over HTTP."""

from __future__ import annotations

from pydantic_core import to_json

from ..model.rendering import TOO_LARGE, placeholder, rendered, rfc3339, text

__all__ = ["TOO_LARGE", "encoded", "placeholder", "rendered", "rfc3339", "text"]


def encoded(body: object) -> bytes:
    """Return plain data as JSON text."""
    return to_json(body, inf_nan_mode="null")
