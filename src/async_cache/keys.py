"""Cache keys: the default one of a call, key functions made of parts, and the rules for all of them.

A default key names the function and digests the arguments' canonical form, so it differs
for all that differs in value or type. It starts with a prefix no composed key can have.

A composed key is made of extractors, named components, and what joins them. A part is
the text of a string or an int. A ``:`` or ``%`` in it is escaped (``%3A``, ``%25``), so
that parts cannot run into each other: ("a", "b:c") and ("a:b", "c") make different keys.
Other values, and missing ones, get a mark with a bare ``%`` that no text can look like:
``%bool=True``, ``%missing``, for what has no text of its own a digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial, reduce, update_wrapper
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, Final
from uuid import UUID
from weakref import finalize

from .canonical import canonical_call, canonical_form
from .exceptions import InvalidCacheKeyError, UncacheableError, UnencodableError
from .names import identity_of, name_of

KeyFunction = Callable[[dict[str, Any]], Any]
"""Returns a key for the context of a call, see :func:`context_of`."""

DEFAULT_PREFIX: Final = "%call:"
"""Heads default keys. In composed keys a ``%`` is only ever followed by ``25``, ``3A`` or a mark of their own."""

_MOST_BYTES: Final = 512
_LONGEST_IDENTITY: Final = 256
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN: Final = frozenset({int, str, type(None)})  # not float: 0.0 equals -0.0
_SHORT: Final = 100
_MISSING: Final = object()
_MARKED: Final = frozenset({bool, float, Decimal, UUID, date})  # a datetime's text does not tell its zone


def default_key(func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> str:
    """Return the key of a call: equal calls of one function have the same, others never.

    Args:
        func: The function, or a name to stand for it. The two never make the same key.
        args: The positional arguments. ``1``, ``True``, ``1.0`` and ``"1"`` differ.
        kwargs: The keyword arguments, whose order does not matter.

    Raises:
        UncacheableError: The function or an argument has nothing safe to go by.
    """
    head = _heads.get(id(func)) or _head_of(func)
    if not kwargs and (kinds := _kinds_of_small(args)) is not None:
        return _key_of_small(head, args, kinds)
    return head + _digest(canonical_call, args, kwargs or {})


_heads: Final[dict[int, str]] = {}
"""By the ``id()`` of plain functions that live, which never change their identity: how their keys begin."""


def _head_of(func: Callable[..., Any] | str) -> str:
    identity = "=" + escaped(func) if isinstance(func, str) else function_identity(func)
    if len(identity) > _LONGEST_IDENTITY or not (identity.isascii() and identity.isprintable()):
        identity = "#" + _digest(canonical_form, identity)
    head = f"{DEFAULT_PREFIX}{identity}:"
    if type(func) is FunctionType:
        _heads[id(func)] = head
        finalize(func, _heads.pop, id(func), None).atexit = False
    return head


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
def _key_of_small(head: str, args: tuple[Any, ...], kinds: tuple[type, ...]) -> str:  # noqa: ARG001 - tells calls apart
    return head + _digest(canonical_call, args, {})


def _digest(canonical: Callable[..., bytes], *values: Any) -> str:
    try:
        form = canonical(*values)
    except UnencodableError as error:
        raise UncacheableError(*error.args) from error
    return _digest_of(form)


def _digest_of(form: bytes) -> str:
    digest = _BLANK.copy()  # takes two thirds of the time of making one with its parameters
    digest.update(form)
    return digest.hexdigest()


_BLANK: Final = blake2b(digest_size=16)


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
    size = len(text.encode("utf-8", "replace"))
    if not text:
        raise InvalidCacheKeyError("an empty key")
    if _UNFIT.search(text):
        raise InvalidCacheKeyError(f"control characters, or halves of characters, in {text[:80]!r}")
    if size > _MOST_BYTES:
        raise InvalidCacheKeyError(f"{size} bytes in {text[:80]!r}...")
    return text


def compose_key_functions(*functions: KeyFunction) -> Callable[[dict[str, Any]], str]:
    """Return a key function that joins the parts of *functions* with ``:``, in this order.

    A named component contributes its name and its value. What one of them raises, the
    composed function raises.

    Raises:
        TypeError: A function is not callable.
        ValueError: There is none.
    """
    if not functions:
        raise ValueError("a key needs at least one component")
    return _Composed([_callable(function) for function in functions])


def extract_key_component(path: str) -> Callable[[dict[str, Any]], str]:
    """Return a key function that reads one value out of the context.

    Args:
        path: Where it is, such as ``"func_name"``, ``"kwargs.user.id"``, ``"args.0"`` or
            ``"metadata.tenant"``: keys of dicts, indices, and attributes of objects.
            A missing value has a part of its own, unlike any value's.

    Raises:
        ValueError: *path* has an empty step.
    """
    if not isinstance(path, str):
        raise TypeError(f'a path is a str such as "kwargs.user_id", not {path!r}')
    steps = path.split(".")
    if not all(steps):
        raise ValueError(f"{path!r} has an empty step")
    return _Extracted(steps)


def key_component(name: str | None = None) -> Callable[[KeyFunction], KeyFunction]:
    """Return a decorator that gives a key function a name to appear in composed keys.

    Args:
        name: The name; left out, it is the function's own.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError('@key_component takes a name: write @key_component("user") or @key_component()')
    return lambda function: _Named(_callable(function), name)


def escaped(text: str) -> str:
    """Return *text* so that it can stand between colons and be told from any other."""
    if "%" not in text and ":" not in text:  # the usual case, at half the time
        return text
    return text.replace("%", "%25").replace(":", "%3A")


def _callable(function: KeyFunction) -> KeyFunction:
    if not callable(function):
        raise TypeError(f"a key function is called with the context, {function!r} cannot be")
    return function


class _Composed:
    def __init__(self, functions: Sequence[KeyFunction]) -> None:
        self._functions = functions

    def __call__(self, context: dict[str, Any]) -> str:
        return ":".join([_part(function, context) for function in self._functions])


class _Extracted:
    def __init__(self, steps: Sequence[str]) -> None:
        self._steps = steps

    def __call__(self, context: dict[str, Any]) -> str:
        """Return the value's text as it is, for a key of this one component."""
        value = self.find(context)
        text = _text(value)
        return _part_of(value) if text is None or text.startswith("%") else text

    def find(self, context: dict[str, Any]) -> Any:
        return reduce(_step_into, self._steps, context)


class _Named:
    def __init__(self, function: KeyFunction, name: str | None) -> None:
        update_wrapper(self, function)
        self.function = function
        self.component_name = name or str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, context: dict[str, Any]) -> Any:
        return self.function(context)


def _part(function: KeyFunction, context: dict[str, Any]) -> str:
    if isinstance(function, _Composed):
        return function(context)
    if isinstance(function, _Named):
        return f"{escaped(function.component_name)}:{_part(function.function, context)}"
    return _part_of(function.find(context) if isinstance(function, _Extracted) else function(context))


def _part_of(value: object) -> str:
    if (text := _text(value)) is not None:
        return escaped(text)
    if value is _MISSING:
        return "%missing"
    if type(value) in _MARKED:
        return f"%{type(value).__name__}={escaped(str(value))}"
    return "%=" + _digest_of(canonical_form(value))


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member its value, not its name
    return str(value) if type(value) is int else None


def _step_into(value: Any, step: str) -> Any:
    is_index = step.removeprefix("-").isdecimal()
    if isinstance(value, Mapping):
        return value.get(int(step) if is_index and step not in value else step, _MISSING)
    if not is_index:
        return getattr(value, step, _MISSING)
    try:
        return value[int(step)]
    except (LookupError, TypeError):
        return _MISSING
