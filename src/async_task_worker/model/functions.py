"""TaskFunction: the name, the arity and the options of a task function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from functools import partial
from typing import Any

from .signatures import BY_POSITION, PROGRESS_PARAMETER, UNKNOWN_DEFAULT, UNLIMITED, progress_index, signature_of

TaskCallable = Callable[..., Coroutine[Any, Any, Any]]

CacheKeyFunction = Callable[[dict[str, Any]], str]
"""Makes a cache key from the context of a call."""


async def unregistered(*_args: Any, **_kwargs: Any) -> None:
    """Stand in for the function of a stored task whose name is not registered in this process."""


class TaskFunction:
    """How a task function may be called, and its options; computed once per function.

    ``inspect.Signature.bind`` takes longer than running a small task. So calls with positional
    arguments only are checked against two numbers, and only the others are bound to the signature.

    Attributes:
        name: The task type it is registered under, else its own name.
        required: The minimum number of arguments of a call with positional arguments only.
        maximum: The maximum number.
        progress_index: The index of ``progress_callback`` among the positional parameters (beyond all
            of them if it is keyword-only), or -1 if the function does not have that parameter.
        idempotent: Whether one of its tasks may run again after it was interrupted.
        cache_key_fn: Makes the cache keys of its tasks; None for the default key.
        entry_head: The beginning of the ids of its cached results; None until there is one.
    """

    __slots__ = (
        *("_signature", "cache_key_fn", "entry_head", "idempotent", "maximum", "name", "progress_index", "required"),
    )

    def __init__(
        self,
        function: TaskCallable,
        task_type: str | None = None,
        idempotent: bool = True,
        cache_key_fn: CacheKeyFunction | None = None,
    ) -> None:
        self.name = task_type or _own_name(function)
        self.idempotent = idempotent
        self.cache_key_fn = cache_key_fn
        self.entry_head: str | None = None
        self._signature = signature = _bare_signature(function)
        self.progress_index = progress_index(function, signature)
        self.required, self.maximum = _arity(self._signature, self.progress_index)

    def named(self, task_type: str, idempotent: bool) -> TaskFunction:
        """Return a copy with another name and option."""
        other = copy(self)
        other.name = task_type
        other.idempotent = idempotent
        return other

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        """Raise TypeError unless the function can be called like this."""
        if kwargs or not self.required <= len(args) <= self.maximum:
            self._bind(args, kwargs or {})

    def wants_progress(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> bool:
        """Return whether the worker has to pass ``progress_callback`` in a call with these arguments."""
        return len(args) <= self.progress_index and PROGRESS_PARAMETER not in (kwargs or ())

    def parameter_at(self, index: int) -> str:
        """Return the name of the parameter that a positional argument is bound to."""
        parameters = [] if self._signature is None else list(self._signature.parameters.values())
        named = [parameter.name for parameter in parameters if parameter.kind in BY_POSITION]
        if index < len(named):
            return named[index]
        rest = (parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.VAR_POSITIONAL)
        return f"{next(rest, 'args')}[{index - len(named)}]"

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if self._signature is None:
            return
        filled = {PROGRESS_PARAMETER: None} if self.wants_progress(args, kwargs) else {}
        try:
            self._signature.bind(*args, **filled, **kwargs)
        except TypeError as error:
            problem = f"{error}{_unknown_names(self._signature, kwargs)}" if "missing" in str(error) else str(error)
            raise TypeError(
                f"{self.name}{self._signature} cannot be called with the given arguments: {problem}"
            ) from None


def _unknown_names(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> str:
    """Return a note on unknown keyword arguments, since a missing argument is often one with a wrong name."""
    parameters = signature.parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return ""
    unknown = ", ".join(repr(name) for name in kwargs if name not in parameters)
    return f"; there is no parameter {unknown}" if unknown else ""


def _own_name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def _bare_signature(function: TaskCallable) -> inspect.Signature | None:
    """Return the signature without default values, since it would keep them alive."""
    signature = signature_of(function)
    if signature is None or all(parameter.default is parameter.empty for parameter in signature.parameters.values()):
        return signature
    parameters = [
        parameter if parameter.default is parameter.empty else parameter.replace(default=UNKNOWN_DEFAULT)
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def _arity(signature: inspect.Signature | None, progress: int) -> tuple[int, int]:
    """Return the minimum and maximum number of arguments of a call with positional arguments only."""
    if signature is None:
        return 0, UNLIMITED
    positional = [p for p in signature.parameters.values() if p.kind in BY_POSITION]
    keyword_only = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    required = sum(p.default is p.empty for p in positional)
    maximum = len(positional)
    if any(p.default is p.empty and p.name != PROGRESS_PARAMETER for p in keyword_only):
        required = UNLIMITED  # it needs a keyword argument
    elif any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in signature.parameters.values()):
        maximum = UNLIMITED
    if PROGRESS_PARAMETER in signature.parameters and 0 <= progress < len(positional):
        required = _without_progress(positional, required)
    return required, maximum


def _without_progress(positional: list[inspect.Parameter], required: int) -> int:
    last = positional[-1]
    if any(p.name == PROGRESS_PARAMETER and p.default is p.empty for p in positional):
        return required - 1 if last.name == PROGRESS_PARAMETER else UNLIMITED
    return required
