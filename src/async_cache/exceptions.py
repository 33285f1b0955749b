"""What can go wrong in a cache, and how to mend it: each error's docstring is its message."""

from __future__ import annotations


class AsyncCacheError(Exception):
    """Base class of every error of this package's own.

    Args:
        detail: What happened here, in front of the class's own text.
    """

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))

    def __str__(self) -> str:
        """Say what happened and, from the class's docstring, how to mend it."""
        return ": ".join([*map(str, self.args), str(type(self).__doc__)])


class UnsupportedTypeError(AsyncCacheError):
    """The cache cannot handle a value of this type.

    Args:
        kind: The type at fault, kept as :attr:`kind`.
        detail: What is wrong with this value of it.
    """

    kind: type

    def __init__(self, kind: type, detail: str | None = None) -> None:
        Exception.__init__(self, kind, *(() if detail is None else (detail,)))
        self.kind = kind

    def __str__(self) -> str:
        """Name the type and, from the class's docstring, the remedy."""
        return ": ".join([self.kind.__qualname__, *map(str, self.args[1:]), str(type(self).__doc__)])


class UnencodableError(UnsupportedTypeError):
    """This value would not come back as it was. Return plain data, a dataclass or a pydantic model."""


class UncacheableError(UnsupportedTypeError):
    """This call has no safe default key. Give the class a __cache_key__(), or the task a cache_key_fn."""


class CorruptError(AsyncCacheError):
    """These bytes are not what this cache writes. Treat them as a miss and delete them."""


class InvalidCacheKeyError(AsyncCacheError, ValueError):
    """A cache key is a str of 1 to 512 bytes without control characters. Have the key function return one."""


class CacheUnavailableError(AsyncCacheError):
    """The storage behind the cache did not answer. Try again once it does."""


class PrefixRequiredError(AsyncCacheError, ValueError):
    """Without a key_prefix, clear() would empty the whole database. Give the adapter a prefix of its own."""


def described(error: BaseException) -> str:
    """Return an error's type and text on one line, whatever the text contains."""
    try:
        return f"{type(error).__name__}: {str(error)!r}"
    except Exception:  # noqa: BLE001 - an error of somebody else's making may be unable to print itself
        return type(error).__name__
