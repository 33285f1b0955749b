"""Where a cache keeps its entries: in this process, in Redis, or in a place of your own making."""

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
