"""Pydantic's generic models, such as ``Page[int]``: classes of their own that no module has to name.

One is written as the class it was made from, which a module names, and its parameters:
classes, generic aliases, unions and literals of what is loaded. It is read back by asking
for the same parameters again; pydantic then returns the class that exists, or makes it.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import Any, Final, Generic, Literal, Union, get_args, get_origin

from .exceptions import UnencodableError
from .qualified_names import find_loaded, held_by, is_class, name_of
from .stdlib_types import exactly

_MOST_LEVELS: Final = 20
_List: type[list[Any]] = list


def origin_of(kind: Any) -> Any:
    """Return the class a parametrised model was made from, or None for any other class."""
    metadata = held_by(kind, "__pydantic_generic_metadata__")
    origin = metadata.get("origin") if type(metadata) is dict else None
    return origin if is_class(origin) and _is_generic(origin) else None


def parameters_of(kind: Any) -> list[Any]:
    """Return what tells *kind* from other classes of the same origin, as plain data and literals.

    Raises:
        UnencodableError: A parameter has no such form, or does not lead back to this class.
    """
    origin, args = origin_of(kind), kind.__pydantic_generic_metadata__["args"]
    told = [_told(arg, kind, _MOST_LEVELS) for arg in args]
    if _args_of(parametrised(origin, told), origin) != args:
        raise UnencodableError(kind, "its parameters do not lead back to it")
    return told


def parametrised(origin: Any, told: object) -> Any:
    """Return the class of these parameters. Garbage may raise anything."""
    if not _is_generic(origin):
        raise TypeError(f"{origin} is not a generic model")
    args = tuple(_read(part, _MOST_LEVELS) for part in exactly(_List, told))
    # Pydantic may remember its classes for each context apart: one that exists is better than another of its kind.
    existing = (kind for kind in reversed(type.__subclasses__(origin)) if _args_of(kind, origin) == args)
    return next(existing, None) or origin[args]


def _args_of(kind: type, origin: type) -> object:
    metadata = held_by(kind, "__pydantic_generic_metadata__")
    made = type(metadata) is dict and metadata.get("origin") is origin
    return metadata.get("args") if made else None  # type: ignore[attr-defined]


def _is_generic(kind: type) -> bool:
    main = sys.modules.get("pydantic.main")
    model = getattr(main, "BaseModel", None)
    own = held_by(kind, "__class_getitem__")
    return model is not None and model in kind.__mro__ and own is held_by(model, "__class_getitem__")


def _told(arg: Any, kind: type, levels: int) -> list[Any]:
    if not levels:
        raise UnencodableError(kind, "its parameters are nested too deep")
    if arg is ... or arg is Any or arg is NoneType:
        return ["." if arg is ... else "a" if arg is Any else "0"]
    if get_origin(arg) is Literal:
        return ["l", *get_args(arg)]
    if get_origin(arg) is None and is_class(arg):
        return _told_class(arg, kind, levels)
    return [*_head_of_alias(arg, kind, levels), *[_told(one, kind, levels - 1) for one in get_args(arg)]]


def _head_of_alias(arg: Any, kind: type, levels: int) -> list[Any]:
    """Return what is written in front of the arguments of ``list[int]``, ``List[int]``, ``Page[int]`` or a union."""
    origin: Any = get_origin(arg)
    if origin is Union or origin is UnionType:
        return ["u"]
    if type(arg) is GenericAlias:
        return ["g", _told_class(origin, kind, levels)]
    if is_class(origin) and (name := str(getattr(arg, "_name", None))) in vars(typing):
        return ["t", name]
    if is_class(origin) and _is_typing_generic(origin):
        return ["b", _told_class(origin, kind, levels)]
    raise UnencodableError(kind, "it has a parameter that is no class, union or literal")


def _is_typing_generic(kind: type) -> bool:
    generic: Any = Generic  # for type checkers a special form, at run time a class
    return held_by(kind, "__class_getitem__") is held_by(generic, "__class_getitem__")


def _told_class(arg: Any, kind: type, levels: int) -> list[Any]:
    if (name := name_of(arg)) is not None:
        return ["c", name]
    origin = origin_of(arg)
    if origin is None or (name := name_of(origin)) is None:
        raise UnencodableError(kind, f"the module and name of {arg.__name__} do not lead back to it")
    return ["p", name, *[_told(one, kind, levels - 1) for one in arg.__pydantic_generic_metadata__["args"]]]


def _read(told: object, levels: int) -> Any:
    what, *parts = exactly(_List, told)
    if not levels:
        raise ValueError("nested too deep")
    return _READ[what](parts, levels - 1)


def _class_named(name: object) -> type:
    kind = find_loaded(exactly(str, name))
    if not is_class(kind) or name_of(kind) != name:
        raise LookupError(f"no class is loaded by the name of {name!r}")
    return kind


def _read_alias(parts: list[Any], levels: int) -> Any:
    origin, *args = [_read(part, levels) for part in parts]
    return GenericAlias(origin, tuple(args))


def _read_union(parts: list[Any], levels: int) -> Any:
    return reduce(or_, [_read(part, levels) for part in parts])


def _read_typing(parts: list[Any], levels: int) -> Any:
    alias = vars(typing)[exactly(str, parts[0])]
    if not is_class(get_origin(alias)):
        raise TypeError(f"typing.{parts[0]} does not stand for a class")
    return alias[tuple(_read(part, levels) for part in parts[1:])]


def _read_generic(parts: list[Any], levels: int) -> Any:
    origin, *args = [_read(part, levels) for part in parts]
    if not _is_typing_generic(origin):
        raise TypeError(f"{origin} takes parameters in its own way")
    return origin[tuple(args)]


_READ: Final[dict[str, Callable[[list[Any], int], Any]]] = {
    "a": lambda _parts, _levels: Any,
    ".": lambda _parts, _levels: ...,
    "0": lambda _parts, _levels: NoneType,
    "c": lambda parts, _levels: _class_named(parts[0]),
    "l": lambda parts, _levels: Literal[tuple(parts)],
    "u": _read_union,
    "g": _read_alias,
    "t": _read_typing,
    "b": _read_generic,
    "p": lambda parts, levels: parametrised(_class_named(parts[0]), parts[1:]) if levels else None,
}
