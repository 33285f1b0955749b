"""JSON encoding of response bodies."""

from __future__ import annotations

import json
from typing import Final

from pydantic_core import PydanticSerializationError, to_json

from ...model.rendering import placeholder

NO_LONGER_KEPT: Final = placeholder({}, "no longer kept")
"""Placeholder of params that were dropped to save memory."""


def encode_json(body: object) -> bytes:
    """Return plain data as JSON text; characters that UTF-8 cannot encode are escaped."""
    try:
        return to_json(body, inf_nan_mode="null")
    except PydanticSerializationError:  # a lone surrogate, which an id or a docstring may contain
        return json.dumps(body).encode("ascii")
