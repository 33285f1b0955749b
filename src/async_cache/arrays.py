"""numpy's arrays and scalars, for programs that have loaded numpy; it is never imported here.

Written as type, shape and raw bytes. Types that hold Python objects or named fields are
refused, so reading a payload can neither unpickle nor build a type of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, Final

from .exceptions import UnencodableError
from .values import MARK, exactly

_PLAIN_TYPE: Final = re.compile(r"[<>|][biufcSUMm][1-9]\d*(\[\w+\])?|[<>][Mm]8")


def take_array(value: object) -> list[Any] | None:
    """Return an array or scalar of numpy's as marker, tag and parts, or None if *value* is neither.

    Raises:
        UnencodableError: It holds objects, named fields, or more than raw bytes tell.
    """
    numpy = sys.modules.get("numpy")
    kind = type(value)
    if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    return _take(value, kind, numpy)


def _take(value: Any, kind: type, numpy: Any) -> list[Any]:
    if kind is numpy.str_ or kind is numpy.bytes_:  # as elements of an array they would lose zeros at the end
        return [MARK, "nx", kind.__name__, value[:0].join([value])]
    if kind not in {numpy.ndarray, value.dtype.type} or not _told_by_text(value.dtype, numpy):
        raise UnencodableError(kind, f"its elements are {value.dtype}")
    if kind is not numpy.ndarray:
        return [MARK, "n0", value.dtype.str, value.tobytes()]
    order = "F" if value.flags.fnc else "C"
    return [MARK, "na", value.dtype.str, order, list(value.shape), value.tobytes(order)]


_List: type[list[Any]] = list


def _told_by_text(dtype: Any, numpy: Any) -> bool:
    return _PLAIN_TYPE.fullmatch(dtype.str) is not None and numpy.dtype(dtype.str).type is dtype.type


def _array(kind: object, order: object, shape: object, content: object) -> Any:
    if not _PLAIN_TYPE.fullmatch(exactly(str, kind)):
        raise TypeError(f"not a plain type: {kind}")
    numpy = sys.modules["numpy"]
    sizes = [exactly(int, size) for size in exactly(_List, shape)]
    array = numpy.ndarray(sizes, numpy.dtype(kind), exactly(bytes, content), order=exactly(str, order))
    if array.nbytes != len(exactly(bytes, content)):
        raise ValueError("shape and content do not fit")
    return array.copy(order)  # it owns its memory, and may be written to


def _build_array(items: list[Any]) -> Any:
    _, _, kind, order, shape, content = items
    return _array(kind, order, shape, content)


def _build_scalar(items: list[Any]) -> Any:
    _, _, kind, content = items
    return _array(kind, "C", [], content)[()]


def _build_text(items: list[Any]) -> Any:
    _, _, kind, content = items
    numpy = sys.modules["numpy"]
    return numpy.str_(exactly(str, content)) if kind == "str_" else numpy.bytes_(exactly(bytes, content))


BUILD_ARRAY: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "na": _build_array,
    "n0": _build_scalar,
    "nx": _build_text,
}
"""By tag: how the list becomes the array or scalar again. Raises for a list we did not write."""
