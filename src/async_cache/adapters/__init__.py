"""Where a cache keeps its entries: in this process, in Redis, or in a place of your own making."""

from .base import CacheAdapter
from .guard import CacheUnavailableError
from .memory import MemoryCacheAdapter
from .redis import PrefixRequiredError, RedisCacheAdapter

__all__ = [
    "CacheAdapter",
    "CacheUnavailableError",
    "MemoryCacheAdapter",
    "PrefixRequiredError",
    "RedisCacheAdapter",
]
