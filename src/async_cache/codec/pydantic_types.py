"""Values of pydantic's own types, for programs that have loaded pydantic; it is never imported here.

These are what its models make out of JSON beside the standard library's types: time zones,
URLs, sizes in bytes, secrets, names with an email address.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta, timezone, tzinfo
from typing import Any, Final

from .stdlib_types import MARK, ZONES, Build, Take, exactly, refuse_unless

_List: type[list[Any]] = list


def taker_of_pydantic(kind: type) -> Take | None:
    """Return how values of type *kind* are taken apart; None if it is not one of pydantic's own."""
    for (module, name), take in _TAKE.items():
        if _loaded(module, name) is kind:
            return take
    return None


def state_name(kind: type) -> tuple[str, str] | None:
    """Return the tag of URLs or secrets and the one attribute they consist of; None for other classes."""
    for (module, name), told in _STATES.items():
        base = _loaded(module, name)
        if base is not None and base in kind.__mro__:
            return told
    return None


def is_content(tag: str, part: object) -> bool:
    """Whether *part* can be the one attribute of a URL or a secret."""
    if tag == "se":
        return True
    return type(part) in {_loaded(*_URL), _loaded(*_HOSTS)}


def _loaded(module: str, name: str) -> Any:
    found = sys.modules.get(module)
    return None if found is None else vars(found).get(name)


_ZONE: Final = "pydantic_core", "TzInfo"
_URL: Final = "pydantic_core", "Url"
_HOSTS: Final = "pydantic_core", "MultiHostUrl"
_SIZE: Final = "pydantic.types", "ByteSize"
_NAMED: Final = "pydantic.networks", "NameEmail"


def _take_zone(value: tzinfo) -> list[Any]:
    return [MARK, "pz", value.utcoffset(None)]


def _build_zone(items: list[Any]) -> tzinfo:
    _, _, offset = items
    made: Callable[[float], tzinfo] | None = _loaded(*_ZONE)
    seconds = exactly(timedelta, offset)
    if made is None:
        return timezone(seconds)  # an equal one: pydantic is not loaded here, so nobody can tell
    zone = made(seconds.total_seconds())
    ZONES.add(type(zone))
    return zone


def _taker_of_urls(tag: str, place: tuple[str, str]) -> Take:
    def take(value: Any) -> list[Any]:
        text = str(value)
        for as_it_is in (False, True):
            if _url(place, text, as_it_is=as_it_is) == value:
                return [MARK, tag, text, as_it_is]
        refuse_unless(faithful=False, kind=type(value), detail="its text stands for another one")
        raise AssertionError

    return take


def _builder_of_urls(place: tuple[str, str]) -> Build:
    def build(items: list[Any]) -> Any:
        _, _, text, as_it_is = items
        return _url(place, exactly(str, text), as_it_is=exactly(bool, as_it_is))

    return build


def _url(place: tuple[str, str], text: str, *, as_it_is: bool) -> Any:
    kind = _loaded(*place)
    return kind(text, preserve_empty_path=True) if as_it_is else kind(text)


def _build_size(items: list[Any]) -> Any:
    _, _, size = items
    return int.__new__(_loaded(*_SIZE), exactly(int, size))


def _build_named(items: list[Any]) -> Any:
    _, _, name, email = items
    kind = _loaded(*_NAMED)
    return kind(exactly(str, name), exactly(str, email))


_TAKE: Final[dict[tuple[str, str], Take]] = {
    _ZONE: _take_zone,
    _URL: _taker_of_urls("pu", _URL),
    _HOSTS: _taker_of_urls("ph", _HOSTS),
    _SIZE: lambda value: [MARK, "bs", int(value)],
    _NAMED: lambda value: [MARK, "ne", value.name, value.email],
}
_STATES: Final = {
    ("pydantic.networks", "_BaseUrl"): ("ur", "_url"),
    ("pydantic.networks", "_BaseMultiHostUrl"): ("ur", "_url"),
    ("pydantic.types", "_SecretBase"): ("se", "_secret_value"),
}

BUILD_PYDANTIC: Final[dict[str, Build]] = {
    "pz": _build_zone,
    "pu": _builder_of_urls(_URL),
    "ph": _builder_of_urls(_HOSTS),
    "bs": _build_size,
    "ne": _build_named,
}
"""By tag: how such a value is put together again."""
