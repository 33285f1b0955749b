"""numpy's arrays and scalars, for programs that have loaded numpy; it is never imported here.

Written as type, shape and raw bytes. Types that hold Python objects or named fields are
refused, so reading a payload can neither unpickle nor build a type of its own.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from .stdlib_types import MARK, Build, Take, exactly, refuse_unless

_PLAIN_TYPE: Final = re.compile(r"[<>|][biufcSUMm][1-9]\d*(\[\w+\])?|[<>][Mm]8")
_List: type[list[Any]] = list


def taker_of_arrays(kind: type) -> Take | None:
    """Return how arrays or scalars of type *kind* are taken apart; None if it is no type of numpy's."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    if kind is numpy.str_ or kind is numpy.bytes_:  # as elements of an array they would lose zeros at the end
        return lambda value: [MARK, "nx", kind.__name__, value[:0].join([value])]
    return _take_array if kind is numpy.ndarray else _take_scalar


def _take_array(value: Any) -> list[Any]:
    order = "F" if value.flags.fnc else "C"
    return [MARK, "na", _plain_type(value), order, list(value.shape), value.tobytes(order)]


def _take_scalar(value: Any) -> list[Any]:
    refuse_unless(type(value) is value.dtype.type, type(value), "it is of a type of its own")
    return [MARK, "n0", _plain_type(value), value.tobytes()]


def _plain_type(value: Any) -> str:
    """Return the type of the elements as text that says all there is to it, else raise UnencodableError."""
    text: str = value.dtype.str
    told = _PLAIN_TYPE.fullmatch(text) and sys.modules["numpy"].dtype(text).type is value.dtype.type
    refuse_unless(told, type(value), f"its elements are {value.dtype}")
    return text


def _build_array(items: list[Any]) -> Any:
    _, _, kind, order, shape, content = items
    if not _PLAIN_TYPE.fullmatch(exactly(str, kind)):
        raise TypeError(f"not a plain type: {kind}")
    numpy = sys.modules["numpy"]
    sizes = [exactly(int, size) for size in exactly(_List, shape)]
    array = numpy.ndarray(sizes, numpy.dtype(kind), exactly(bytes, content), order=exactly(str, order))
    if array.nbytes != len(content):
        raise ValueError("shape and content do not fit")
    return array.copy(order)  # it owns its memory, and may be written to


def _build_scalar(items: list[Any]) -> Any:
    mark, tag, kind, content = items
    return _build_array([mark, tag, kind, "C", [], content])[()]


def _build_text(items: list[Any]) -> Any:
    _, _, kind, content = items
    numpy = sys.modules["numpy"]
    return numpy.str_(exactly(str, content)) if kind == "str_" else numpy.bytes_(exactly(bytes, content))


BUILD_ARRAY: Final[dict[str, Build]] = {"na": _build_array, "n0": _build_scalar, "nx": _build_text}
"""By tag: how an array or a scalar is put together again."""
