"""Errors of the cache. Each error's ``text`` is its message and says how to fix the cause."""

from __future__ import annotations

from .codec.exceptions import AsyncCacheError, CorruptError, UnencodableError, UnsupportedTypeError, describe

__all__ = [
    "AsyncCacheError",
    "CacheUnavailableError",
    "CorruptError",
    "InvalidCacheKeyError",
    "PrefixRequiredError",
    "UncacheableError",
    "UnencodableError",
    "UnsupportedTypeError",
    "describe",
]


class UncacheableError(UnsupportedTypeError):
    """A call has no default key."""

    text = "This call has no safe default key. Give the class a __cache_key__(), or the task a cache_key_fn."


class InvalidCacheKeyError(AsyncCacheError, ValueError):
    """A cache key is invalid."""

    text = "A cache key is a str of 1 to 512 bytes without control characters. Have the key function return one."


class CacheUnavailableError(AsyncCacheError):
    """The storage of a cache did not answer."""

    text = "The storage behind the cache did not answer. Try again once it does."


class PrefixRequiredError(AsyncCacheError, ValueError):
    """``clear()`` was called on a cache without a key prefix."""

    text = "Without a key_prefix, clear() would empty the whole database. Give the adapter a prefix of its own."
