"""Encode typed values to bytes and decode them, without changing a value or its type.

This package imports nothing else of :mod:`async_cache`: the result cache and the task
journal both build on it.
"""

from .codec import Codec
from .exceptions import CorruptError, UnencodableError

__all__ = ["Codec", "CorruptError", "UnencodableError"]
