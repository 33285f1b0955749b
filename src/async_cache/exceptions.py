"""What can go wrong in a cache, and how to fix it: each error's ``text`` is its message.

A docstring cannot be the message: ``python -OO`` removes all of them.
"""

from __future__ import annotations

from typing import ClassVar, Final


class AsyncCacheError(Exception):
    """Base class of every error of this package's own.

    A subclass says what went wrong, and how to fix it, in its :attr:`text`; without one its
    docstring is that, and without a docstring the text of its base class.

    Args:
        detail: What happened here, in front of the class's own text.

    Attributes:
        text: What every error of this class says.
    """

    text: ClassVar[str] = "The cache could not do what it was asked for. The log may have more about it."

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Take the docstring of a subclass as its text, unless it has one."""
        super().__init_subclass__(**kwargs)
        if cls.__doc__ and "text" not in vars(cls):
            cls.text = cls.__doc__

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))

    def __str__(self) -> str:
        """Return what happened and the class's text."""
        return ": ".join([*map(str, self.args), self.text])


class UnsupportedTypeError(AsyncCacheError):
    """The cache cannot handle a value of this type.

    Args:
        kind: The type at fault, kept as :attr:`kind`.
        detail: What is wrong with this value of it.
    """

    text = "The cache cannot handle a value of this type. Use plain data, a dataclass or a pydantic model."
    kind: type

    def __init__(self, kind: type, detail: str | None = None) -> None:
        Exception.__init__(self, kind, *(() if detail is None else (detail,)))
        self.kind = kind

    def __str__(self) -> str:
        """Return the type's name, what is wrong and the class's text."""
        return ": ".join([self.kind.__qualname__, *map(str, self.args[1:]), self.text])


class UnencodableError(UnsupportedTypeError):
    """A value has no encoded form that would be decoded to an equal one."""

    text = "This value would not come back as it was. Return plain data, a dataclass or a pydantic model."


class UncacheableError(UnsupportedTypeError):
    """A call has no default key."""

    text = "This call has no safe default key. Give the class a __cache_key__(), or the task a cache_key_fn."


class CorruptError(AsyncCacheError):
    """Stored bytes cannot be decoded."""

    text = "These bytes are not what this cache writes. Treat them as a miss and delete them."


class InvalidCacheKeyError(AsyncCacheError, ValueError):
    """A cache key is not a valid one."""

    text = "A cache key is a str of 1 to 512 bytes without control characters. Have the key function return one."


class CacheUnavailableError(AsyncCacheError):
    """The storage of a cache did not answer."""

    text = "The storage behind the cache did not answer. Try again once it does."


class PrefixRequiredError(AsyncCacheError, ValueError):
    """A cache without a prefix was asked to delete every entry."""

    text = "Without a key_prefix, clear() would empty the whole database. Give the adapter a prefix of its own."


def described(error: BaseException) -> str:
    """Return an error's type and text on one line, whatever the text contains; a long one is cut."""
    name = str.__str__(_name(type(error)))
    try:
        text = str.__str__(str(error))
    except BaseException:  # noqa: BLE001 - an error of the user's making may be unable to print itself
        return name
    return f"{name}: {text if len(text) <= _LONGEST else text[:_LONGEST] + ' …'!r}"


_name: Final = type.__dict__["__name__"].__get__
_LONGEST: Final = 10_000
