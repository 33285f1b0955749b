"""Secrets of task functions: params of secret types, such as ``SecretStr``, and secret values bound to a function."""

from __future__ import annotations

import dataclasses
import typing
import weakref
from functools import partial
from types import FunctionType
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from ...model.functions import TaskCallable
from ...model.secret_values import PLAIN, secret_texts
from ...model.signatures import innermost, parameters_by_name

_MAX_WRAPPERS: Final = 100
"""Wrappers around a function that are searched, in case they are endless."""

_NO_SECRETS: Final[frozenset[str]] = frozenset()
_SECRET: Final = (Secret, SecretStr, SecretBytes)
_cached: Final[weakref.WeakKeyDictionary[Any, frozenset[str]]] = weakref.WeakKeyDictionary()


def secret_params(function: TaskCallable) -> frozenset[str]:
    """Return the names of a function's params whose type is secret, or contains a secret type."""
    try:
        cached = _cached.get(function)
    except TypeError:  # the function cannot be referenced weakly
        return _find(function)
    if cached is None:
        cached = _cached[function] = _find(function)
    return cached


def bound_secrets(function: Any) -> frozenset[str]:
    """Return the secrets among the default values of a function and the arguments of its partials."""
    if type(function) is FunctionType and "__wrapped__" not in function.__dict__ and not function.__kwdefaults__:
        defaults = function.__defaults__  # the common case; this runs for each task that is added
        if defaults is None or PLAIN.issuperset(map(type, defaults)):
            return _NO_SECRETS
    return _bound(function)


def _bound(function: Any) -> frozenset[str]:
    values: list[Any] = []
    for _ in range(_MAX_WRAPPERS):
        if isinstance(function, partial):
            values += (function.args, function.keywords)
            function = function.func
            continue
        values += (getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None))
        inner = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    return secret_texts(list(filter(None, values))) if any(values) else _NO_SECRETS


def _find(function: TaskCallable) -> frozenset[str]:
    names = getattr(innermost(function), "__globals__", {})
    return frozenset(
        parameter.name
        for parameter in parameters_by_name(function)
        if parameter.annotation is not parameter.empty and _has_secret(_resolve(parameter.annotation, names), set())
    )


def _resolve(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    stub = type("Stub", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(stub, globalns=names, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - an annotation may be any string, and evaluating it may raise anything
        return Any


def _has_secret(annotation: Any, seen: set[Any]) -> bool:
    """Whether this type is secret, or contains a secret type; *seen* types are not searched again."""
    parts = list(typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    if (aliased := _aliased_type(kind)) is not None and id(kind) not in seen:
        seen.add(id(kind))
        parts.append(aliased)
    if isinstance(kind, type) and kind not in seen:
        if issubclass(kind, _SECRET):
            return True
        seen.add(kind)
        parts += _field_types(kind)
    return any(_has_secret(part, seen) for part in parts)


def _aliased_type(kind: Any) -> Any:
    """Return the type that a ``NewType`` or ``type`` alias stands for; None for any other type."""
    if isinstance(kind, typing.NewType):
        return kind.__supertype__
    try:
        return kind.__value__ if type(kind).__name__ == "TypeAliasType" else None
    except Exception:  # noqa: BLE001 - evaluating the alias may raise anything
        return None


def _field_types(kind: type) -> list[Any]:
    """Return the types of the fields of a model, dataclass, typed dict or named tuple."""
    if issubclass(kind, BaseModel):
        return [field.annotation for field in kind.model_fields.values()]
    if not (dataclasses.is_dataclass(kind) or typing.is_typeddict(kind) or hasattr(kind, "_fields")):
        return []
    try:
        return list(typing.get_type_hints(kind, include_extras=True).values())
    except Exception:  # noqa: BLE001 - evaluating annotations may raise anything
        return []
