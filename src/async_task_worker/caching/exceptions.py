"""Errors of the result cache that are also a TaskWorkerError.

Both ``except TaskWorkerError`` and ``except async_cache.AsyncCacheError`` catch them. Importing
this module imports :mod:`async_cache`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import async_cache

from ..exceptions import TaskWorkerError


class InvalidCacheKeyError(TaskWorkerError, async_cache.InvalidCacheKeyError):
    __doc__ = "A cache key is a str of 1 to 512 bytes without control characters. Have the key function return one."


class CacheUnavailableError(TaskWorkerError, async_cache.CacheUnavailableError):
    __doc__ = "The storage behind the cache did not answer. Try again once it does."


class PrefixRequiredError(TaskWorkerError, async_cache.PrefixRequiredError):
    __doc__ = "Without a key_prefix, clear() would empty the whole database. Give the adapter a prefix of its own."


_OURS: Final[dict[type[async_cache.AsyncCacheError], type[TaskWorkerError]]] = {
    async_cache.InvalidCacheKeyError: InvalidCacheKeyError,
    async_cache.CacheUnavailableError: CacheUnavailableError,
    async_cache.PrefixRequiredError: PrefixRequiredError,
}


@contextmanager
def as_worker_errors() -> Iterator[None]:
    """Replace errors of the cache by their subclasses from this module."""
    try:
        yield
    except tuple(_OURS) as error:
        ours = _OURS.get(type(error))
        if ours is None:  # it is an error of this module already
            raise
        raise ours(*error.args) from error
