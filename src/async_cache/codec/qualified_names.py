"""Look up classes and functions by qualified name without importing anything; detect replaced ones.

A payload may name any class, so looking one up imports nothing and runs nothing: no
``__getattr__`` of a module, no descriptor, no metaclass. The class found need not be the
one that the payload expects; a decoder verifies that before it creates an instance.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeGuard, cast
from uuid import uuid4
from weakref import ref

_module_dict = vars(ModuleType)["__dict__"].__get__
_class_dict = vars(type)["__dict__"].__get__
_class_bases = vars(type)["__mro__"].__get__


def find_loaded(name: str) -> object | None:
    """Return the object named ``"module:qualname"`` if its module is loaded, else None."""
    namespace, last = namespace_of(name)
    found = namespace.get(last)
    return cast("Any", found).__func__ if isinstance(found, staticmethod | classmethod) else found


def namespace_of(name: str) -> tuple[Mapping[str, object], str]:
    """Return the live namespace (of a module or class) that holds ``"module:qualname"``, and the name within it."""
    module, _, path = name.partition(":")
    *outer, last = path.split(".")
    holder: object = sys.modules.get(module)
    namespace: Mapping[str, object] = _module_dict(holder) if issubclass(type(holder), ModuleType) else {}
    for part in outer:
        holder = namespace.get(part)
        namespace = _class_dict(holder) if is_class(holder) else {}
    return namespace, last


def name_of(thing: Any) -> str | None:
    """Return the ``"module:qualname"`` by which :func:`find_loaded` finds *thing*, or None.

    None for an object that was defined inside a function, deleted, replaced or renamed.
    """
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if type(module) is not str or type(path) is not str:
        return None
    # Child processes of multiprocessing call the main module __mp_main__; names must be the same in all processes.
    name = f"{'__main__' if module == '__mp_main__' else module}:{path}"
    return name if find_loaded(name) is thing else None


_identities: dict[int, tuple[ref[Any], str]] = {}  # by id(), because __eq__ may call two objects equal
_first_seen: dict[str, ref[Any]] = {}  # the first object seen with each name
_PROCESS_ID: Final = uuid4().hex


def identity_of(thing: Any) -> str:
    """Return a text that identifies one class or function.

    The text is the qualified name if :func:`find_loaded` finds the object by it. Otherwise, and
    for an object that replaced another of the same name, it is a random token that stays the
    same for the lifetime of the object.
    """
    number = id(thing)
    known = _identities.get(number)
    if known is None:
        alive = ref(thing, lambda _: _identities.pop(number, None))
        known = _identities.setdefault(number, (alive, _identify(thing)))
    return known[1]


def _identify(thing: Any) -> str:
    name = name_of(thing)
    if name is None or _first_seen.setdefault(name, ref(thing))() is not thing:
        return f"{thing.__module__}:{thing.__qualname__}#{uuid4().hex}"
    return _main_module_name() + name.removeprefix("__main__") if name.startswith("__main__:") else name


def _main_module_name() -> str:
    """Return a name for ``__main__``, which is a different module in each program."""
    main: Any = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return f"__main__@{Path(file).resolve() if file else _PROCESS_ID}"


def is_class(thing: object) -> TypeGuard[type]:
    """Return whether *thing* is a class, whatever its ``__class__`` says."""
    return issubclass(type(thing), type)


def class_attribute(kind: type, name: str) -> object | None:
    """Return the raw attribute of a class or its nearest base, or None. No descriptor is called."""
    for base in _class_bases(kind):
        if name in (members := _class_dict(base)):
            value: object = members[name]
            return value
    return None
