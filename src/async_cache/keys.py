"""Cache keys: the default one of a call, and the rules for all of them.

A default key names the function and digests the arguments' canonical form, so it differs
for all that differs in value or type. It starts with a prefix no composed key can have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, Final

from .canonical import canonical_call, canonical_form
from .components import compose_key_functions, escaped, extract_key_component, key_component
from .exceptions import InvalidCacheKeyError, UncacheableError, UnencodableError
from .names import identity_of, name_of

__all__ = [
    "DEFAULT_PREFIX",
    "compose_key_functions",
    "context_of",
    "default_key",
    "extract_key_component",
    "function_identity",
    "generate_entry_id",
    "key_component",
    "validated_key",
]

DEFAULT_PREFIX: Final = "%call:"
"""Heads default keys. In composed keys a ``%`` is only ever followed by ``25``, ``3A`` or a mark of their own."""

_MOST_BYTES: Final = 512
_LONGEST_IDENTITY: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def default_key(func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return the key of a call: equal calls of one function have the same, others never.

    Args:
        func: The function, or a name to stand for it. The two never make the same key.
        args: The positional arguments. ``1``, ``True``, ``1.0`` and ``"1"`` differ.
        kwargs: The keyword arguments, whose order does not matter.

    Raises:
        UncacheableError: The function or an argument has nothing safe to go by.
    """
    identity = "=" + escaped(func) if isinstance(func, str) else function_identity(func)
    if len(identity) > _LONGEST_IDENTITY or not (identity.isascii() and identity.isprintable()):
        identity = "#" + _digest(canonical_form, identity)
    return f"{DEFAULT_PREFIX}{identity}:{_digest(canonical_call, args, kwargs)}"


def _digest(canonical: Callable[..., bytes], *values: Any) -> str:
    try:
        return blake2b(canonical(*values), digest_size=16).hexdigest()
    except UnencodableError as error:
        raise UncacheableError(*error.args) from error


def function_identity(func: Callable[..., Any]) -> str:
    """Return a text that stands for a function, and for no other.

    A bound method adds its ``__self__`` to :func:`~async_cache.names.identity_of` the
    function, a ``partial`` its arguments, and an object with ``__call__`` that has no name
    is told by its own content, each by its canonical form.

    Raises:
        UncacheableError: One of these has no canonical form.
    """
    called: Any = func
    kind = type(func)
    if kind is MethodType:
        return f"{function_identity(called.__func__)}@{_digest(canonical_form, called.__self__)}"
    if kind is partial:  # a subclass may call it differently
        return f"{function_identity(called.func)}&{_digest(canonical_call, called.args, called.keywords)}"
    return identity_of(func) if kind is FunctionType or name_of(func) else f"@{_digest(canonical_form, func)}"


def context_of(
    func_name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    entry_id: str | None,
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what a key function is given: a dict of its own, so that it cannot alter the call."""
    return {
        "func_name": func_name,
        "fn_name": func_name,
        "args": tuple(args),
        "kwargs": dict(kwargs),
        "entry_id": entry_id,
        "metadata": dict(metadata or {}),
    }


def generate_entry_id(func_name: str, task_id: str) -> str:
    """Return the composite id of a task's entry, which no other pair of name and id has."""
    return f"{escaped(func_name)}:{escaped(task_id)}"


def validated_key(key: object) -> str:
    """Return *key* if it is fit to be one.

    Raises:
        InvalidCacheKeyError: It is no str, empty, longer than 512 bytes in UTF-8, or has
            control characters.
    """
    if not isinstance(key, str):
        raise InvalidCacheKeyError(f"a key of type {type(key).__name__}")
    text = str.__str__(key)
    if not text:
        raise InvalidCacheKeyError("an empty key")
    if _CONTROL.search(text):
        raise InvalidCacheKeyError(f"control characters in {text[:80]!r}")
    if _size(text) > _MOST_BYTES:
        raise InvalidCacheKeyError(f"{_size(text)} bytes in {text[:80]!r}...")
    return text


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidCacheKeyError(f"half a character in {text[:80]!r}") from None
