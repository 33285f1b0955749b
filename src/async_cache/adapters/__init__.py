"""Storages of a cache: memory, Redis, or a user's own."""

from ..exceptions import CacheUnavailableError, PrefixRequiredError
from .base import CacheAdapter
from .memory import MemoryCacheAdapter
from .redis import RedisCacheAdapter

__all__ = [
    "CacheAdapter",
    "CacheUnavailableError",
    "MemoryCacheAdapter",
    "PrefixRequiredError",
    "RedisCacheAdapter",
]
