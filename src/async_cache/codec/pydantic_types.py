"""Encoders and decoders of pydantic's own types, for programs that have imported pydantic themselves.

Besides types of the standard library, its models turn JSON into time zones, URLs, sizes in
bytes, secrets, and names with an email address.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta, timezone, tzinfo
from typing import Any, Final

from .exceptions import UnencodableError
from .stdlib_types import ZONE_TYPES
from .typed_lists import MARK, Decoder, Encoder, require_type

_List: type[list[Any]] = list


def pydantic_encoder(kind: type) -> Encoder | None:
    """Return the encoder of a type; None if *kind* is not one of pydantic's own types."""
    for (module, name), encode in _ENCODERS.items():
        if _loaded(module, name) is kind:
            return encode
    return None


def wrapped_attribute(kind: type) -> tuple[str, str] | None:
    """Return the tag of a URL or secret class and its only attribute; None for other classes."""
    for (module, name), wrapped in _WRAPPERS.items():
        base = _loaded(module, name)
        if base is not None and base in kind.__mro__:
            return wrapped
    return None


def is_valid_content(tag: str, part: object) -> bool:
    """Return whether *part* can be the only attribute of a URL or secret with this tag."""
    if tag == "se":
        return True
    return type(part) in {_loaded(*_URL), _loaded(*_MULTI_HOST_URL)}


def _loaded(module: str, name: str) -> Any:
    found = sys.modules.get(module)
    return None if found is None else vars(found).get(name)


_TZ_INFO: Final = "pydantic_core", "TzInfo"
_URL: Final = "pydantic_core", "Url"
_MULTI_HOST_URL: Final = "pydantic_core", "MultiHostUrl"
_BYTE_SIZE: Final = "pydantic.types", "ByteSize"
_NAME_EMAIL: Final = "pydantic.networks", "NameEmail"


def _encode_zone(value: tzinfo) -> list[Any]:
    return [MARK, "pz", value.utcoffset(None)]


def _decode_zone(items: list[Any]) -> tzinfo:
    _, _, offset = items
    create: Callable[[float], tzinfo] | None = _loaded(*_TZ_INFO)
    seconds = require_type(timedelta, offset)
    if create is None:
        return timezone(seconds)  # equal to pydantic's zone, which is not loaded in this program
    zone = create(seconds.total_seconds())
    ZONE_TYPES.add(type(zone))
    return zone


def _url_encoder(tag: str, location: tuple[str, str]) -> Encoder:
    def encode(value: Any) -> list[Any]:
        text = str(value)
        for preserve_empty_path in (False, True):
            if _url(location, text, preserve_empty_path=preserve_empty_path) == value:
                return [MARK, tag, text, preserve_empty_path]
        raise UnencodableError(type(value), "its text denotes another URL")

    return encode


def _url_decoder(location: tuple[str, str]) -> Decoder:
    def decode(items: list[Any]) -> Any:
        _, _, text, preserve_empty_path = items
        return _url(location, require_type(str, text), preserve_empty_path=require_type(bool, preserve_empty_path))

    return decode


def _url(location: tuple[str, str], text: str, *, preserve_empty_path: bool) -> Any:
    kind = _loaded(*location)
    return kind(text, preserve_empty_path=True) if preserve_empty_path else kind(text)


def _decode_size(items: list[Any]) -> Any:
    _, _, size = items
    return int.__new__(_loaded(*_BYTE_SIZE), require_type(int, size))


def _decode_name_email(items: list[Any]) -> Any:
    _, _, name, email = items
    kind = _loaded(*_NAME_EMAIL)
    return kind(require_type(str, name), require_type(str, email))


_ENCODERS: Final[dict[tuple[str, str], Encoder]] = {
    _TZ_INFO: _encode_zone,
    _URL: _url_encoder("pu", _URL),
    _MULTI_HOST_URL: _url_encoder("ph", _MULTI_HOST_URL),
    _BYTE_SIZE: lambda value: [MARK, "bs", int(value)],
    _NAME_EMAIL: lambda value: [MARK, "ne", value.name, value.email],
}
_WRAPPERS: Final = {
    ("pydantic.networks", "_BaseUrl"): ("ur", "_url"),
    ("pydantic.networks", "_BaseMultiHostUrl"): ("ur", "_url"),
    ("pydantic.types", "_SecretBase"): ("se", "_secret_value"),
}

PYDANTIC_DECODERS: Final[dict[str, Decoder]] = {
    "pz": _decode_zone,
    "pu": _url_decoder(_URL),
    "ph": _url_decoder(_MULTI_HOST_URL),
    "bs": _decode_size,
    "ne": _decode_name_email,
}
"""Decoders by tag."""
