"""Classes and functions by name, looked up among what is loaded already.

A payload may name any class, so looking one up imports nothing and runs nothing: no
module's ``__getattr__``, no descriptor, no metaclass. What is found is not trusted to
be what the payload says either; whoever builds an instance verifies that first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

from .exceptions import UnencodableError

Facts = TypeVar("Facts")

_module_dict = vars(ModuleType)["__dict__"].__get__
_class_dict = vars(type)["__dict__"].__get__
_class_bases = vars(type)["__mro__"].__get__


def find_loaded(name: object) -> object | None:
    """Return what ``"module:qualname"`` stands for in a loaded module, or None."""
    if type(name) is not str:
        return None
    module, _, path = name.partition(":")
    return _follow(module, path)


def name_of(thing: Any) -> str | None:
    """Return the ``"module:qualname"`` that leads back to *thing*, or None if there is none.

    None for what is defined inside a function, deleted, replaced or renamed.
    """
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if type(module) is not str or type(path) is not str or _follow(module, path) is not thing:
        return None
    return f"{module}:{path}"


def named(kind: type) -> str:
    """Return the name that leads back to *kind*, for writing one of its instances.

    Raises:
        UnencodableError: There is none.
    """
    name = name_of(kind)
    refuse_unless(name is not None, kind, "its module and name do not lead back to it")
    return str(name)


def refuse_unless(faithful: bool, kind: type, detail: str) -> None:
    """Raise UnencodableError for a value of type *kind* unless it will come back as it is."""
    if not faithful:
        raise UnencodableError(kind, detail)


def require(condition: object, trouble: str) -> None:
    """Raise TypeError unless a payload is what it says."""
    if not condition:
        raise TypeError(trouble)


_tokens: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def token_of(thing: Any) -> str:
    """Return a text that stands for this very object as long as it lives, and for no other in any process."""
    return _tokens.get(thing) or _tokens.setdefault(thing, uuid4().hex)


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


def _follow(module: str, path: str) -> object | None:
    found: object = sys.modules.get(module)
    if issubclass(type(found), ModuleType):
        top, _, rest = path.partition(".")
        found = _module_dict(found).get(top)
        return _inside(found, rest) if rest else found
    return None


def _inside(holder: object, path: str) -> object | None:
    for part in path.split("."):
        if not is_class(holder):
            return None
        holder = _class_dict(holder).get(part)
    return cast("Any", holder).__func__ if isinstance(holder, staticmethod | classmethod) else holder


class Known(NamedTuple, Generic[Facts]):
    """A class, where it is, and what has been worked out of it."""

    kind: type
    module: str
    path: str
    facts: Facts


class KnownClasses(Generic[Facts]):
    """What has been worked out of classes of one sort, by their names: bounded by the code that is loaded.

    Args:
        work_out: Returns the facts of a class. Raises if it is not of that sort.
    """

    def __init__(self, work_out: Callable[[type], Facts]) -> None:
        self._work_out = work_out
        self._known: dict[str, Known[Facts]] = {}

    def written(self, kind: type, name: str) -> Facts:
        """Return the facts of *kind*, to which *name* leads."""
        known = self._known.get(name)
        return known.facts if known is not None and known.kind is kind else self._learn(kind, name)

    def read(self, name: str) -> Facts:
        """Return the facts of the class a payload names.

        It has to be the name the class itself would be written with: there may be endless
        other paths to it.
        """
        known = self._known.get(name)
        if known is not None and _module_dict(sys.modules[known.module]).get(known.path) is known.kind:
            return known.facts
        kind = find_loaded(name)
        if not is_class(kind) or name_of(kind) != name:
            raise LookupError(f"no class is loaded by the name of {name!r}")
        return self.written(kind, name)

    def _learn(self, kind: type, name: str) -> Facts:
        known = self._known[name] = Known(kind, kind.__module__, kind.__qualname__, self._work_out(kind))
        return known.facts
