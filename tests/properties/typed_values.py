"""Random values of all types that the codec supports, similar values, and strict comparison."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import random
import struct
import types
import typing
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable
from typing import Any

import msgpack

MARK = msgpack.ExtType(42, b"")
ZONES = [None, dt.UTC, dt.timezone(dt.timedelta(hours=1, seconds=7), "odd"), zoneinfo.ZoneInfo("Europe/Oslo")]
WORDS = ["", "a", "b", "ab", "a:b", "%", "t", "s", "1", "True", "None", "é", "\ud800", "\xc7\0*", "x" * 40]


class Color(enum.Enum):
    RED = 1
    BLUE = "a"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    ERASE = 4


class Pair(typing.NamedTuple):
    left: object
    right: object


@dataclasses.dataclass
class Box:
    content: object
    label: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Sealed:
    content: object


def _int(rnd: random.Random) -> int:
    return rnd.choice([0, 1, -1, 2, 127, 128, 2**31, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40])


def _float(rnd: random.Random) -> float:
    return rnd.choice([0.0, -0.0, 1.0, float("nan"), float("inf"), rnd.random(), 2.0**63, 1e300, 5e-324])


def _text(rnd: random.Random) -> str:
    return rnd.choice(WORDS) + rnd.choice(WORDS)


def _datetime(rnd: random.Random) -> dt.datetime:
    moment = dt.datetime(rnd.randint(1, 9999), 10, rnd.randint(1, 28), 2, 30, 0, rnd.choice([0, 7]))  # noqa: DTZ001
    return moment.replace(tzinfo=rnd.choice(ZONES), fold=rnd.getrandbits(1))


LEAVES: list[Callable[[random.Random], Any]] = [
    lambda rnd: rnd.choice([None, True, False, ...]),
    _int,
    _int,
    _float,
    _text,
    _text,
    lambda rnd: _text(rnd).encode("utf-8", "surrogatepass"),
    lambda rnd: complex(_float(rnd), _float(rnd)),
    lambda rnd: decimal.Decimal(rnd.choice(["1", "1.0", "-0", "1E+5", "NaN", "Infinity", "100000"])),
    lambda rnd: fractions.Fraction(_int(rnd), rnd.choice([1, 2, 3])),
    _datetime,
    lambda rnd: _datetime(rnd).date(),
    lambda rnd: _datetime(rnd).timetz(),
    lambda rnd: dt.timedelta(rnd.randint(-3, 3), rnd.randint(0, 3), rnd.randint(0, 3)),
    lambda rnd: uuid.UUID(int=rnd.choice([0, 1, rnd.getrandbits(128)])),
    lambda rnd: rnd.choice([pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.Path])(rnd.choice(["a", "a/b"])),
    lambda rnd: range(rnd.randint(-2, 2), rnd.choice([0, 3, 10**20]), rnd.choice([1, -1, 2])),
    lambda rnd: rnd.choice([*Color, *Level, *Rights, Rights(0), Rights(3), Rights(7)]),
    lambda rnd: rnd.choice(ZONES),
]
UNHASHABLE_LEAVES: list[Callable[[random.Random], Any]] = [
    lambda rnd: bytearray(_text(rnd).encode("utf-8", "surrogatepass")),
    lambda rnd: rnd.choice([MARK, msgpack.ExtType(7, b"x"), msgpack.Timestamp(rnd.randint(0, 3), 5)]),
    lambda rnd: slice(rnd.choice([None, 1]), rnd.choice([None, 1])),
]


def hashable(rnd: random.Random, depth: int) -> Any:
    """Return a random hashable value."""
    if depth <= 0 or rnd.random() < 0.6:
        return rnd.choice(LEAVES)(rnd)
    parts = [hashable(rnd, depth - 1) for _ in range(rnd.randint(0, 3))]
    return rnd.choice([tuple, frozenset, lambda parts: Pair(1, tuple(parts)), lambda parts: Sealed(tuple(parts))])(
        parts
    )


def anything(rnd: random.Random, depth: int = 3) -> Any:
    """Return a random value, nested at most *depth* levels deep."""
    if depth <= 0 or rnd.random() < 0.35:
        return rnd.choice(LEAVES if rnd.random() < 0.9 else UNHASHABLE_LEAVES)(rnd)
    make = rnd.choice(CONTAINERS)
    return make(rnd, depth - 1)


def _parts(rnd: random.Random, depth: int) -> list[Any]:
    return [anything(rnd, depth) for _ in range(rnd.randint(0, 4))]


def _pairs(rnd: random.Random, depth: int) -> list[tuple[Any, Any]]:
    keys = _text if rnd.random() < 0.7 else lambda rnd: hashable(rnd, 1)
    return [(keys(rnd), anything(rnd, depth)) for _ in range(rnd.randint(0, 4))]


CONTAINERS: list[Callable[[random.Random, int], Any]] = [
    _parts,
    _parts,
    lambda rnd, depth: tuple(_parts(rnd, depth)),
    lambda rnd, depth: tuple(_parts(rnd, depth)),
    lambda rnd, depth: dict(_pairs(rnd, depth)),
    lambda rnd, depth: dict(_pairs(rnd, depth)),
    lambda rnd, depth: OrderedDict(_pairs(rnd, depth)),
    lambda rnd, depth: defaultdict(rnd.choice([None, int, list]), _pairs(rnd, depth)),
    lambda rnd, depth: Counter(_text(rnd)),
    lambda rnd, depth: {hashable(rnd, depth) for _ in range(rnd.randint(0, 4))},
    lambda rnd, depth: frozenset(hashable(rnd, depth) for _ in range(rnd.randint(0, 4))),
    lambda rnd, depth: deque(_parts(rnd, depth), rnd.choice([None, 5])),
    lambda rnd, depth: Pair(anything(rnd, depth), anything(rnd, depth)),
    lambda rnd, depth: Box(anything(rnd, depth), anything(rnd, depth)),
    lambda rnd, depth: Sealed(anything(rnd, depth)),
    lambda rnd, depth: types.SimpleNamespace(a=anything(rnd, depth)),
    lambda rnd, depth: [MARK, rnd.choice(["t", "s", "i", "de", "dc"]), *_parts(rnd, depth)],
]


# Similar values, which often print or compare like the first.


def near_miss(rnd: random.Random, value: Any) -> Any:
    """Return a value similar to *value*, possibly an equal one."""
    inside = _inside(value)
    if inside and rnd.random() < 0.6:
        index = rnd.randrange(len(inside))
        inside[index] = near_miss(rnd, inside[index])
        return _rebuilt(value, inside)
    return rnd.choice(MISSES)(rnd, value)


def _inside(value: Any) -> list[Any] | None:
    if isinstance(value, list | tuple | deque) and not isinstance(value, msgpack.ExtType):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    return [value.content] if isinstance(value, Box | Sealed) else None


def _rebuilt(value: Any, inside: list[Any]) -> Any:
    if isinstance(value, dict):
        again = value.copy()
        dict.update(again, zip(value, inside, strict=True))
        return again
    if isinstance(value, Box | Sealed):
        return dataclasses.replace(value, content=inside[0])
    return Pair(*inside) if isinstance(value, Pair) else type(value)(inside)


def _converted(rnd: random.Random, value: Any) -> Any:
    """Return *value* converted to another type; a range or a size stays small."""
    kind = rnd.choice([int, float, str, bool, complex, list, tuple, repr, dict, bytes, bytearray, frozenset, deque])
    if isinstance(value, int | range) and kind not in {int, float, str, bool, complex, repr}:
        return [value]
    try:
        return kind(value)
    except (ArithmeticError, TypeError, ValueError):
        return [value]


MISSES: list[Callable[[random.Random, Any], Any]] = [
    _converted,
    _converted,
    lambda rnd, value: [value],
    lambda rnd, value: (value,),
    lambda rnd, value: {"a": value},
    lambda rnd, value: Box(value),
    lambda rnd, value: value[:-1] if isinstance(value, str | bytes | list | tuple) else str(type(value)),
    lambda rnd, value: [*value, None] if isinstance(value, list | tuple) else (value, None),
    lambda rnd, value: value + 1 if isinstance(value, int | float) else None,
    lambda rnd, value: type(value)(reversed(list(value.items()))) if type(value) in {dict, OrderedDict} else value,
    lambda rnd, value: anything(rnd, 1),
]


# Complete descriptions of values, for strict comparison.


def reading(value: Any, *, ordered: bool = False) -> Hashable:
    """Return a description of *value*: equal for equal values of the same types, and only for these.

    Args:
        value: Any of the values above.
        ordered: Whether the order of dicts counts.
    """
    kind = type(value)
    if dataclasses.is_dataclass(value):
        return kind.__name__, *(
            reading(getattr(value, field.name), ordered=ordered) for field in dataclasses.fields(value)
        )
    read = READINGS.get(kind)
    return (kind.__name__, read(value, ordered) if read else repr(value))


def _sequence(value: Any, ordered: bool) -> Hashable:
    return getattr(value, "maxlen", None), tuple(reading(part, ordered=ordered) for part in value)


def _set(value: Any, ordered: bool) -> Hashable:
    return frozenset(Counter(reading(part, ordered=ordered) for part in value).items())


def _pairs_of(value: Any, ordered: bool) -> tuple[Hashable, ...]:
    return tuple((reading(key, ordered=ordered), reading(item, ordered=ordered)) for key, item in value.items())


def _dict(value: Any, ordered: bool) -> Hashable:
    pairs = _pairs_of(value, ordered)
    return getattr(value, "default_factory", None), pairs if ordered else frozenset(Counter(pairs).items())


READINGS: dict[type, Callable[[Any, bool], Hashable]] = {
    **dict.fromkeys((list, tuple, deque, Pair), _sequence),
    **dict.fromkeys((set, frozenset), _set),
    **dict.fromkeys((dict, defaultdict, Counter), _dict),
    OrderedDict: _pairs_of,
    types.SimpleNamespace: lambda value, ordered: _dict(vars(value), ordered),
    int: lambda value, ordered: value,
    float: lambda value, ordered: struct.pack("d", value),
    complex: lambda value, ordered: struct.pack("dd", value.real, value.imag),
    bytearray: lambda value, ordered: bytes(value),
    dt.datetime: lambda value, ordered: (repr(value), value.fold),
    dt.time: lambda value, ordered: (repr(value), value.fold),
}
