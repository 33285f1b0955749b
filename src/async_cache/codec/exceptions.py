"""Errors of the codec, and the base class of all errors of :mod:`async_cache`.

Each error's ``text`` is its message. A docstring cannot be the message, because
``python -OO`` removes all docstrings.
"""

from __future__ import annotations

from typing import ClassVar, Final


class AsyncCacheError(Exception):
    """Base class of all errors that this package defines.

    The message of a subclass is its :attr:`text`; without one it is the docstring of the
    subclass, and without a docstring the text of the base class.

    Args:
        detail: What happened in this case; printed in front of the text of the class.

    Attributes:
        text: The message that all errors of this class have in common.
    """

    text: ClassVar[str] = "The cache could not do what it was asked for. The log may have more about it."

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Use the docstring of a subclass as its text, unless it defines one."""
        super().__init_subclass__(**kwargs)
        if cls.__doc__ and "text" not in vars(cls):
            cls.text = cls.__doc__

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(*(() if detail is None else (detail,)))

    def __str__(self) -> str:
        """Return the detail and the text of the class."""
        return ": ".join([*map(str, self.args), self.text])


class UnsupportedTypeError(AsyncCacheError):
    """The cache cannot handle a value of this type.

    Args:
        kind: The type of the value, kept as :attr:`kind`.
        detail: What is wrong with this value.
    """

    text = "The cache cannot handle a value of this type. Use plain data, a dataclass or a pydantic model."
    kind: type

    def __init__(self, kind: type, detail: str | None = None) -> None:
        Exception.__init__(self, kind, *(() if detail is None else (detail,)))
        self.kind = kind

    def __str__(self) -> str:
        """Return the name of the type, the detail and the text of the class."""
        return ": ".join([self.kind.__qualname__, *map(str, self.args[1:]), self.text])


class UnencodableError(UnsupportedTypeError):
    """A value cannot be encoded such that decoding returns an equal value of the same type."""

    text = "This value would not come back as it was. Return plain data, a dataclass or a pydantic model."


class CorruptError(AsyncCacheError):
    """Stored bytes cannot be decoded."""

    text = "These bytes are not what this cache writes. Treat them as a miss and delete them."


def describe(error: BaseException) -> str:
    """Return the type and text of an error on one line, cut after 10,000 characters of text."""
    name = str.__str__(_name(type(error)))
    try:
        text = str.__str__(str(error))
    except BaseException:  # noqa: BLE001 - the __str__ of a user's error may raise anything
        return name
    return f"{name}: {text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + ' …'!r}"


_name: Final = type.__dict__["__name__"].__get__
_MAX_TEXT: Final = 10_000
