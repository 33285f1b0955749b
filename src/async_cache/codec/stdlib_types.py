"""Values of the standard library's types, taken apart into lists and put together again.

The list is headed by a marker no plain data has, then comes the tag of its type, then
its parts, which may be typed in turn.
"""

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

from .exceptions import UnencodableError

MARK_CODE: Final = 42
MARK: Final = ExtType(MARK_CODE, b"")
"""Heads the list of a typed value."""

Take = Callable[[Any], list[Any]]
"""Returns a value as marker, tag and parts; UnencodableError if it would not come back as it was."""
Build = Callable[[list[Any]], Any]
"""Returns what such a list stands for. Raises, whatever it likes, for a list we did not write."""

T = TypeVar("T")
Clock = TypeVar("Clock", datetime, time)
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


ALIAS: Final = frozenset({"__orig_class__"})
"""What ``typing`` leaves on an instance made through an alias, as ``Page[int](...)``. It is not written:
the instance equals one that was made without."""


def exactly(kind: type[T], part: object) -> T:
    """Return *part* if it is of this very type, else raise TypeError.

    Constructors call ``__index__``, ``__fspath__`` and the like on what they are given;
    a payload must not choose whose.
    """
    if type(part) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(part).__name__}")
    return part


def refuse_unless(faithful: object, kind: type, detail: str) -> None:
    """Raise UnencodableError for a value of type *kind* unless it will come back as it is."""
    if not faithful:
        raise UnencodableError(kind, detail)


ZONES: Final[set[type]] = {timezone, ZoneInfo}
"""Classes of time zones that may be part of a time. Pydantic's is added when it is met first."""


def _taker_of_times(tag: str) -> Take:
    def take(value: Any) -> list[Any]:
        if not value.fold and _told_by_offset(value.tzinfo):
            return [MARK, tag, value.isoformat()]
        return [MARK, tag, value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo]

    return take


def _told_by_offset(zone: tzinfo | None) -> bool:
    """Whether ISO 8601's notation says all there is to the zone."""
    if zone is None or zone is UTC:
        return True
    if type(zone) is not timezone or zone.utcoffset(None).microseconds:  # fromisoformat() may drop microseconds
        return False
    return _has_no_name(zone)


def _has_no_name(zone: timezone) -> bool:
    return zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)


def _builder_of_times(kind: type[Clock]) -> Build:
    def build(items: list[Any]) -> Clock:
        naive = kind.fromisoformat(exactly(str, items[2]))
        if len(items) == 3:  # noqa: PLR2004 - marker, tag, text
            return naive
        _, _, _, fold, zone = items
        if zone is not None and type(zone) not in ZONES:
            raise TypeError(f"expected a time zone, got {type(zone).__name__}")
        return naive.replace(fold=exactly(int, fold), tzinfo=zone)

    return build


def _take_timezone(value: timezone) -> list[Any]:
    return [MARK, "tz", value.utcoffset(None), None if _has_no_name(value) else value.tzname(None)]


def _build_timezone(items: list[Any]) -> timezone:
    _, _, offset, name = items
    offset = exactly(timedelta, offset)
    return timezone(offset) if name is None else timezone(offset, exactly(str, name))


def _take_zone(value: ZoneInfo) -> list[Any]:
    # Else it was read from a file, or made past the cache.
    refuse_unless(value.key and ZoneInfo(value.key) is value, ZoneInfo, "not the one its key stands for")
    return [MARK, "zi", value.key]


def _build_zone(items: list[Any]) -> ZoneInfo:
    _, _, key = items
    package = ".".join(["tzdata", "zoneinfo", *exactly(str, key).split("/")[:-1]])
    if not _on_disk(key) and package not in sys.modules:
        raise LookupError(f"no time zone {key!r}, unless it is to be imported")
    return ZoneInfo(key)


@lru_cache(maxsize=1024)
def _on_disk(key: str) -> bool:
    """Whether the system has this zone. If not, ``ZoneInfo`` would import a package to look for it."""
    return _ZONE_KEY.fullmatch(key) is not None and any(Path(place, key).is_file() for place in zoneinfo.TZPATH)


_ZONE_KEY: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def _take_path(value: PurePath) -> list[Any]:
    text = str(value)
    refuse_unless(type(value)(text).parts == value.parts, type(value), "its text stands for another path")
    return [MARK, "pa", type(value).__name__, text]


def _build_path(items: list[Any]) -> PurePath:
    _, _, kind, text = items
    return _PATHS[kind](exactly(str, text))


def _take_address(value: Any) -> list[Any]:
    kind, text = type(value), str(value)
    refuse_unless(kind(text) == value, kind, "its text stands for another address")
    return [MARK, "ip", kind.__name__, text]


def _build_address(items: list[Any]) -> Any:
    _, _, kind, text = items
    return _ADDRESSES[kind](exactly(str, text))


def _take_pattern(value: re.Pattern[Any]) -> list[Any]:
    plain = type(value.pattern) in {str, bytes} and not value.flags & re.DEBUG
    refuse_unless(plain, re.Pattern, "it was made of no plain text, or is to be debugged")
    return [MARK, "re", value.pattern, value.flags]


def _build_pattern(items: list[Any]) -> re.Pattern[Any]:
    _, _, pattern, flags = items
    if type(pattern) not in {str, bytes} or exactly(int, flags) & re.DEBUG:
        raise TypeError("not a pattern")
    return re.compile(pattern, flags)


def _take_uuid(value: UUID) -> list[Any]:
    return [MARK, "id", value.hex, None if value.is_safe is SafeUUID.unknown else value.is_safe.value]


def _build_uuid(items: list[Any]) -> UUID:
    _, _, digits, safe = items
    number = int(exactly(str, digits), 16)
    return UUID(int=number) if safe is None else UUID(int=number, is_safe=SafeUUID(exactly(int, safe)))


def _take_defaultdict(value: defaultdict[Any, Any]) -> list[Any]:
    factory: Any = value.default_factory
    name = getattr(factory, "__name__", None)
    told = factory is None or _FACTORIES.get(name) is factory  # type: ignore[arg-type]
    refuse_unless(told, defaultdict, "its factory is none of the builtin types")
    return [MARK, "dd", name, dict(value)]


def _build_defaultdict(items: list[Any]) -> defaultdict[Any, Any]:
    _, _, factory, content = items
    return defaultdict(None if factory is None else _FACTORIES[factory], exactly(_Dict, content))


def _take_counter(value: Counter[Any]) -> list[Any]:
    refuse_unless(vars(value).keys() <= ALIAS, Counter, "it has attributes beside its items")
    return [MARK, "co", dict(value)]


def _build_counter(items: list[Any]) -> Counter[Any]:
    _, _, content = items
    counter: Counter[Any] = Counter()
    _Dict.update(counter, exactly(_Dict, content))  # the counter's own would add up
    return counter


def _take_ordered(value: OrderedDict[Any, Any]) -> list[Any]:
    refuse_unless(vars(value).keys() <= ALIAS, OrderedDict, "it has attributes beside its items")
    return [MARK, "od", *(part for pair in value.items() for part in pair)]


def _build_namespace(items: list[Any]) -> SimpleNamespace:
    _, _, content = items
    namespace = SimpleNamespace()
    vars(namespace).update(exactly(_Dict, content))
    return namespace


def _from_one(kind: type[T], make: Callable[[Any], Any]) -> Build:
    def build(items: list[Any]) -> Any:
        _, _, part = items
        return make(exactly(kind, part))

    return build


def _from_two(kind: type[T], make: Callable[[T, T], Any]) -> Build:
    def build(items: list[Any]) -> Any:
        _, _, first, second = items
        return make(exactly(kind, first), exactly(kind, second))

    return build


def _from_three_ints(make: Callable[[int, int, int], Any]) -> Build:
    def build(items: list[Any]) -> Any:
        _, _, first, second, third = items
        return make(exactly(int, first), exactly(int, second), exactly(int, third))

    return build


TAKE: Final[dict[type, Take]] = {
    tuple: lambda value: [MARK, "t", *value],
    set: lambda value: [MARK, "s", *value],
    frozenset: lambda value: [MARK, "fs", *value],
    int: lambda value: [MARK, "i", f"{value:x}"],  # hexadecimal: linear in time, and no limit of digits
    bytearray: lambda value: [MARK, "ba", bytes(value)],
    complex: lambda value: [MARK, "c", value.real, value.imag],
    EllipsisType: lambda _: [MARK, "..."],
    range: lambda value: [MARK, "ra", value.start, value.stop, value.step],
    slice: lambda value: [MARK, "sl", value.start, value.stop, value.step],
    Decimal: lambda value: [MARK, "de", str(value)],
    Fraction: lambda value: [MARK, "fr", value.numerator, value.denominator],
    datetime: _taker_of_times("dt"),
    date: lambda value: [MARK, "da", value.isoformat()],
    time: _taker_of_times("tm"),
    timedelta: lambda value: [MARK, "td", value.days, value.seconds, value.microseconds],
    timezone: _take_timezone,
    ZoneInfo: _take_zone,
    UUID: _take_uuid,
    **dict.fromkeys(_PATHS.values(), _take_path),
    **dict.fromkeys(_ADDRESSES.values(), _take_address),
    re.Pattern: _take_pattern,
    OrderedDict: _take_ordered,
    defaultdict: _take_defaultdict,
    Counter: _take_counter,
    deque: lambda value: [MARK, "dq", value.maxlen, *value],
    SimpleNamespace: lambda value: [MARK, "ns", vars(value)],
    ExtType: lambda value: [MARK, "x", value.code, value.data],
}
"""By exact type: how a value is taken apart."""

BUILD: Final[dict[str, Build]] = {
    "t": lambda items: tuple(items[2:]),
    "s": lambda items: set(items[2:]),
    "fs": lambda items: frozenset(items[2:]),
    "i": _from_one(str, lambda digits: int(digits, 16)),
    "ba": _from_one(bytes, bytearray),
    "c": _from_two(float, complex),
    "...": lambda _: ...,
    "ra": _from_three_ints(range),
    "sl": lambda items: slice(*items[2:]),
    "de": _from_one(str, Decimal),
    "fr": _from_two(int, Fraction),
    "dt": _builder_of_times(datetime),
    "da": _from_one(str, date.fromisoformat),
    "tm": _builder_of_times(time),
    "td": _from_three_ints(timedelta),
    "tz": _build_timezone,
    "zi": _build_zone,
    "id": _build_uuid,
    "pa": _build_path,
    "ip": _build_address,
    "re": _build_pattern,
    "od": lambda items: OrderedDict(zip(items[2::2], items[3::2], strict=True)),
    "dd": _build_defaultdict,
    "co": _build_counter,
    "dq": lambda items: deque(items[3:], None if items[2] is None else exactly(int, items[2])),
    "ns": _build_namespace,
    "x": lambda items: ExtType(items[2], items[3]),
}
"""By tag: how it is put together again."""
