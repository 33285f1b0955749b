"""Cache keys: the default key of a call, the context of key functions, and the validation of keys.

A default key consists of the function's identity and a digest of the canonical form of the
arguments, bound to parameters (:mod:`async_cache.argument_binding`). So equivalent calls have the
same key, and calls that differ in a value or a type have different ones. It starts with a
prefix that no composed key has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, Final
from weakref import finalize

from .argument_binding import Binder, Defaults, Layout, defaults_of
from .codec.canonical import canonical_call, canonical_form
from .codec.qualified_names import identity_of, name_of
from .exceptions import InvalidCacheKeyError, UncacheableError, UnencodableError

KeyFunction = Callable[[dict[str, Any]], Any]
"""Returns the key of a call for its context, see :func:`context_of`."""

DEFAULT_PREFIX: Final = "%call2:"
"""Prefix of default keys. It changes whenever their derivation changes, so that old entries are not found.

In composed keys a ``%`` is followed by ``25``, ``3A`` or a marker that differs from this prefix.
"""

_MAX_KEY_BYTES: Final = 512
_INVALID_CALL: Final = "!"
"""Prefix of the arguments of a call that does not match the function's parameters."""

_MAX_IDENTITY_LENGTH: Final = 256
_INVALID_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CACHEABLE_TYPES: Final = frozenset({int, str, type(None)})  # without float, because 0.0 equals -0.0
_MAX_CACHED_STR: Final = 100


class DefaultKeys:
    """Derives the keys of calls that have no key function.

    Args:
        skip: Names of parameters that keys ignore.
    """

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self._binder = Binder(skip)
        self._functions: dict[int, _KnownFunction] = {}  # by the id() of functions that have not been collected

    def key(
        self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
    ) -> str:
        """Return the key of a call: equal for equivalent calls of one function, different for all other calls.

        Args:
            func: The function, or a name, which never has the same key as a function. The
                arguments are bound to the function's parameters and its defaults are filled in;
                with a name they are used as passed.
            args: The positional arguments. ``1``, ``True``, ``1.0`` and ``"1"`` differ.
            kwargs: The keyword arguments, whose order does not matter.

        Raises:
            UncacheableError: The function or an argument has no canonical form.
        """
        known = self._functions.get(id(func))
        if known is None:
            if type(func) is not FunctionType:
                return self._key_of(func, args, kwargs or {})
            known = self._register(func)
        function: Any = func
        if known.defaults is function.__defaults__ and known.kwdefaults == function.__kwdefaults__:
            values = (*args, *kwargs.values()) if kwargs else args
            if (types := _distinguishing_types(values)) is not None:
                if kwargs:
                    return _cached_key_with_kwargs(known, values, types, tuple(kwargs))
                return _cached_key(known, values, types)
        return known.prefix + _digest_of_bound(known.layout, args, kwargs or {}, defaults_of(function))

    def _register(self, func: FunctionType) -> _KnownFunction:
        number = id(func)
        known = self._functions[number] = _KnownFunction(_prefix_of(func), self._binder.layout_of(func))
        finalize(func, self._functions.pop, number, None).atexit = False
        return known

    def _key_of(self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        prefix = _prefix_of(func)
        call = self._binder.call_of(func, args, kwargs)
        return prefix + (_digest(canonical_call, args, kwargs) if call is None else _digest_of_bound(*call))


def _digest_of_bound(layout: Layout, args: tuple[Any, ...], kwargs: Mapping[str, Any], defaults: Defaults) -> str:
    try:
        arguments = layout.normal_form(args, kwargs, defaults)
    except LookupError:
        return _INVALID_CALL + _digest(canonical_call, args, kwargs)
    try:
        return _digest(canonical_call, *arguments)
    except UncacheableError:
        return _digest(canonical_call, *layout.with_markers(arguments, defaults))


class _KnownFunction:
    """A plain function: the prefix of its keys, its parameters, and the defaults for which cached keys are valid."""

    __slots__ = ("defaults", "kwdefaults", "layout", "prefix")

    def __init__(self, prefix: str, layout: Layout) -> None:
        self.prefix = prefix
        self.layout = layout
        defaults_kept: tuple[Any, Any] = layout.defaults or (_NEVER_EQUAL, None)
        self.defaults, self.kwdefaults = defaults_kept


_NEVER_EQUAL: Final = object()
"""Replaces default values that may change, or may refer to the function, so that no key is cached."""


@cache
def default_keys(skip: frozenset[str]) -> DefaultKeys:
    """Return the shared DefaultKeys that ignores these parameters; it caches facts about functions."""
    return DefaultKeys(skip)


default_key: Final = default_keys(frozenset()).key
"""Returns the default key of a call, see :meth:`DefaultKeys.key`."""


def _prefix_of(func: Callable[..., Any] | str) -> str:
    identity = "=" + escape(func) if isinstance(func, str) else function_identity(func)
    if len(identity) > _MAX_IDENTITY_LENGTH or not (identity.isascii() and identity.isprintable()):
        identity = "#" + _digest(canonical_form, identity)
    return f"{DEFAULT_PREFIX}{identity}:"


def _distinguishing_types(args: tuple[Any, ...]) -> tuple[type, ...] | None:
    """Return types that distinguish *args* from other arguments equal to them: all types if one is bool, else none.

    Returns None if the key cannot be cached: an argument is of a type other than int, str,
    bool and None, or is a long str.
    """
    has_bool = False
    for arg in args:
        kind = type(arg)
        if kind is bool:
            has_bool = True
        elif kind not in _CACHEABLE_TYPES or (kind is str and len(arg) > _MAX_CACHED_STR):
            return None
    return tuple(map(type, args)) if has_bool else ()


@lru_cache(maxsize=1024)
def _cached_key(known: _KnownFunction, args: tuple[Any, ...], types: tuple[type, ...]) -> str:  # noqa: ARG001 - part of the cache key
    return known.prefix + _digest_of_bound(known.layout, args, {}, known.layout.defaults or (None, None))


@lru_cache(maxsize=1024)
def _cached_key_with_kwargs(
    known: _KnownFunction,
    values: tuple[Any, ...],
    types: tuple[type, ...],  # noqa: ARG001 - part of the cache key
    names: tuple[str, ...],
) -> str:
    split = len(values) - len(names)
    kwargs = dict(zip(names, values[split:], strict=True))
    return known.prefix + _digest_of_bound(known.layout, values[:split], kwargs, known.layout.defaults or (None, None))


def _digest(canonical: Callable[..., bytes], *values: Any) -> str:
    try:
        form = canonical(*values)
    except UnencodableError as error:
        raise UncacheableError(*error.args) from error
    return digest_of(form)


def digest_of(form: bytes) -> str:
    """Return the digest of a canonical form."""
    digest = _EMPTY_DIGEST.copy()  # takes two thirds of the time of blake2b(digest_size=16)
    digest.update(form)
    return digest.hexdigest()


_EMPTY_DIGEST: Final = blake2b(digest_size=16)


def function_identity(func: Callable[..., Any]) -> str:
    """Return a text that identifies a function.

    A bound method adds its ``__self__`` to the function's
    :func:`~async_cache.codec.qualified_names.identity_of`, and a ``partial`` its arguments. A
    callable object without a qualified name is identified by its content. All of these are
    represented by their canonical form.

    Raises:
        UncacheableError: One of these has no canonical form.
    """
    called: Any = func
    kind = type(func)
    if kind is FunctionType:
        return identity_of(func)
    if kind is MethodType:
        return f"{function_identity(called.__func__)}@{_digest(canonical_form, called.__self__)}"
    if kind is partial:  # not a subclass, whose __call__ may differ
        return f"{function_identity(called.func)}&{_digest(canonical_call, called.args, called.keywords)}"
    return identity_of(func) if name_of(func) else f"@{_digest(canonical_form, func)}"


def func_name_of(func: Any) -> str:
    """Return the name of a function; for a partial, the name of the function it calls."""
    while type(func) is partial:
        func = func.func
    name = func if isinstance(func, str) else getattr(func, "__name__", None)
    return name if isinstance(name, str) else type(func).__name__


class CallContext(dict[str, Any]):
    """Argument of a key function: a dict that describes a call, with a function that returns its default key."""

    __slots__ = ("default_key",)

    default_key: Callable[[], str]


def context_of(
    func: Callable[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    entry_id: str | None,
    metadata: Mapping[str, Any] | None,
    keys: DefaultKeys | None = None,
) -> dict[str, Any]:
    """Return the context of a call: a copy, so that a key function cannot modify the call."""
    name = func_name_of(func)
    context = CallContext(
        func_name=name,
        fn_name=name,
        args=tuple(args),
        kwargs=dict(kwargs),
        entry_id=entry_id,
        metadata=dict(metadata or {}),
    )
    context.default_key = partial((keys or default_keys(frozenset())).key, func, tuple(args), kwargs)
    return context


def generate_entry_id(func_name: str, task_id: str) -> str:
    """Return the entry id of a task, which is unique for each pair of name and id."""
    return f"{escape(func_name)}:{escape(task_id)}"


def validate_key(key: object) -> str:
    """Return *key* if it is valid.

    Raises:
        InvalidCacheKeyError: It is not a str, empty, longer than 512 bytes in UTF-8, or contains
            control characters.
    """
    if not isinstance(key, str):
        raise InvalidCacheKeyError(f"a key of type {type(key).__name__}")
    text = str.__str__(key)
    size = len(text.encode("utf-8", "replace"))
    if not text:
        raise InvalidCacheKeyError("an empty key")
    if _INVALID_CHARACTERS.search(text):
        raise InvalidCacheKeyError(f"control characters or lone surrogates in {text[:80]!r}")
    if size > _MAX_KEY_BYTES:
        raise InvalidCacheKeyError(f"{size} bytes in {text[:80]!r}...")
    return text


def escape(text: str) -> str:
    """Return *text* with ``%`` and ``:`` escaped, so that it can be a part of a key between colons."""
    if "%" not in text and ":" not in text:  # the usual case, in half the time
        return text
    return text.replace("%", "%25").replace(":", "%3A")
