"""Encoders and decoders of numpy arrays and scalars, for programs that have imported numpy themselves.

An array is encoded as type, shape and raw bytes. Types with Python objects or named fields
are refused, so that decoding neither unpickles anything nor creates a type.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from .typed_lists import MARK, Decoder, Encoder, require, require_type

_SUPPORTED_TYPE: Final = re.compile(r"[<>|][biufcSUMm][1-9]\d*(\[\w+\])?|[<>][Mm]8")
_List: type[list[Any]] = list


def numpy_encoder(kind: type) -> Encoder | None:
    """Return the encoder of an array or scalar type; None if *kind* is not a type of numpy."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    if kind is numpy.str_ or kind is numpy.bytes_:  # an array would strip trailing zeros
        return lambda value: [MARK, "nx", kind.__name__, value[:0].join([value])]
    return _encode_array if kind is numpy.ndarray else _encode_scalar


def _encode_array(value: Any) -> list[Any]:
    order = "F" if value.flags.fnc else "C"
    return [MARK, "na", _type_text(value), order, list(value.shape), value.tobytes(order)]


def _encode_scalar(value: Any) -> list[Any]:
    require(type(value) is value.dtype.type, type(value), "it is an instance of a subclass")
    return [MARK, "n0", _type_text(value), value.tobytes()]


def _type_text(value: Any) -> str:
    """Return the element type as text; raise UnencodableError if no text describes it completely."""
    text: str = value.dtype.str
    is_complete = _SUPPORTED_TYPE.fullmatch(text) and sys.modules["numpy"].dtype(text).type is value.dtype.type
    require(is_complete, type(value), f"its elements are {value.dtype}")
    return text


def _decode_array(items: list[Any]) -> Any:
    _, _, kind, order, shape, content = items
    if not _SUPPORTED_TYPE.fullmatch(require_type(str, kind)):
        raise TypeError(f"unsupported element type: {kind}")
    numpy = sys.modules["numpy"]
    sizes = [require_type(int, size) for size in require_type(_List, shape)]
    array = numpy.ndarray(sizes, numpy.dtype(kind), require_type(bytes, content), order=require_type(str, order))
    if array.nbytes != len(content):
        raise ValueError("the shape does not match the content")
    return array.copy(order)  # the copy owns its memory and is writable


def _decode_scalar(items: list[Any]) -> Any:
    mark, tag, kind, content = items
    return _decode_array([mark, tag, kind, "C", [], content])[()]


def _decode_text(items: list[Any]) -> Any:
    _, _, kind, content = items
    numpy = sys.modules["numpy"]
    return numpy.str_(require_type(str, content)) if kind == "str_" else numpy.bytes_(require_type(bytes, content))


NUMPY_DECODERS: Final[dict[str, Decoder]] = {"na": _decode_array, "n0": _decode_scalar, "nx": _decode_text}
"""Decoders by tag."""
