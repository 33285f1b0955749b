"""The task types of a router: a JSON Schema of the params of each, and validation of params before queueing."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterable, Mapping
from math import isfinite
from types import GenericAlias
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from ...model.functions import TaskCallable
from ...model.registry import exposed_function, function_of, get_all_task_types, get_task_function
from ...model.rendering import rendered, text
from ...model.secret_values import HIDDEN, secret_texts
from ...model.signatures import BY_NAME, PROGRESS_PARAMETER, innermost, parameters_by_name
from ..problems import Problem
from ..rendering.json_text import encode_json
from ..rendering.redaction import texts_in
from ..rendering.secret_params import bound_secrets, secret_params

_MAX_ERRORS: Final = 20
_JSON_SCALARS: Final = (str, int, float, bool, type(None))


class TaskType:
    """One task type: a registered function and its params.

    Attributes:
        name: The registered name.
        function: The registered function.
        description: The first paragraph of its docstring.
        model: A pydantic model of its params.
        submission_schema: The class that represents a submission in the OpenAPI document; None until that is made.
        params_schema: JSON Schema of its params.
        secret_params: Names of the params whose type is secret, such as ``SecretStr``, or contains a secret type.
    """

    def __init__(self, name: str, function: TaskCallable) -> None:
        self.name = name
        self.function = function
        self.description = inspect.cleandoc(inspect.getdoc(function) or "").partition("\n\n")[0]
        parameters = [found for found in parameters_by_name(function) if found.name != PROGRESS_PARAMETER]
        types = _parameter_types(function, parameters)
        self._task_function = function_of(function).named(name, idempotent=True)
        self._var_keyword = next(
            (found.name for found in parameters if found.kind is inspect.Parameter.VAR_KEYWORD), None
        )
        self.model = _model(name, parameters, types, self._var_keyword)
        self.secret_params = secret_params(function)
        self._bound_secrets = bound_secrets(function)
        self._is_typed = any(found is not Any for found in types.values())
        self._names = {f"p{index}": parameter.name for index, parameter in enumerate(parameters)}
        self.submission_schema: Any = None
        self.params_schema = self.model.model_json_schema()

    def parse_arguments(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments for these params, converted to the types in the function's annotations.

        Raises:
            Problem: The function cannot be called with these params.
        """
        if PROGRESS_PARAMETER in params:
            raise Problem("invalid_params", f"{PROGRESS_PARAMETER} is not a param: the worker passes it")
        arguments = self._convert(params) if self._is_typed else params
        try:
            self._task_function.check((), arguments)
        except TypeError as error:
            raise Problem("invalid_params", str(error)) from None
        return arguments

    def secrets_in(self, arguments: Mapping[str, Any]) -> frozenset[str]:
        """Return the texts in the secret ones of these arguments, and the secrets bound to the function."""
        secrets = self._bound_secrets
        for name in self._secret_names(arguments):
            value = arguments[name]
            plain = type(value) in _JSON_SCALARS  # possible for a type such as SecretStr | str
            secrets |= frozenset(texts_in(value)) if plain else secret_texts(value)
        return secrets

    def possible_secrets(self, params: Mapping[str, Any]) -> frozenset[str]:
        """Return every text in the secret params, for params that could not be converted to arguments."""
        found = (text for name in self._secret_names(params) for text in texts_in(params[name]))
        return self._bound_secrets.union(found)

    def render_params(self, params: dict[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params for responses, with the secret ones replaced by their converted arguments, masked.

        The text of a secret in JSON may differ from the converted value, and values other than texts and numbers
        are not removed from other fields.
        """
        if not self.secret_params:
            return params
        hidden = {
            name: HIDDEN if type(arguments[name]) in _JSON_SCALARS else rendered(arguments[name], sys.maxsize)
            for name in self._secret_names(params)
        }
        return {**params, **hidden}

    def _secret_names(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names of secret params; with ``**more: SecretStr`` every further param is secret."""
        if not self.secret_params:
            return []
        known = self._names.values() if self._var_keyword in self.secret_params else ()
        return [name for name in params if name in self.secret_params or (known and name not in known)]

    def body(self) -> dict[str, Any]:
        """Return the response body of the type."""
        return {"name": self.name, "description": self.description, "params_schema": self.params_schema}

    def _convert(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            model = self.model.model_validate_json(encode_json(params), strict=True)
        except ValidationError as error:
            raise Problem(
                "invalid_params", f"{self.name} cannot take these params", errors=error_messages(error)
            ) from None
        more = model.__pydantic_extra__ or {}  # not model_fields_set: a further param may have the name of a field
        given = [field for field, name in self._names.items() if name in params and name not in more]
        return {self._names[field]: getattr(model, field) for field in given} | more


def error_messages(error: ValidationError) -> list[dict[str, str]]:
    """Return the first 20 errors, each with field and message; no values, which may be secret or not JSON."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_ERRORS]
    return [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in found]


_task_types: Final[dict[str, TaskType]] = {}
"""The types by name, for the function that was registered last; all routers share them."""


class TaskTypes:
    """The task types of one router.

    Args:
        expose: The only names that can be submitted; None for all that are registered and not hidden.

    Attributes:
        exposed: The same as a set.
    """

    def __init__(self, expose: Iterable[str] | None) -> None:
        if isinstance(expose, str):
            raise TypeError(f"expose must be several names, such as a list, not the single name {expose!r}")
        self.exposed: frozenset[str] | None = None if expose is None else frozenset(expose)

    def get(self, name: str) -> TaskType:
        """Return the type of this name.

        Raises:
            Problem: The name is not registered, or not exposed.
        """
        function = exposed_function(name) if self.exposed is None or name in self.exposed else None
        if function is None:
            raise Problem(
                "unknown_task_type", f"no task type {name!r} is offered here; GET /tasks/types lists those that are"
            )
        return _task_type(name, function)

    def has_secret_params(self, name: str) -> bool:
        """Whether the function of this name, exposed or not, has secret params or secrets bound to it."""
        function = get_task_function(name)
        return function is not None and bool(secret_params(function) or bound_secrets(function))

    def exposed_types(self) -> list[TaskType]:
        """Return all exposed types, in the order in which their names were first registered."""
        functions = {name: exposed_function(name) for name in get_all_task_types()}
        return [
            _task_type(name, function)
            for name, function in functions.items()
            if function is not None and (self.exposed is None or name in self.exposed)
        ]


def _task_type(name: str, function: TaskCallable) -> TaskType:
    known = _task_types.get(name)
    if known is None or known.function is not function:
        known = _task_types[name] = TaskType(name, function)
    return known


def _parameter_types(function: TaskCallable, parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """Return the type of each parameter; Any if it has none that JSON can be converted to."""
    names: dict[str, Any] = getattr(
        innermost(function), "__globals__", {}
    )  # annotations may be strings that name these
    return {parameter.name: _json_type(parameter.annotation, names) for parameter in parameters}


def _json_type(annotation: Any, names: dict[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    stub = type("Stub", (), {"__annotations__": {"it": annotation}})
    try:
        found = typing.get_type_hints(stub, globalns=names, include_extras=True)["it"]
        TypeAdapter(found).json_schema()
    except Exception:  # noqa: BLE001 - an annotation may be any string, and evaluating it may raise anything
        return Any
    return found


def _model(
    name: str, parameters: list[inspect.Parameter], types: Mapping[str, Any], var_keyword: str | None
) -> type[BaseModel]:
    """Return a model of the params. Its fields are called p0, p1, …, since a parameter may have a reserved name.

    Args:
        name: Name of the task type.
        parameters: Parameters of its function.
        types: Their types by name.
        var_keyword: Name of ``**kwargs``, whose type is that of each further param; None without such a parameter.
    """
    fields: dict[str, Any] = {
        f"p{index}": (types[parameter.name], _field(parameter))
        for index, parameter in enumerate(parameters)
        if parameter.kind in BY_NAME
    }
    config = ConfigDict(extra="forbid" if var_keyword is None else "allow", title=name, allow_inf_nan=False)
    extra: Any = None if var_keyword is None else {"__pydantic_extra__": GenericAlias(dict, (str, types[var_keyword]))}
    base = type("Base", (BaseModel,), {"__module__": __name__, "__annotations__": extra or {}, "model_config": config})
    model: type[BaseModel] = create_model("Params", __base__=base, **fields)
    return model


def _field(parameter: inspect.Parameter) -> Any:
    title = parameter.name
    if parameter.default is parameter.empty:
        return Field(alias=title, title=title)
    if _is_json_scalar(parameter.default):
        return Field(default=parameter.default, alias=title, title=title)
    return Field(default_factory=lambda: None, alias=title, title=title)


def _is_json_scalar(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if type(value) is str:
        return text(value) == value
    return isinstance(value, _JSON_SCALARS)


def inline_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema with every reference replaced by its definition, for use inside another document.

    Not for recursive schemas: they would be endless.
    """
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        name = str(part.get("$ref", "")).removeprefix("#/$defs/")
        beside = {key: inlined(value) for key, value in part.items() if key != "$ref" or name not in definitions}
        return {**inlined(definitions[name]), **beside} if name in definitions else beside

    found: dict[str, Any] = inlined(schema)
    return found
