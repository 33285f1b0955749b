"""JSON text of what is shown over HTTP."""

from __future__ import annotations

import json
from typing import Final

from pydantic_core import PydanticSerializationError, to_json

from ...model.rendering import placeholder

NO_LONGER_KEPT: Final = placeholder({}, "no longer kept")
"""Stands for the params of a task that there was no room to keep."""


def encode_json(body: object) -> bytes:
    """Return plain data as JSON text; what UTF-8 cannot hold is escaped."""
    try:
        return to_json(body, inf_nan_mode="null")
    except PydanticSerializationError:  # half of a surrogate pair, as an id or a docstring may have it
        return json.dumps(body).encode("ascii")
