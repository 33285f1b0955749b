"""Pydantic models, for programs that have loaded pydantic; it is never imported here.

A model is written as the name of its class and all of its state, and read back without
validation: what was valid when it was written is not asked again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .classes import KnownClasses, held_by, named, refuse_unless, require
from .exceptions import UnencodableError
from .records import holds_just
from .values import MARK, exactly

_new: Callable[[type], object] = object.__new__
_read = object.__getattribute__
_write = object.__setattr__


def is_model(kind: type) -> bool:
    """Return whether *kind* is a model of the pydantic that is loaded."""
    main = sys.modules.get("pydantic.main")
    return main is not None and getattr(main, "BaseModel", None) in kind.__mro__


class Form(NamedTuple):
    """A model's class, the names of its fields, as written into payloads too, and of its private attributes."""

    kind: type
    fields: tuple[str, ...]
    signature: str
    private: frozenset[str]


def _form(kind: Any) -> Form:
    if not is_model(kind) or held_by(kind, "__del__"):
        raise UnencodableError(kind, "it is no plain model")
    fields = tuple(kind.model_fields)
    return Form(kind, fields, ",".join(fields), frozenset(kind.__private_attributes__))


_forms: Final = KnownClasses(_form)


def take_model(value: object) -> list[Any]:
    """Return a model as marker, tag and parts.

    Raises:
        UnencodableError: It would not come back as it was.
    """
    kind = type(value)
    name = named(kind)
    form = _forms.written(kind, name)
    state = _read(value, "__dict__")
    names = frozenset(form.fields)
    refuse_unless(holds_just(state, names, kind), kind, "its fields are not all there is to it")
    given = _read(value, "__pydantic_fields_set__")
    beside = _read(value, "__pydantic_extra__"), _read(value, "__pydantic_private__")
    values = [state[field] for field in form.fields]
    return [MARK, "pm", name, form.signature, None if given == names else sorted(given), *beside, *values]


def build_model(items: list[Any]) -> Any:
    """Return the model a list of parts stands for. Raises for a list we did not write."""
    _, _, name, signature, given, extra, private, *values = items
    form = _forms.read(name)
    require(form.signature == signature, f"{name} has other fields")
    model = _new(form.kind)
    _write(model, "__dict__", dict(zip(form.fields, values, strict=True)))
    _write(model, "__pydantic_fields_set__", set(form.fields) if given is None else _known(given, form, extra))
    _write(model, "__pydantic_extra__", extra if extra is None else exactly(dict, extra))
    _write(model, "__pydantic_private__", private if private is None else exactly(dict, private))
    require(not private or form.private.issuperset(private), f"{name} has other attributes")
    return model


def _known(given: object, form: Form, extra: dict[str, Any] | None) -> set[str]:
    names = {exactly(str, name) for name in exactly(_List, given)}
    require(names <= {*form.fields, *(extra or ())}, f"{form.kind} has no such fields")
    return names


_List: type[list[Any]] = list
