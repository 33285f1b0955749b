"""What is known of one task function: its name, how it may be called, and whether it may run twice."""

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
    """How a task function may be called, worked out once per function.

    ``inspect.Signature.bind`` costs more than running a small task, so calls by position
    are checked against two numbers, and the signature is asked only about the others.

    Attributes:
        name: The task type it is registered under, else its own name.
        required: The fewest arguments a call by position alone takes.
        most: The most it takes.
        progress_index: Where ``progress_callback`` stands among the positional parameters
            (past them all if it is keyword-only), or -1 if the function does not name it.
        idempotent: Whether a task of it may run again after it was cut off.
        cache_key_fn: Makes the cache keys of its tasks; None for the default one.
        entry_head: How the ids of its cached results begin; None until it has any.
    """

    __slots__ = (
        *("_signature", "cache_key_fn", "entry_head", "idempotent", "most", "name", "progress_index", "required"),
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
        self.required, self.most = _arity(self._signature, self.progress_index)

    def named(self, task_type: str, idempotent: bool) -> TaskFunction:
        """Return the same under another name, or for tasks of other options."""
        other = copy(self)
        other.name = task_type
        other.idempotent = idempotent
        return other

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        """Raise TypeError unless the function can be called like this."""
        if kwargs or not self.required <= len(args) <= self.most:
            self._bind(args, kwargs or {})

    def wants_progress(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> bool:
        """Whether a call like this leaves ``progress_callback`` to be filled in."""
        return len(args) <= self.progress_index and PROGRESS_PARAMETER not in (kwargs or ())

    def parameter_at(self, index: int) -> str:
        """Return the name of the parameter that a positional argument goes to."""
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
    """Return a note on keyword arguments that no parameter takes: a missing one is often misspelt."""
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
    """Return the signature without the default values, which it would keep alive."""
    signature = signature_of(function)
    if signature is None or all(parameter.default is parameter.empty for parameter in signature.parameters.values()):
        return signature
    parameters = [
        parameter if parameter.default is parameter.empty else parameter.replace(default=UNKNOWN_DEFAULT)
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def _arity(signature: inspect.Signature | None, progress: int) -> tuple[int, int]:
    """Return the fewest and the most arguments a call by position alone takes, when progress goes there."""
    if signature is None:
        return 0, UNLIMITED
    positional = [p for p in signature.parameters.values() if p.kind in BY_POSITION]
    keyword_only = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    required = sum(p.default is p.empty for p in positional)
    most = len(positional)
    if any(p.default is p.empty and p.name != PROGRESS_PARAMETER for p in keyword_only):
        required = UNLIMITED  # never callable by position alone
    elif any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in signature.parameters.values()):
        most = UNLIMITED
    if PROGRESS_PARAMETER in signature.parameters and 0 <= progress < len(positional):
        required = _without_progress(positional, required)
    return required, most


def _without_progress(positional: list[inspect.Parameter], required: int) -> int:
    last = positional[-1]
    if any(p.name == PROGRESS_PARAMETER and p.default is p.empty for p in positional):
        return required - 1 if last.name == PROGRESS_PARAMETER else UNLIMITED
    return required
