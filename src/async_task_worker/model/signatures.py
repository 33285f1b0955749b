"""Signatures of callables: their own, and those of the functions that they wrap.

``functools.wraps`` makes ``inspect.signature`` return the signature of the wrapped function. But a
decorator may take other arguments, for example because it adds one itself. So a call is checked
against the outer signature, and the wrapped function only tells which names the outer ``**kwargs``
may contain.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from inspect import Parameter, Signature
from itertools import zip_longest
from types import FunctionType, MethodType
from typing import Any, Final

PROGRESS_PARAMETER: Final = "progress_callback"

UNLIMITED: Final = sys.maxsize

BY_POSITION: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME: Final = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

_MAX_LAYERS: Final = 100
"""The maximum number of decorators that are followed, since ``__wrapped__`` may form a cycle."""


class _Unknown:
    """Type of :data:`UNKNOWN_DEFAULT`."""

    def __repr__(self) -> str:
        return "..."


UNKNOWN_DEFAULT: Final = _Unknown()


def signature_of(function: object) -> Signature | None:
    """Return the signature of *function* itself, not of a function it wraps; None if it has none.

    A ``__signature__`` counts if its author set it, but not if ``functools.wraps`` copied it.
    """
    try:
        if type(function) is FunctionType and not function.__dict__:  # a plain function, as most are
            return inspect.signature(function)
        return _own_signature(function)
    except (ValueError, TypeError, RecursionError):  # unknown: a wrong call fails when it is made
        return None


def progress_index(function: object, signature: Signature | None) -> int:
    """Return the index of ``progress_callback`` among the positional parameters.

    Args:
        function: The function.
        signature: What :func:`signature_of` returns for it.

    Returns:
        -1 if it is not to be passed; UNLIMITED if it has to be passed by keyword: to a keyword-only
        parameter, or through ``**kwargs`` to a wrapped function that has it.
    """
    if type(function) is FunctionType and signature is not None and not _takes_any(signature):
        return _named_index(signature)  # without ``**kwargs``, wrapped functions do not matter
    consumed = 0
    for inner, found, following in _layers(function, signature):
        if isinstance(inner, partial) and PROGRESS_PARAMETER in inner.keywords:
            return -1  # the partial passes one already
        index = _named_index(found)
        if index >= 0:
            return min(index + consumed, UNLIMITED)
        if following is not None:
            consumed += sum(name not in following.parameters for name in _positional_names(found))
    return -1


def parameters_by_name(function: object) -> list[Parameter]:
    """Return the parameters that can be passed by name, and ``**kwargs`` if there is one.

    Parameters that only a wrapped function has are optional: the wrapper may pass them itself.
    """
    found: dict[str, Parameter] = {}
    rest: list[Parameter] = []
    for depth, (_, signature, _) in enumerate(_layers(function, signature_of(function))):
        for parameter in signature.parameters.values():
            if parameter.kind in BY_NAME:
                found.setdefault(parameter.name, _optional(parameter) if depth else parameter)
            elif parameter.kind is Parameter.VAR_KEYWORD and not depth:
                rest.append(parameter)
    return [*found.values(), *rest]


def innermost(function: Any) -> Any:
    """Return the innermost function below partials, methods, callable objects and decorators."""
    for _ in range(_MAX_LAYERS):
        if isinstance(function, partial):
            function = function.func
        elif (inner := getattr(function, "__wrapped__", None)) is not None:
            function = inner
        elif isinstance(call := inspect.getattr_static(type(function), "__call__", None), FunctionType):
            function = call
        else:
            break
    return function


def _layers(function: Any, signature: Signature | None) -> Iterator[tuple[Any, Signature, Signature | None]]:
    """Yield each callable that keyword arguments are passed on to, its signature and that of the next one."""
    for _ in range(_MAX_LAYERS):
        if signature is None:
            return
        inner = _wrapped(function) if _passes_keywords(function, signature) else None
        following = None if inner is None else signature_of(inner)
        yield function, signature, following
        function, signature = inner, following


def _passes_keywords(function: Any, signature: Signature) -> bool:
    """Return whether a wrapped function may get keyword arguments that *function* does not name."""
    if not _takes_any(signature):
        return False
    while isinstance(function, partial) and not _is_signed(function):
        function = function.func
    return not (_is_signed(function) or _is_signed(_call_method(function)))  # a set ``__signature__`` is complete


def _is_signed(function: Any) -> bool:
    return getattr(function, "__signature__", None) is not None and not _is_copied(function)


def _wrapped(function: Any) -> Any:
    """Return the callable that *function* wraps, with its bound arguments; None if it wraps nothing."""
    if isinstance(function, MethodType):
        return _bound(function.__func__, (function.__self__,), {})
    if isinstance(function, partial):
        return _bound(function.func, function.args, function.keywords)
    if (method := _call_method(function)) is not None and (inner := _wrapped(method)) is not None:
        return inner
    inner = getattr(function, "__wrapped__", None)
    return inner if callable(inner) else None


def _bound(outer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the callable that *outer* wraps, bound to the arguments that *outer* passes on."""
    inner = _wrapped(outer)
    own, following = signature_of(outer), signature_of(inner)
    if inner is None or own is None or following is None:
        return inner
    names = _positional_names(own)
    known, takes_any = following.parameters, _takes_any(following)
    passed = [arg for arg, name in zip_longest(args, names[: len(args)]) if name is None or name in known]
    return partial(inner, *passed, **{name: value for name, value in kwargs.items() if takes_any or name in known})


def _takes_any(signature: Signature) -> bool:
    return any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def _positional_names(signature: Signature) -> list[str]:
    return [parameter.name for parameter in signature.parameters.values() if parameter.kind in BY_POSITION]


def _own_signature(function: Any) -> Signature:
    if isinstance(function, MethodType):
        return inspect.signature(MethodType(_with(_own_signature(function.__func__)), function.__self__))
    if not _is_signed(function):
        if isinstance(function, partial):
            stand_in = partial(_with(_own_signature(function.func)), *function.args, **function.keywords)
            return inspect.signature(stand_in)
        if (method := _call_method(function)) is not None:
            return _own_signature(method)
    if _is_copied(function) and isinstance(function, FunctionType):
        function = _without_signature(function)
    return inspect.signature(function, follow_wrapped=False)


def _is_copied(function: Any) -> bool:
    """Return whether ``__signature__`` was copied from the wrapped function, as ``functools.wraps`` does."""
    signature = getattr(function, "__signature__", None)
    return signature is not None and signature is getattr(getattr(function, "__wrapped__", None), "__signature__", None)


def _call_method(function: Any) -> MethodType | None:
    """Return the bound ``__call__`` method of an object; None for functions and classes."""
    if isinstance(function, FunctionType | type):
        return None
    call = inspect.getattr_static(type(function), "__call__", None)
    return MethodType(call, function) if isinstance(call, FunctionType) else None


def _with(signature: Signature) -> FunctionType:
    def stand_in() -> None: ...

    stand_in.__signature__ = signature  # type: ignore[attr-defined]
    return stand_in  # type: ignore[return-value]


def _without_signature(function: FunctionType) -> FunctionType:
    bare = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    bare.__kwdefaults__ = function.__kwdefaults__
    bare.__annotations__ = function.__annotations__
    return bare


def _named_index(signature: Signature) -> int:
    parameter = signature.parameters.get(PROGRESS_PARAMETER)
    if parameter is None or parameter.kind not in BY_NAME:
        return -1
    if parameter.kind is Parameter.KEYWORD_ONLY:
        return UNLIMITED
    return list(signature.parameters).index(PROGRESS_PARAMETER)


def _optional(parameter: Parameter) -> Parameter:
    return parameter.replace(default=UNKNOWN_DEFAULT) if parameter.default is Parameter.empty else parameter
