"""Look up classes and functions by qualified name without importing anything; detect replaced ones.

A payload may name any class, so looking one up imports nothing and runs nothing: no
module's ``__getattr__``, no descriptor, no metaclass. What is found is not trusted to
be what the payload says either; whoever builds an instance verifies that first.
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
    """Return what ``"module:qualname"`` stands for in a loaded module, or None."""
    home, last = home_of(name)
    found = home.get(last)
    return cast("Any", found).__func__ if isinstance(found, staticmethod | classmethod) else found


def home_of(name: str) -> tuple[Mapping[str, object], str]:
    """Return the live namespace that holds what ``"module:qualname"`` stands for, and its name in there."""
    module, _, path = name.partition(":")
    *outer, last = path.split(".")
    holder: object = sys.modules.get(module)
    home: Mapping[str, object] = _module_dict(holder) if issubclass(type(holder), ModuleType) else {}
    for part in outer:
        holder = home.get(part)
        home = _class_dict(holder) if is_class(holder) else {}
    return home, last


def name_of(thing: Any) -> str | None:
    """Return the ``"module:qualname"`` that leads back to *thing*, or None if there is none.

    None for what is defined inside a function, deleted, replaced or renamed.
    """
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if type(module) is not str or type(path) is not str:
        return None
    # What multiprocessing calls the main module in its children: one name in the whole family.
    name = f"{'__main__' if module == '__mp_main__' else module}:{path}"
    return name if find_loaded(name) is thing else None


_identities: dict[int, tuple[ref[Any], str]] = {}  # by id(), for what calls itself equal to another is another
_owners: dict[str, ref[Any]] = {}  # what was seen first under each name
_PROCESS: Final = uuid4().hex


def identity_of(thing: Any) -> str:
    """Return a text that stands for a class or function, and for no other.

    Module and qualified name if they lead back to it, as they do for what is defined at
    the top of a module or class; else, and for what replaced another under its name, a
    token of this very object, good for as long as it lives.
    """
    number = id(thing)
    known = _identities.get(number)
    if known is None:
        alive = ref(thing, lambda _: _identities.pop(number, None))
        known = _identities.setdefault(number, (alive, _identify(thing)))
    return known[1]


def _identify(thing: Any) -> str:
    name = name_of(thing)
    if name is None or _owners.setdefault(name, ref(thing))() is not thing:
        return f"{thing.__module__}:{thing.__qualname__}#{uuid4().hex}"
    return _script() + name.removeprefix("__main__") if name.startswith("__main__:") else name


def _script() -> str:
    """Return what to call ``__main__``, which is another module in each program."""
    main: Any = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return f"__main__@{Path(file).resolve() if file else _PROCESS}"


def is_class(thing: object) -> TypeGuard[type]:
    """Whether *thing* is a class, whatever it says of itself."""
    return issubclass(type(thing), type)


def held_by(kind: type, name: str) -> object | None:
    """Return what a class or its nearest base holds under *name*, as it is stored, or None."""
    for base in _class_bases(kind):
        if name in (members := _class_dict(base)):
            held: object = members[name]
            return held
    return None
