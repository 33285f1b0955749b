"""Encoders and decoders of the standard library's types."""

from __future__ import annotations

import re
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import EllipsisType, SimpleNamespace
from typing import Any, Final, TypeVar
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from msgpack import ExtType  # type: ignore[import-untyped]

from .typed_lists import MARK, TYPING_ATTRIBUTES, Decoder, Encoder, require, require_type

T = TypeVar("T")
DateOrTime = TypeVar("DateOrTime", datetime, time)
_List: type[list[Any]] = list
_Dict: type[dict[Any, Any]] = dict
_PATHS: Final = {cls.__name__: cls for cls in (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)}
_ADDRESSES: Final = {
    cls.__name__: cls
    for cls in (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
}  # fmt: skip
_FACTORIES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        *(bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple),
        *(Counter, OrderedDict, deque),
    )
}

ZONE_TYPES: Final[set[type]] = {timezone, ZoneInfo}
"""Time zone classes that a decoded time may have. Pydantic's class is added when it is first decoded."""


def _time_encoder(tag: str) -> Encoder:
    def encode(value: Any) -> list[Any]:
        if not value.fold and _is_iso_offset(value.tzinfo):
            return [MARK, tag, value.isoformat()]
        return [MARK, tag, value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo]

    return encode


def _is_iso_offset(zone: tzinfo | None) -> bool:
    """Return whether ISO 8601 notation describes the zone completely."""
    if zone is None or zone is UTC:
        return True
    if type(zone) is not timezone or zone.utcoffset(None).microseconds:  # fromisoformat() may drop microseconds
        return False
    return _has_no_name(zone)


def _has_no_name(zone: timezone) -> bool:
    """Return whether the zone was created without a name of its own."""
    return zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)


def _time_decoder(kind: type[DateOrTime]) -> Decoder:
    def decode(items: list[Any]) -> DateOrTime:
        naive = kind.fromisoformat(require_type(str, items[2]))
        if len(items) == 3:  # noqa: PLR2004 - marker, tag, text
            return naive
        _, _, _, fold, zone = items
        if zone is not None and type(zone) not in ZONE_TYPES:
            raise TypeError(f"expected a time zone, got {type(zone).__name__}")
        return naive.replace(fold=require_type(int, fold), tzinfo=zone)

    return decode


def _encode_timezone(value: timezone) -> list[Any]:
    return [MARK, "tz", value.utcoffset(None), None if _has_no_name(value) else value.tzname(None)]


def _decode_timezone(items: list[Any]) -> timezone:
    _, _, offset, name = items
    offset = require_type(timedelta, offset)
    return timezone(offset) if name is None else timezone(offset, require_type(str, name))


def _encode_zone(value: ZoneInfo) -> list[Any]:
    # A zone that was read from a file, or created with no_cache(), is another object and may have other rules.
    require(value.key and ZoneInfo(value.key) is value, ZoneInfo, "it is not the zone that its key denotes")
    return [MARK, "zi", value.key]


def _decode_zone(items: list[Any]) -> ZoneInfo:
    _, _, key = items
    package = ".".join(["tzdata", "zoneinfo", *require_type(str, key).split("/")[:-1]])
    if not _is_installed(key) and package not in sys.modules:
        raise LookupError(f"time zone {key!r} is not installed, and no package is imported to find it")
    return ZoneInfo(key)


@lru_cache(maxsize=1024)
def _is_installed(key: str) -> bool:
    """Return whether the system has this zone. If not, ``ZoneInfo`` would import the package ``tzdata``."""
    return _ZONE_KEY.fullmatch(key) is not None and any(Path(folder, key).is_file() for folder in zoneinfo.TZPATH)


_ZONE_KEY: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def _encode_path(value: PurePath) -> list[Any]:
    text = str(value)
    require(type(value)(text).parts == value.parts, type(value), "its text denotes another path")
    return [MARK, "pa", type(value).__name__, text]


def _decode_path(items: list[Any]) -> PurePath:
    _, _, kind, text = items
    return _PATHS[kind](require_type(str, text))


def _encode_address(value: Any) -> list[Any]:
    kind, text = type(value), str(value)
    require(kind(text) == value, kind, "its text denotes another address")
    return [MARK, "ip", kind.__name__, text]


def _decode_address(items: list[Any]) -> Any:
    _, _, kind, text = items
    return _ADDRESSES[kind](require_type(str, text))


def _encode_pattern(value: re.Pattern[Any]) -> list[Any]:
    plain = type(value.pattern) in {str, bytes} and not value.flags & re.DEBUG
    require(plain, re.Pattern, "it was compiled from something other than str or bytes, or with re.DEBUG")
    return [MARK, "re", value.pattern, value.flags]


def _decode_pattern(items: list[Any]) -> re.Pattern[Any]:
    _, _, pattern, flags = items
    if type(pattern) not in {str, bytes} or require_type(int, flags) & re.DEBUG:
        raise TypeError("not a pattern")
    return re.compile(pattern, flags)


def _encode_uuid(value: UUID) -> list[Any]:
    return [MARK, "id", value.hex, None if value.is_safe is SafeUUID.unknown else value.is_safe.value]


def _decode_uuid(items: list[Any]) -> UUID:
    _, _, digits, safe = items
    number = int(require_type(str, digits), 16)
    return UUID(int=number) if safe is None else UUID(int=number, is_safe=SafeUUID(require_type(int, safe)))


def _encode_defaultdict(value: defaultdict[Any, Any]) -> list[Any]:
    factory: Any = value.default_factory
    name = getattr(factory, "__name__", None)
    is_known = factory is None or _FACTORIES.get(name) is factory  # type: ignore[arg-type]
    require(is_known, defaultdict, "its factory is not a builtin type")
    return [MARK, "dd", name, dict(value)]


def _decode_defaultdict(items: list[Any]) -> defaultdict[Any, Any]:
    _, _, factory, content = items
    return defaultdict(None if factory is None else _FACTORIES[factory], require_type(_Dict, content))


def _encode_counter(value: Counter[Any]) -> list[Any]:
    require(vars(value).keys() <= TYPING_ATTRIBUTES, Counter, "it has attributes besides its items")
    return [MARK, "co", dict(value)]


def _decode_counter(items: list[Any]) -> Counter[Any]:
    _, _, content = items
    counter: Counter[Any] = Counter()
    _Dict.update(counter, require_type(_Dict, content))  # Counter.update() would add the counts up
    return counter


def _encode_ordered(value: OrderedDict[Any, Any]) -> list[Any]:
    require(vars(value).keys() <= TYPING_ATTRIBUTES, OrderedDict, "it has attributes besides its items")
    return [MARK, "od", *(part for pair in value.items() for part in pair)]


def _decode_namespace(items: list[Any]) -> SimpleNamespace:
    _, _, content = items
    namespace = SimpleNamespace()
    vars(namespace).update(require_type(_Dict, content))
    return namespace


def _one_part(kind: type[T], make: Callable[[Any], Any]) -> Decoder:
    def decode(items: list[Any]) -> Any:
        _, _, part = items
        return make(require_type(kind, part))

    return decode


def _two_parts(kind: type[T], make: Callable[[T, T], Any]) -> Decoder:
    def decode(items: list[Any]) -> Any:
        _, _, first, second = items
        return make(require_type(kind, first), require_type(kind, second))

    return decode


def _three_ints(make: Callable[[int, int, int], Any]) -> Decoder:
    def decode(items: list[Any]) -> Any:
        _, _, first, second, third = items
        return make(require_type(int, first), require_type(int, second), require_type(int, third))

    return decode


STDLIB_ENCODERS: Final[dict[type, Encoder]] = {
    tuple: lambda value: [MARK, "t", *value],
    set: lambda value: [MARK, "s", *value],
    frozenset: lambda value: [MARK, "fs", *value],
    int: lambda value: [MARK, "i", f"{value:x}"],  # hexadecimal takes linear time and any number of digits
    bytearray: lambda value: [MARK, "ba", bytes(value)],
    complex: lambda value: [MARK, "c", value.real, value.imag],
    EllipsisType: lambda _: [MARK, "..."],
    range: lambda value: [MARK, "ra", value.start, value.stop, value.step],
    slice: lambda value: [MARK, "sl", value.start, value.stop, value.step],
    Decimal: lambda value: [MARK, "de", str(value)],
    Fraction: lambda value: [MARK, "fr", value.numerator, value.denominator],
    datetime: _time_encoder("dt"),
    date: lambda value: [MARK, "da", value.isoformat()],
    time: _time_encoder("tm"),
    timedelta: lambda value: [MARK, "td", value.days, value.seconds, value.microseconds],
    timezone: _encode_timezone,
    ZoneInfo: _encode_zone,
    UUID: _encode_uuid,
    **dict.fromkeys(_PATHS.values(), _encode_path),
    **dict.fromkeys(_ADDRESSES.values(), _encode_address),
    re.Pattern: _encode_pattern,
    OrderedDict: _encode_ordered,
    defaultdict: _encode_defaultdict,
    Counter: _encode_counter,
    deque: lambda value: [MARK, "dq", value.maxlen, *value],
    SimpleNamespace: lambda value: [MARK, "ns", vars(value)],
    ExtType: lambda value: [MARK, "x", value.code, value.data],
}
"""Encoders by exact type."""

STDLIB_DECODERS: Final[dict[str, Decoder]] = {
    "t": lambda items: tuple(items[2:]),
    "s": lambda items: set(items[2:]),
    "fs": lambda items: frozenset(items[2:]),
    "i": _one_part(str, lambda digits: int(digits, 16)),
    "ba": _one_part(bytes, bytearray),
    "c": _two_parts(float, complex),
    "...": lambda _: ...,
    "ra": _three_ints(range),
    "sl": lambda items: slice(*items[2:]),
    "de": _one_part(str, Decimal),
    "fr": _two_parts(int, Fraction),
    "dt": _time_decoder(datetime),
    "da": _one_part(str, date.fromisoformat),
    "tm": _time_decoder(time),
    "td": _three_ints(timedelta),
    "tz": _decode_timezone,
    "zi": _decode_zone,
    "id": _decode_uuid,
    "pa": _decode_path,
    "ip": _decode_address,
    "re": _decode_pattern,
    "od": lambda items: OrderedDict(zip(items[2::2], items[3::2], strict=True)),
    "dd": _decode_defaultdict,
    "co": _decode_counter,
    "dq": lambda items: deque(items[3:], None if items[2] is None else require_type(int, items[2])),
    "ns": _decode_namespace,
    "x": lambda items: ExtType(items[2], items[3]),
}
"""Decoders by tag."""
