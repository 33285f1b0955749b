"""Parametrised pydantic models such as ``Page[int]``, which are classes without a name in any module.

Such a class is described by its origin (the generic class, which has a name) and its
parameters: loaded classes, generic aliases, unions and literals. Decoding applies the same
parameters to the origin; pydantic then returns the existing class or creates it.
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
from .qualified_names import class_attribute, find_loaded, is_class, name_of
from .typed_lists import require_type

_MAX_DEPTH: Final = 20
_List: type[list[Any]] = list


def origin_of(kind: Any) -> Any:
    """Return the generic class of a parametrised model; None for any other class."""
    metadata = class_attribute(kind, "__pydantic_generic_metadata__")
    origin = metadata.get("origin") if type(metadata) is dict else None
    return origin if is_class(origin) and _is_generic(origin) else None


def parameters_of(kind: Any) -> list[Any]:
    """Return a description of the parameters of *kind*, as plain data and literals.

    Raises:
        UnencodableError: A parameter cannot be described, or the description leads to another class.
    """
    origin, args = origin_of(kind), kind.__pydantic_generic_metadata__["args"]
    description = [_describe(arg, kind, _MAX_DEPTH) for arg in args]
    if _args_of(parametrised_class(origin, description), origin) != args:
        raise UnencodableError(kind, "its parameters do not lead back to it")
    return description


def parametrised_class(origin: Any, description: object) -> Any:
    """Return the class with these parameters. An invalid description may raise any exception."""
    if not _is_generic(origin):
        raise TypeError(f"{origin} is not a generic model")
    args = tuple(_resolve(part, _MAX_DEPTH) for part in require_type(_List, description))
    # Pydantic may cache its classes for each context separately, so look for an existing class first.
    existing = (kind for kind in reversed(type.__subclasses__(origin)) if _args_of(kind, origin) == args)
    return next(existing, None) or origin[args]


def _args_of(kind: type, origin: type) -> object:
    metadata = class_attribute(kind, "__pydantic_generic_metadata__")
    is_derived = type(metadata) is dict and metadata.get("origin") is origin
    return metadata.get("args") if is_derived else None  # type: ignore[attr-defined]


def _is_generic(kind: type) -> bool:
    main = sys.modules.get("pydantic.main")
    model = getattr(main, "BaseModel", None)
    own = class_attribute(kind, "__class_getitem__")
    return model is not None and model in kind.__mro__ and own is class_attribute(model, "__class_getitem__")


def _describe(arg: Any, kind: type, levels: int) -> list[Any]:
    if not levels:
        raise UnencodableError(kind, "its parameters are nested too deep")
    if arg is ... or arg is Any or arg is NoneType:
        return ["." if arg is ... else "a" if arg is Any else "0"]
    if get_origin(arg) is Literal:
        return ["l", *get_args(arg)]
    if get_origin(arg) is None and is_class(arg):
        return _describe_class(arg, kind, levels)
    return [*_describe_origin(arg, kind, levels), *[_describe(one, kind, levels - 1) for one in get_args(arg)]]


def _describe_origin(arg: Any, kind: type, levels: int) -> list[Any]:
    """Return the description of ``list[int]``, ``List[int]``, ``Page[int]`` or a union without its arguments."""
    origin: Any = get_origin(arg)
    if origin is Union or origin is UnionType:
        return ["u"]
    if type(arg) is GenericAlias:
        return ["g", _describe_class(origin, kind, levels)]
    if is_class(origin) and (name := str(getattr(arg, "_name", None))) in vars(typing):
        return ["t", name]
    if is_class(origin) and _is_typing_generic(origin):
        return ["b", _describe_class(origin, kind, levels)]
    raise UnencodableError(kind, "it has a parameter that is not a class, union or literal")


def _is_typing_generic(kind: type) -> bool:
    generic: Any = Generic  # a special form for type checkers, a class at run time
    return class_attribute(kind, "__class_getitem__") is class_attribute(generic, "__class_getitem__")


def _describe_class(arg: Any, kind: type, levels: int) -> list[Any]:
    if (name := name_of(arg)) is not None:
        return ["c", name]
    origin = origin_of(arg)
    if origin is None or (name := name_of(origin)) is None:
        raise UnencodableError(kind, f"the module and name of {arg.__name__} do not lead back to it")
    return ["p", name, *[_describe(one, kind, levels - 1) for one in arg.__pydantic_generic_metadata__["args"]]]


def _resolve(description: object, levels: int) -> Any:
    form, *parts = require_type(_List, description)
    if not levels:
        raise ValueError("nested too deep")
    return _RESOLVERS[form](parts, levels - 1)


def _loaded_class(name: object) -> type:
    kind = find_loaded(require_type(str, name))
    if not is_class(kind) or name_of(kind) != name:
        raise LookupError(f"no class named {name!r} is loaded")
    return kind


def _resolve_alias(parts: list[Any], levels: int) -> Any:
    origin, *args = [_resolve(part, levels) for part in parts]
    return GenericAlias(origin, tuple(args))


def _resolve_union(parts: list[Any], levels: int) -> Any:
    return reduce(or_, [_resolve(part, levels) for part in parts])


def _resolve_typing(parts: list[Any], levels: int) -> Any:
    alias = vars(typing)[require_type(str, parts[0])]
    if not is_class(get_origin(alias)):
        raise TypeError(f"typing.{parts[0]} is not an alias of a class")
    return alias[tuple(_resolve(part, levels) for part in parts[1:])]


def _resolve_generic(parts: list[Any], levels: int) -> Any:
    origin, *args = [_resolve(part, levels) for part in parts]
    if not _is_typing_generic(origin):
        raise TypeError(f"{origin} defines its own __class_getitem__")
    return origin[tuple(args)]


_RESOLVERS: Final[dict[str, Callable[[list[Any], int], Any]]] = {
    "a": lambda _parts, _levels: Any,
    ".": lambda _parts, _levels: ...,
    "0": lambda _parts, _levels: NoneType,
    "c": lambda parts, _levels: _loaded_class(parts[0]),
    "l": lambda parts, _levels: Literal[tuple(parts)],
    "u": _resolve_union,
    "g": _resolve_alias,
    "t": _resolve_typing,
    "b": _resolve_generic,
    "p": lambda parts, levels: parametrised_class(_loaded_class(parts[0]), parts[1:]) if levels else None,
}
