"""A cache for the results of coroutines: typed values, safe keys, in memory or in Redis.

A hit is always a copy, never the object that was stored. Nothing is unpickled that this
process did not pickle itself, unless it is signed. A faulty or slow storage neither raises
nor delays a caller for longer than the timeout.

Names are imported when they are first used, so that importing :mod:`async_cache.codec`
does not load the cache.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_LAZY: Final = {
    "AsyncCache": "cache",
    "AsyncCacheError": "exceptions",
    "CacheAdapter": "adapters",
    "CacheStatistics": "statistics",
    "CacheUnavailableError": "exceptions",
    "Codec": "codec",
    "CorruptError": "exceptions",
    "EntryIds": "entry_ids",
    "FlightMember": "single_flight",
    "Flights": "single_flight",
    "InvalidCacheKeyError": "exceptions",
    "Membership": "single_flight",
    "MemoryCacheAdapter": "adapters",
    "PrefixRequiredError": "exceptions",
    "RedisCacheAdapter": "adapters",
    "Snapshot": "snapshot",
    "UncacheableError": "exceptions",
    "UnencodableError": "exceptions",
    "compose_key_functions": "key_functions",
    "default_key": "key_functions",
    "extract_key_component": "key_functions",
    "generate_entry_id": "keys",
    "key_component": "key_functions",
}
"""The module of each exported name."""

_MODULES: Final = frozenset({*_LAZY.values()})
"""Modules that are attributes of the package without being imported by the caller, such as ``async_cache.adapters``."""


def __getattr__(name: str) -> Any:
    """Import the module of an exported name, or an exported module, on first use."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    """Return the exported names along with those defined so far."""
    return sorted({*globals(), *__all__})
