"""What is known of task functions: which name each goes by, and how it may be called."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import MethodType
from typing import Any, Final, TypeVar

from .signatures import (
    BY_POSITION,
    PROGRESS_PARAMETER,
    UNKNOWN_DEFAULT,
    UNLIMITED,
    innermost,
    progress_index,
    signature_of,
)

TaskCallable = Callable[..., Coroutine[Any, Any, Any]]
F = TypeVar("F", bound=TaskCallable)

if sys.version_info >= (3, 12):
    _is_coroutine_function = inspect.iscoroutinefunction
else:  # 3.11's inspect does not know what asyncio marks, such as AsyncMock
    from asyncio import iscoroutinefunction as _is_coroutine_function


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
        entry_head: How the ids of its cached results begin; None until it has any.
    """

    __slots__ = ("_signature", "entry_head", "most", "name", "progress_index", "required")

    def __init__(self, function: TaskCallable, task_type: str | None = None) -> None:
        self.name = task_type or _own_name(function)
        self.entry_head: str | None = None
        self._signature = _bare_signature(function)
        self.progress_index = progress_index(function)
        self.required, self.most = _arity(self._signature, self.progress_index)

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> None:
        """Raise TypeError unless the function can be called like this."""
        if kwargs or not self.required <= len(args) <= self.most:
            self._bind(args, kwargs or {})

    def wants_progress(self, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> bool:
        """Whether a call like this leaves ``progress_callback`` to be filled in."""
        return len(args) <= self.progress_index and PROGRESS_PARAMETER not in (kwargs or ())

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if self._signature is None:
            return
        filled = {PROGRESS_PARAMETER: None} if self.wants_progress(args, kwargs) else {}
        try:
            self._signature.bind(*args, **filled, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{self.name}{self._signature} cannot be called with the given arguments: {error}"
            ) from None


def _own_name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def _bare_signature(function: TaskCallable) -> inspect.Signature | None:
    """Return the signature without the default values, which it would keep alive."""
    signature = signature_of(function)
    if signature is None:  # the call itself will tell
        return None
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


class TaskRegistry:
    """Task types by name, and the known functions by identity.

    Functions are remembered weakly: a task function made inside another, and all it
    closes over, goes when its last task does.
    """

    def __init__(self) -> None:
        self._functions: dict[str, TaskCallable] = {}
        self._hidden: set[str] = set()
        self._once: set[str] = set()
        self._watchers: list[Callable[[str], None]] = []
        self.known: dict[int, TaskFunction] = {}  # by the id() of functions that live
        self._methods: dict[int, TaskFunction] = {}  # by that of the function behind a bound method
        self._references: dict[tuple[int, bool], object] = {}  # what tells when they live no more

    def register(self, task_type: str, function: TaskCallable, expose: bool = True, idempotent: bool = True) -> None:
        """Make *function* the one for *task_type*; a later one replaces an earlier one."""
        if not isinstance(expose, bool):
            raise TypeError(f"expose must be True or False, not {expose!r}")
        if not isinstance(idempotent, bool):
            raise TypeError(f"idempotent must be True or False, not {idempotent!r}")
        if not isinstance(task_type, str):
            raise TypeError(f'task type must be a str, not {task_type!r}. Use it like this: @task("resize")')
        if not task_type:
            raise ValueError("task type must not be empty")
        self._learn(function, task_type)
        self._functions[task_type] = function
        (self._hidden.discard if expose else self._hidden.add)(task_type)
        (self._once.discard if idempotent else self._once.add)(task_type)
        for watcher in tuple(self._watchers):
            watcher(task_type)

    def get(self, task_type: str) -> TaskCallable | None:
        """Return the function registered last under *task_type*, or None."""
        return self._functions.get(task_type)

    def types(self) -> list[str]:
        """Return the registered task types in the order in which their names came first."""
        return list(self._functions)

    def exposed(self, task_type: str) -> TaskCallable | None:
        """Return the function of this type if it may be offered to other programs, else None."""
        return None if task_type in self._hidden else self._functions.get(task_type)

    def is_idempotent(self, task_type: str) -> bool:
        """Whether a task of this type may run again after its process died, or its worker stopped, while it ran."""
        return task_type not in self._once

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call *watcher* with every task type registered from now on; return what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def function_of(self, function: TaskCallable) -> TaskFunction:
        """Return what is known of *function*; raise TypeError if it is no coroutine function."""
        if isinstance(function, MethodType):
            known = self._methods.get(id(function.__func__))
        else:
            known = self.known.get(id(function))
        return known or self._learn(function, None)

    def _learn(self, function: TaskCallable, task_type: str | None) -> TaskFunction:
        """Work out what there is to know; tasks added under an earlier name keep that."""
        _require_coroutine_function(function)
        target: Any = function
        bound = isinstance(function, MethodType)
        if isinstance(function, MethodType):  # made anew at each access: know the function behind it
            target = function.__func__
            registered = self.known.get(id(target))
            task_type = task_type or (registered.name if registered else None)
        known, key = TaskFunction(function, task_type), id(target)
        try:
            self._references[key, bound] = weakref.ref(target, lambda _: self._forget(key, bound))
        except TypeError:  # an instance with __slots__ cannot be known weakly,
            if task_type is None:
                return known  # so it is worked out anew for each task,
            self._references[key, bound] = target  # or, once registered, known for good
        (self._methods if bound else self.known)[key] = known
        return known

    def _forget(self, key: int, bound: bool) -> None:
        del (self._methods if bound else self.known)[key], self._references[key, bound]


def is_coroutine_callable(function: object) -> bool:
    """Return whether a call of *function* makes a coroutine, as far as it can be told without calling it."""
    while isinstance(function, partial):
        function = function.func
    return callable(function) and (_is_coroutine_function(function) or _is_coroutine_function(type(function).__call__))


def _require_coroutine_function(function: object) -> None:
    if is_coroutine_callable(function):
        return
    hint = "a task must be a coroutine function (async def)"
    if inspect.iscoroutine(function):
        function.close()
        hint += "; pass the function itself and its arguments, not the result of calling it"
    elif inspect.isasyncgenfunction(function):
        hint += "; an async generator cannot be one: collect what it yields in a coroutine"
    elif _is_coroutine_function(innermost(function)):
        hint += "; the decorator around this one makes a plain function of it: have it return an `async def`"
    elif callable(function):
        hint += "; run a plain function with `await asyncio.to_thread(...)` inside one"
    raise TypeError(f"{hint}, not {function!r}")


_REGISTRY = TaskRegistry()
"""The registry of this process, which the functions below and every worker share."""


def task(task_type: str, *, expose: bool = True, idempotent: bool = True) -> Callable[[F], F]:
    """Register the decorated coroutine function under *task_type* and return it unchanged.

    A later function of the same name replaces an earlier one.

    Args:
        task_type: The name it goes by.
        expose: Whether other programs may have it run, as over HTTP. This one always can.
        idempotent: Whether a durable task may run again after its process died, or its worker
            stopped, while it ran. If not, it ends failed then.

    Raises:
        TypeError: *task_type* is no string, or the function is no coroutine function.
        ValueError: *task_type* is empty.
    """

    def register(function: F) -> F:
        _REGISTRY.register(task_type, function, expose, idempotent)
        return function

    if callable(task_type):
        raise TypeError('@task needs the name of the task type: write @task("name")')
    return register


def register_task(task_type: str, task_func: TaskCallable, *, expose: bool = True, idempotent: bool = True) -> None:
    """Register *task_func* under *task_type*; a later one replaces an earlier one.

    Args:
        task_type: The name it goes by.
        task_func: A coroutine function.
        expose: Whether other programs may have it run, as over HTTP.
        idempotent: Whether a durable task may run again after its process died, or its worker
            stopped, while it ran.

    Raises:
        TypeError: *task_type* is no string, or the function is no coroutine function.
        ValueError: *task_type* is empty.
    """
    _REGISTRY.register(task_type, task_func, expose, idempotent)


def get_task_function(task_type: str) -> TaskCallable | None:
    """Return the function registered under *task_type*, or None."""
    return _REGISTRY.get(task_type)


def get_all_task_types() -> list[str]:
    """Return all registered task types in the order in which their names came first."""
    return _REGISTRY.types()


function_of = _REGISTRY.function_of
exposed_function = _REGISTRY.exposed
is_idempotent = _REGISTRY.is_idempotent
watch_registrations = _REGISTRY.watch
registered_function = _REGISTRY.get
known_functions: Final = _REGISTRY.known
