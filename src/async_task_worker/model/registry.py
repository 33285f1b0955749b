"""TaskRegistry: task functions by name, each name with its own options."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MethodType
from typing import Any, Final, TypeVar, cast

from ..exceptions import NotRegisteredError
from .functions import CacheKeyFunction, TaskCallable, TaskFunction, unregistered
from .safe_logger import SafeLogger
from .signatures import innermost

logger = SafeLogger("async_task_worker.registry")

F = TypeVar("F", bound=TaskCallable)

if sys.version_info >= (3, 12):
    _is_coroutine_function = inspect.iscoroutinefunction
else:  # inspect of Python 3.11 does not recognize functions that asyncio marks, such as AsyncMock
    from asyncio import iscoroutinefunction as _is_coroutine_function


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered name.

    Attributes:
        func: The function registered under it.
        function: The description of that function, with this name and its options.
        expose: Whether other programs may run it, as over HTTP.
    """

    func: TaskCallable
    function: TaskFunction
    expose: bool

    @property
    def name(self) -> str:
        """The name itself."""
        return self.function.name


class TaskRegistry:
    """Task types by name, and descriptions of functions by identity.

    Options belong to a name. A function that is passed itself, not by a name, has the first of its
    names, and may run again only if all of its names allow it.

    Functions that are not registered are referenced weakly: a task function defined inside another
    function, and all that it closes over, is released after its last task.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Registration] = {}
        self._names: dict[Hashable, list[str]] = {}  # by registered function, in the order of registration
        self._watchers: list[Callable[[str], None]] = []
        self.known: dict[int, TaskFunction] = {}  # by the id() of the function
        self._registered_methods: dict[MethodType, TaskFunction] = {}  # bound methods that are registered
        self._methods: dict[int, TaskFunction] = {}  # other methods, by the id() of their function
        self._references: dict[tuple[int, bool], object] = {}  # weak references that remove the entries

    def register(
        self,
        task_type: str,
        function: TaskCallable,
        expose: bool = True,
        idempotent: bool = True,
        cache_key_fn: CacheKeyFunction | None = None,
    ) -> None:
        """Register *function* under *task_type*. It replaces an earlier function and its options."""
        _require_options(task_type, expose, idempotent, cache_key_fn)
        _require_coroutine_function(function)
        before = self._entries.get(task_type)
        entry = Registration(function, TaskFunction(function, task_type, idempotent, cache_key_fn), expose)
        self._entries[task_type] = entry
        names = self._names.setdefault(_key(function), [])
        if task_type not in names:
            names.append(task_type)
        self._update_names(function)
        if before is not None and not _is_same(before.func, function):
            self._update_names(before.func)
            if not _is_redefinition(before.func, function):
                logger.warning(
                    "Task type %r was %s and is %s from now on: a name stands for one function. "
                    "Give one of them another name, unless it is meant to be replaced",
                    *(task_type, _qualified_name(before.func), _qualified_name(function)),
                )
        for watcher in tuple(self._watchers):
            watcher(task_type)

    def get(self, task_type: str) -> TaskCallable | None:
        """Return the function registered last under *task_type*, or None."""
        entry = self._entries.get(task_type)
        return None if entry is None else entry.func

    def find(self, task_type: str) -> Registration | None:
        """Return the last registration of *task_type*, or None."""
        return self._entries.get(task_type)

    def require(self, task_type: str) -> Registration:
        """Return the last registration of *task_type*, or raise NotRegisteredError, which lists similar names."""
        entry = self._entries.get(task_type)
        if entry is None:
            near = get_close_matches(task_type, self._entries, cutoff=0.5)
            like = f"; similar names are {', '.join(map(repr, near))}" if near else ""
            raise NotRegisteredError(f"There is no task type {task_type!r}{like}")
        return entry

    def types(self) -> list[str]:
        """Return the registered task types in the order of their first registration."""
        return list(self._entries)

    def exposed(self, task_type: str) -> TaskCallable | None:
        """Return the function of this type if other programs may run it, else None."""
        entry = self._entries.get(task_type)
        return entry.func if entry is not None and entry.expose else None

    def is_idempotent(self, task_type: str) -> bool:
        """Return whether a task of this type may run again after its process crashed, or its worker stopped."""
        entry = self._entries.get(task_type)
        return entry is None or entry.function.idempotent

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call *watcher* with every task type registered from now on; return a function that ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def resolve(self, func: TaskCallable | Registration) -> tuple[TaskCallable, TaskFunction]:
        """Return a function and its description; for a registration, with its name and options."""
        if isinstance(func, Registration):
            return func.func, func.function
        return func, self.function_of(func)

    def function_of(self, function: TaskCallable) -> TaskFunction:
        """Return the description of *function*; raise TypeError if it is not a coroutine function."""
        if isinstance(function, MethodType):
            known = self._registered_methods.get(function) or self._methods.get(id(function.__func__))
        else:
            known = self.known.get(id(function))
        return known or self._describe(function)

    def _describe(self, function: TaskCallable) -> TaskFunction:
        """Describe a function that is not registered."""
        _require_coroutine_function(function)
        known = TaskFunction(function)
        if isinstance(function, MethodType) and (underlying := self.known.get(id(function.__func__))) is not None:
            known = known.named(underlying.name, underlying.idempotent)  # its function may be registered in the class
            known.cache_key_fn = underlying.cache_key_fn
        self._store(function, known)
        return known

    def _update_names(self, function: TaskCallable) -> None:
        """Update the description of a function that was registered, or that lost a name to another function."""
        names = self._names.pop(_key(function), [])
        mine = {name: entry for name in names if (entry := self._entries.get(name)) and _is_same(entry.func, function)}
        if not mine:
            if isinstance(function, MethodType):
                self._registered_methods.pop(function, None)
            return
        self._names[_key(function)] = list(mine)
        first, *_ = mine.values()
        known = first.function.named(first.name, all(entry.function.idempotent for entry in mine.values()))
        if isinstance(function, MethodType):
            self._registered_methods[function] = known
        else:
            self._store(function, known, permanent=True)
            self._methods.pop(id(function), None)  # its bound methods have the new name, too

    def _store(self, function: TaskCallable, known: TaskFunction, permanent: bool = False) -> None:
        """Keep the description of *function* as long as the function exists. Tasks added before keep theirs."""
        bound = isinstance(function, MethodType)
        # Each access creates a new bound method, so its function is the key.
        target: Any = function.__func__ if isinstance(function, MethodType) else function
        key = id(target)
        try:
            self._references[key, bound] = weakref.ref(target, lambda _: self._remove(key, bound))
        except TypeError:  # an instance with __slots__ has no weak references:
            if not permanent:
                return  # it is described again for each task,
            self._references[key, bound] = target  # or, if it is registered, kept for ever
        (self._methods if bound else self.known)[key] = known

    def _remove(self, key: int, bound: bool) -> None:
        (self._methods if bound else self.known).pop(key, None)
        del self._references[key, bound]


def _key(function: TaskCallable) -> Hashable:
    """Return the key of a registered function. Bound methods are compared, since each access creates a new one."""
    return function if isinstance(function, MethodType) else id(function)


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, MethodType) and one == other)


def _is_redefinition(old: object, new: object) -> bool:
    """Return whether *new* is *old* defined again: by a reload of its module or a call of its outer function."""
    before, after = _source(old), _source(new)
    if before is after or _label(before) != _label(after):
        return False
    if "<locals>" not in _label(before):
        return True
    code = getattr(before, "__code__", None)
    return code is not None and code is getattr(after, "__code__", None) and getattr(after, "__closure__", None) is None


def _source(function: Any) -> Any:
    """Return the function of a partial or a method, or the class of an object."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    return function if hasattr(function, "__qualname__") else type(function)


def _label(source: object) -> str:
    return f"{getattr(source, '__module__', None)}.{getattr(source, '__qualname__', None)}"


def _qualified_name(function: object) -> str:
    return _label(_source(function))


def _require_options(task_type: object, expose: object, idempotent: object, cache_key_fn: object) -> None:
    if cache_key_fn is not None and not callable(cache_key_fn):
        raise TypeError(f"cache_key_fn must be a function of the call's context, not {cache_key_fn!r}")
    for name, switch in (("expose", expose), ("idempotent", idempotent)):
        if not isinstance(switch, bool):
            raise TypeError(f"{name} must be True or False, not {switch!r}")
    if not isinstance(task_type, str):
        raise TypeError(f'task type must be a str, not {task_type!r}. Use it like this: @task("resize")')
    if not task_type:
        raise ValueError("task type must not be empty")


def is_coroutine_callable(function: object) -> bool:
    """Return whether a call of *function* returns a coroutine, as far as that is known without calling it."""
    while isinstance(function, partial):
        function = function.func
    return callable(function) and (_is_coroutine_function(function) or _is_coroutine_function(type(function).__call__))


def _require_coroutine_function(function: object) -> None:
    if is_coroutine_callable(function):
        return
    hint = f"a task must be a coroutine function (async def), not {function!r}"
    if isinstance(function, str):
        hint += (
            f"; call worker.submit({function!r}, args) to run the function registered under a name, or pass "
            f"get_task_function({function!r}); @task({function!r}) above a function registers it"
        )
    elif inspect.iscoroutine(function):
        function.close()
        hint += "; pass the function itself and its arguments, not the result of calling it"
    elif inspect.isasyncgenfunction(function):
        hint += "; an async generator cannot be a task: collect its items in a coroutine function"
    elif _is_coroutine_function(innermost(function)):
        hint += "; the decorator around it returns a plain function: let it return an `async def`"
    elif callable(function):
        hint += "; call a plain function with `await asyncio.to_thread(...)` in a coroutine function"
    raise TypeError(hint)


_REGISTRY = TaskRegistry()
"""The registry of this process, which the functions below and every worker share."""


def task(
    task_type: str, *, expose: bool = True, idempotent: bool = True, cache_key_fn: CacheKeyFunction | None = None
) -> Callable[[F], F]:
    """Register the decorated coroutine function under *task_type* and return it unchanged.

    A later function with the same name replaces an earlier one and logs a warning, unless it is the
    same function defined again, for example by a reload of its module.

    The options belong to the name: one function can have several names, each with its own options. If
    the function itself is passed, not a name, it has its first name, and may run again only if all of
    its names allow it.

    Put ``@task`` above all other decorators: the name does not include decorators above it.

    Args:
        task_type: The name.
        expose: Whether other programs may run it, as over HTTP. Code in this process always can.
        idempotent: Whether a durable task may run again if its process crashed, or its worker stopped,
            while it ran. If not, it fails.
        cache_key_fn: Makes the cache keys of its tasks, unless a call has its own. None for that of the
            worker.

    Raises:
        TypeError: *task_type* is not a string, an option is not a bool, or the function is not a
            coroutine function.
        ValueError: *task_type* is empty.
    """

    def register(function: F) -> F:
        _REGISTRY.register(task_type, function, expose, idempotent, cache_key_fn)
        return function

    if callable(task_type):
        raise TypeError('@task needs the name of the task type: write @task("name")')
    return register


def register_task(
    task_type: str,
    task_func: TaskCallable,
    *,
    expose: bool = True,
    idempotent: bool = True,
    cache_key_fn: CacheKeyFunction | None = None,
) -> None:
    """Register *task_func* under *task_type*; a later one replaces an earlier one. See :func:`task`.

    Args:
        task_type: The name.
        task_func: A coroutine function.
        expose: Whether other programs may run it, as over HTTP.
        idempotent: Whether a durable task may run again if its process crashed, or its worker stopped,
            while it ran.
        cache_key_fn: Makes the cache keys of its tasks, unless a call has its own.

    Raises:
        TypeError: *task_type* is not a string, an option is not a bool, or the function is not a
            coroutine function.
        ValueError: *task_type* is empty.
    """
    _REGISTRY.register(task_type, task_func, expose, idempotent, cache_key_fn)


def key_function_of(function: object) -> CacheKeyFunction | None:
    """Return the cache_key_fn of the tasks of *function*, or None."""
    try:
        return _REGISTRY.function_of(cast("TaskCallable", function)).cache_key_fn
    except TypeError:  # it is not a task function
        return None


def get_task_function(task_type: str) -> TaskCallable | None:
    """Return the function registered under *task_type*, or None."""
    return _REGISTRY.get(task_type)


def get_all_task_types() -> list[str]:
    """Return all registered task types in the order of their first registration."""
    return _REGISTRY.types()


function_of = _REGISTRY.function_of
resolved = _REGISTRY.resolve
exposed_function = _REGISTRY.exposed
is_idempotent = _REGISTRY.is_idempotent
find_registration = _REGISTRY.find
require_registration = _REGISTRY.require
watch_registrations = _REGISTRY.watch
registered_function = _REGISTRY.get
known_functions: Final = _REGISTRY.known


def unregistered_entry(name: str) -> Registration:
    """Return what stands for a name that is not registered here, for a task that another process is to run.

    Raises:
        ValueError: *name* is empty.
    """
    if not name:
        raise ValueError("task type must not be empty")
    return Registration(unregistered, TaskFunction(unregistered, name), expose=False)
