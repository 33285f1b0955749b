"""A cache for the results of coroutines: typed values, safe keys, in memory or in Redis.

It never hands out the object it was given, never unpickles what it did not pickle, and
never raises or dawdles because its storage does.
"""

from .adapters import CacheAdapter, MemoryCacheAdapter, RedisCacheAdapter
from .cache import AsyncCache
from .codec import Codec
from .entry_ids import EntryIds
from .exceptions import (
    AsyncCacheError,
    CacheUnavailableError,
    CorruptError,
    InvalidCacheKeyError,
    PrefixRequiredError,
    UncacheableError,
    UnencodableError,
)
from .key_functions import compose_key_functions, default_key, extract_key_component, key_component
from .keys import generate_entry_id
from .single_flight import FlightMember, Flights, Membership
from .snapshot import Snapshot
from .statistics import CacheStatistics

__all__ = [
    "AsyncCache",
    "AsyncCacheError",
    "CacheAdapter",
    "CacheStatistics",
    "CacheUnavailableError",
    "Codec",
    "CorruptError",
    "EntryIds",
    "FlightMember",
    "Flights",
    "InvalidCacheKeyError",
    "Membership",
    "MemoryCacheAdapter",
    "PrefixRequiredError",
    "RedisCacheAdapter",
    "Snapshot",
    "UncacheableError",
    "UnencodableError",
    "compose_key_functions",
    "default_key",
    "extract_key_component",
    "generate_entry_id",
    "key_component",
]
