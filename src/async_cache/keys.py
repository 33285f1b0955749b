"""Cache keys: the default one of a call, what key functions are given, and the rules for all keys.

A default key names the function and digests the canonical form of its arguments, bound to its
parameters (:mod:`async_cache.binding`). So calls that mean the same share it, and calls that
differ in a value or a type do not. It starts with a prefix that no composed key can have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, Final
from weakref import finalize

from .binding import Binder, Defaults, Layout, defaults_of
from .codec.canonical import canonical_call, canonical_form
from .codec.qualified_names import identity_of, name_of
from .exceptions import InvalidCacheKeyError, UncacheableError, UnencodableError

KeyFunction = Callable[[dict[str, Any]], Any]
"""Returns a key for the context of a call, see :func:`context_of`."""

DEFAULT_PREFIX: Final = "%call2:"
"""Heads default keys. It changes with what they are made of, so that what earlier versions stored is not found.

In composed keys a ``%`` is only ever followed by ``25``, ``3A`` or a mark of their own.
"""

_MOST_BYTES: Final = 512
_MISFIT: Final = "!"
"""Stands before the arguments of a call that the function would refuse."""

_LONGEST_IDENTITY: Final = 256
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN: Final = frozenset({int, str, type(None)})  # not float: 0.0 equals -0.0
_SHORT: Final = 100


class DefaultKeys:
    """Makes the keys of calls that have no key function.

    Args:
        skip: Names of parameters that are no part of a key.
    """

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self._binder = Binder(skip)
        self._known: dict[int, _Known] = {}  # by the id() of plain functions that live

    def key(
        self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
    ) -> str:
        """Return the key of a call: calls of one function that mean the same have the same, others never.

        Args:
            func: The function, or a name to stand for it. The two never make the same key. The
                arguments are bound to the function's parameters and its defaults filled in;
                with a name they are taken as they are passed.
            args: The positional arguments. ``1``, ``True``, ``1.0`` and ``"1"`` differ.
            kwargs: The keyword arguments, whose order does not matter.

        Raises:
            UncacheableError: The function or an argument has nothing safe to go by.
        """
        known = self._known.get(id(func))
        if known is None:
            if type(func) is not FunctionType:
                return self._key_of(func, args, kwargs or {})
            known = self._learn(func)
        function: Any = func
        if known.defaults is function.__defaults__ and known.by_name == function.__kwdefaults__:
            values = (*args, *kwargs.values()) if kwargs else args
            if (kinds := _kinds_of_small(values)) is not None:
                if kwargs:
                    return _key_of_small_named(known, values, kinds, tuple(kwargs))
                return _key_of_small(known, values, kinds)
        return known.head + _digest_of_bound(known.layout, args, kwargs or {}, defaults_of(function))

    def _learn(self, func: FunctionType) -> _Known:
        number = id(func)
        known = self._known[number] = _Known(_head_of(func), self._binder.layout_of(func))
        finalize(func, self._known.pop, number, None).atexit = False
        return known

    def _key_of(self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        head = _head_of(func)
        call = self._binder.call_of(func, args, kwargs)
        return head + (_digest(canonical_call, args, kwargs) if call is None else _digest_of_bound(*call))


def _digest_of_bound(layout: Layout, args: tuple[Any, ...], kwargs: Mapping[str, Any], defaults: Defaults) -> str:
    try:
        arguments = layout.normal_form(args, kwargs, defaults)
    except LookupError:
        return _MISFIT + _digest(canonical_call, args, kwargs)
    try:
        return _digest(canonical_call, *arguments)
    except UncacheableError:
        return _digest(canonical_call, *layout.marked(arguments, defaults))


class _Known:
    """A plain function: how its keys begin, its parameters, and the defaults that these keys hold for."""

    __slots__ = ("by_name", "defaults", "head", "layout")

    def __init__(self, head: str, layout: Layout) -> None:
        self.head = head
        self.layout = layout
        kept: tuple[Any, Any] = layout.defaults or (_NOT_KEPT, None)
        self.defaults, self.by_name = kept


_NOT_KEPT: Final = object()
"""In place of default values that may change, or may refer to the function: each key is made anew."""


@cache
def default_keys(skip: frozenset[str]) -> DefaultKeys:
    """Return what makes default keys without these parameters: the same each time, for it learns."""
    return DefaultKeys(skip)


default_key: Final = default_keys(frozenset()).key
"""Makes the default key of a call, see :meth:`DefaultKeys.key`."""


def _head_of(func: Callable[..., Any] | str) -> str:
    identity = "=" + escape(func) if isinstance(func, str) else function_identity(func)
    if len(identity) > _LONGEST_IDENTITY or not (identity.isascii() and identity.isprintable()):
        identity = "#" + _digest(canonical_form, identity)
    return f"{DEFAULT_PREFIX}{identity}:"


def _kinds_of_small(args: tuple[Any, ...]) -> tuple[type, ...] | None:
    """Return what tells *args* from others that equal them: their types if there is a bool, else nothing.

    None unless all are small, and those of one type equal exactly if they are the same.
    """
    bools = False
    for arg in args:
        kind = type(arg)
        if kind is bool:
            bools = True
        elif kind not in _PLAIN or (kind is str and len(arg) > _SHORT):
            return None
    return tuple(map(type, args)) if bools else ()


@lru_cache(maxsize=1024)
def _key_of_small(known: _Known, args: tuple[Any, ...], kinds: tuple[type, ...]) -> str:  # noqa: ARG001 - tells calls apart
    return known.head + _digest_of_bound(known.layout, args, {}, known.layout.defaults or (None, None))


@lru_cache(maxsize=1024)
def _key_of_small_named(
    known: _Known,
    values: tuple[Any, ...],
    kinds: tuple[type, ...],  # noqa: ARG001 - tells calls apart
    names: tuple[str, ...],
) -> str:
    split = len(values) - len(names)
    kwargs = dict(zip(names, values[split:], strict=True))
    return known.head + _digest_of_bound(known.layout, values[:split], kwargs, known.layout.defaults or (None, None))


def _digest(canonical: Callable[..., bytes], *values: Any) -> str:
    try:
        form = canonical(*values)
    except UnencodableError as error:
        raise UncacheableError(*error.args) from error
    return digest_of(form)


def digest_of(form: bytes) -> str:
    """Return the digest of a canonical form."""
    digest = _BLANK.copy()  # takes two thirds of the time of making one with its parameters
    digest.update(form)
    return digest.hexdigest()


_BLANK: Final = blake2b(digest_size=16)


def function_identity(func: Callable[..., Any]) -> str:
    """Return a text that stands for a function, and for no other.

    A bound method adds its ``__self__`` to :func:`~async_cache.codec.qualified_names.identity_of` the
    function, a ``partial`` its arguments, and an object with ``__call__`` that has no name
    is told by its own content, each by its canonical form.

    Raises:
        UncacheableError: One of these has no canonical form.
    """
    called: Any = func
    kind = type(func)
    if kind is FunctionType:
        return identity_of(func)
    if kind is MethodType:
        return f"{function_identity(called.__func__)}@{_digest(canonical_form, called.__self__)}"
    if kind is partial:  # a subclass may call it differently
        return f"{function_identity(called.func)}&{_digest(canonical_call, called.args, called.keywords)}"
    return identity_of(func) if name_of(func) else f"@{_digest(canonical_form, func)}"


def func_name_of(func: Any) -> str:
    """Return what a function is called; of a partial, the one it will call."""
    while type(func) is partial:
        func = func.func
    name = func if isinstance(func, str) else getattr(func, "__name__", None)
    return name if isinstance(name, str) else type(func).__name__


class Context(dict[str, Any]):
    """What a key function is given: what can be told about a call, and how to make its default key."""

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
    """Return what a key function is given: a dict of its own, so that it cannot alter the call."""
    name = func_name_of(func)
    context = Context(
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
    """Return the composite id of a task's entry, which no other pair of name and id has."""
    return f"{escape(func_name)}:{escape(task_id)}"


def validate_key(key: object) -> str:
    """Return *key* if it is fit to be one.

    Raises:
        InvalidCacheKeyError: It is no str, empty, longer than 512 bytes in UTF-8, or has
            control characters.
    """
    if not isinstance(key, str):
        raise InvalidCacheKeyError(f"a key of type {type(key).__name__}")
    text = str.__str__(key)
    size = len(text.encode("utf-8", "replace"))
    if not text:
        raise InvalidCacheKeyError("an empty key")
    if _UNFIT.search(text):
        raise InvalidCacheKeyError(f"control characters, or halves of characters, in {text[:80]!r}")
    if size > _MOST_BYTES:
        raise InvalidCacheKeyError(f"{size} bytes in {text[:80]!r}...")
    return text


def escape(text: str) -> str:
    """Return *text* so that it can stand between colons and be told from any other."""
    if "%" not in text and ":" not in text:  # the usual case, at half the time
        return text
    return text.replace("%", "%25").replace(":", "%3A")
