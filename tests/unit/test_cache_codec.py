"""The codec: a value is decoded unchanged or refused when it is encoded; foreign bytes are plain data or corrupt."""

import collections
import contextlib
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import gc
import io
import ipaddress
import math
import pathlib
import pickle
import re
import sys
import threading
import time
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator

import msgpack
import pytest

from async_cache.codec import Codec
from async_cache.exceptions import CorruptError, UnencodableError

codec = Codec()
MARK = msgpack.ExtType(42, b"")


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"
    CRIMSON = 1  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Pair(typing.NamedTuple):
    left: int
    right: object


OldPair = collections.namedtuple("OldPair", ["left", "right"])  # noqa: PYI024 - the older form must work too


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: object = None


@dataclasses.dataclass
class Colored(Point):
    color: Color = Color.RED


@dataclasses.dataclass
class Computed:
    """Code that runs when an instance is created or used must not run when it is decoded."""

    side: int
    area: int = dataclasses.field(init=False)
    made: typing.ClassVar[int] = 0

    def __post_init__(self) -> None:
        type(self).made += 1
        self.area = self.side**2

    @functools.cached_property
    def volume(self) -> int:
        return self.side**3


@dataclasses.dataclass
class Shadowed:
    """Writing its field runs code."""

    x: int = 0

    @property
    def y(self) -> int:
        return self.x

    @y.setter
    def y(self, value: int) -> None:
        self.x = value


Shadowed.__dataclass_fields__["y"] = dataclasses.fields(dataclasses.make_dataclass("Other", ["y"]))[0]


@dataclasses.dataclass
class Slotted:
    __slots__ = ("cache", "x")

    x: int


class Choosy(enum.Flag):
    ONE = 1
    TWO = 2

    @classmethod
    def _missing_(cls, value: object) -> object:
        return super()._missing_(value)


T = typing.TypeVar("T")


@dataclasses.dataclass
class Sheet(typing.Generic[T]):
    items: list[T]


def debugged(pattern: str) -> re.Pattern[str]:
    with contextlib.redirect_stdout(io.StringIO()):
        return re.compile(pattern, re.DEBUG)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Listing(list[int]):
    pass


class Table(dict[str, int]):
    pass


class Plain:
    def __init__(self) -> None:
        self.x = 1


@dataclasses.dataclass
class Failure(Exception):  # noqa: N818 - neither a dataclass nor plain, on purpose
    text: str


@dataclasses.dataclass
class Guarded:
    _x: int = 0

    @property
    def x(self) -> int:
        return self._x


@dataclasses.dataclass
class Finalized:
    path: str

    def __del__(self) -> None:
        fired.append(self.path)


fired: list[str] = []


def with_more() -> Point:
    point = Point(1)
    point.z = 2  # type: ignore[attr-defined]
    return point


def with_less() -> Point:
    point = Point(1)
    del point.x
    return point


def counter_with_more() -> collections.Counter[str]:
    counter = collections.Counter("a")
    counter.total_seen = 1  # type: ignore[attr-defined]
    return counter


def odd_namespace() -> types.SimpleNamespace:
    namespace = types.SimpleNamespace()
    vars(namespace)[1] = (2,)
    return namespace


def zone_of_a_file(key: str) -> zoneinfo.ZoneInfo:
    places = (pathlib.Path(place, "Europe", "Oslo") for place in zoneinfo.TZPATH)
    with next(place for place in places if place.exists()).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=key)


class Masked:
    """Misrepresents its own class."""

    @property
    def __class__(self) -> type:
        raise LookupError("no mask today")


def of_a_reticent_class() -> object:
    class Reticent(type):
        def __getattr__(cls, name: str) -> typing.NoReturn:
            raise KeyError(name)

    return Reticent("Curt", (), {})()


class Unprintable(Exception):  # noqa: N818 - describes what is special about it
    def __str__(self) -> str:
        raise KeyError


@dataclasses.dataclass(frozen=True)
class Unhashable:
    x: int

    def __hash__(self) -> int:
        if hashable:
            return 1
        raise Unprintable


hashable = True


def of_a_local_class() -> object:
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


def itself() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def nested(depth: int, make: Callable[[object], object] = lambda inner: [inner]) -> object:
    value: object = None
    for _ in range(depth):
        value = make(value)
    return value


def generator() -> Iterator[int]:
    yield 1


OSLO = zoneinfo.ZoneInfo("Europe/Oslo")
FAITHFUL: dict[str, list[object]] = {
    "None": [None],
    "bool": [True, False],
    "int": [0, 1, -1, 2**63, 2**64 - 1, -(2**63)],
    "int, large": [2**64, -(2**63) - 1, 10**5000, -(10**5000)],
    "float": [0.0, -0.0, 1.5, 1e308, 5e-324, math.inf, -math.inf, math.nan],
    "complex": [1 + 2j, complex(-0.0, math.nan)],
    "str": ["", "x", "é", "𝄞", "\0", "x" * 70_000],
    "str, lone surrogates": ["\ud800", "a\udfffb", "\ud83d\ude00", ["é", "\ud800", (1,)]],
    "bytes": [b"", b"x", bytes(range(256)) * 300],
    "bytearray": [bytearray(), bytearray(b"x"), [bytearray(b"x"), b"x", (bytearray(b"y"),)]],
    "list": [[], [1, "a", [None]]],
    "tuple": [(), (1,), (1, (2, [3])), [(1, 2), [1, 2]], ((), [])],
    "dict": [{}, {"a": {"b": []}}, {1: "int", "1": "str", None: 0, 1.5: 2, b"x": 3}, {False: 0, "": 1}],
    "dict, typed keys": [{(1, 2): 3, frozenset([1]): (4,), Color.RED: 5, dt.date(2020, 1, 1): 6}],
    "set": [set(), {1, "a", (2, 3)}],
    "frozenset": [frozenset(), frozenset([1, frozenset([2])])],
    "Ellipsis": [...],
    "range": [range(3), range(10, -5, -3), range(10**30)],
    "slice": [slice(1), slice(None, 2, "x")],
    "Decimal": [decimal.Decimal(text) for text in ("1.10", "-0", "1E+999999", "NaN", "sNaN", "-Infinity")],
    "Fraction": [fractions.Fraction(-1, 3), fractions.Fraction(10**40, 7)],
    "datetime": [dt.datetime.fromisoformat(text) for text in ("0001-01-01", "9999-12-31T23:59:59.999999")],
    "datetime, offset": [
        dt.datetime.now(dt.UTC),
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=1, microseconds=5))),
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(microseconds=5))),
        dt.datetime(2020, 1, 1, fold=1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    ],
    "datetime, ZoneInfo": [
        dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=OSLO),
        dt.datetime(2020, 10, 25, 2, 30, tzinfo=OSLO),
    ],
    "date": [dt.date.min, dt.date.max],
    "time": [dt.time(1, 2, 3, 4), dt.time(fold=1, tzinfo=OSLO), dt.time(5, tzinfo=dt.UTC)],
    "timedelta": [dt.timedelta(-1, 2, 3), dt.timedelta.max, dt.timedelta.min],
    "timezone": [dt.UTC, dt.timezone(dt.timedelta(minutes=90)), dt.timezone(dt.timedelta(), "Zulu")],
    "ZoneInfo": [OSLO],
    "UUID": [uuid.uuid4(), uuid.uuid1(), uuid.UUID(int=0)],
    "Path": [pathlib.Path("/a/b"), pathlib.Path(), pathlib.Path("a\udcff")],
    "PurePosixPath": [pathlib.PurePosixPath("//a/../b")],
    "PureWindowsPath": [pathlib.PureWindowsPath("c:/x"), pathlib.PureWindowsPath("//host/share/x")],
    "IPv4Address": [ipaddress.IPv4Address("1.2.3.4"), ipaddress.IPv4Interface("1.2.3.4/24")],
    "IPv6Address": [ipaddress.IPv6Address("fe80::1%eth0"), ipaddress.IPv6Interface("2001:db8::1/32")],
    "network": [ipaddress.IPv4Network("1.2.3.0/24"), ipaddress.IPv6Network("2001:db8::/32")],
    "Pattern": [re.compile("(?i)a+", re.VERBOSE), re.compile(b"\xff", re.ASCII)],
    "Enum": [Color.RED, Color.BLUE, Color.CRIMSON],
    "IntEnum": [Level.LOW],
    "StrEnum": [Word.YES],
    "Flag": [Rights.READ, Rights.READ | Rights.WRITE, Rights(0)],
    "IntFlag": [Bits.ONE, Bits(3), Bits(64)],
    "NamedTuple": [Pair(1, (2,)), Pair(1, [Pair(2, None)])],
    "namedtuple": [OldPair(1, 2)],
    "dataclass": [Point(1), Point(1, [Point(2, (3,))]), Colored(1), Computed(3), Guarded(5)],
    "made through an alias": [Sheet[int]([1]), collections.Counter[str]("ab"), collections.OrderedDict[str, int](a=1)],
    "dataclass, frozen, slots": [Frozen(1), {Frozen(1, (2,)): Frozen(3)}, {Frozen(1)}],
    "OrderedDict": [collections.OrderedDict(b=1, a=(2,)), collections.OrderedDict({(1,): 2})],
    "defaultdict": [collections.defaultdict(list, {"a": [1]}), collections.defaultdict(None)],
    "Counter": [collections.Counter("abca"), collections.Counter(a=-1)],
    "deque": [collections.deque([1, (2,)]), collections.deque([1, 2, 3], maxlen=2)],
    "SimpleNamespace": [types.SimpleNamespace(a=1, b=(2,)), odd_namespace()],
    "msgpack.Timestamp": [msgpack.Timestamp(1, 2), [msgpack.Timestamp(-1, 999_999_999), (1,)]],
    "msgpack.ExtType": [msgpack.ExtType(1, b"x"), MARK, [MARK, "t", 1], [MARK, "t", (1,)], {MARK: (MARK,)}],
}

REFUSED: dict[str, Callable[[], object]] = {
    "subclass of str": lambda: Text("x"),
    "subclass of int": lambda: Number(1),
    "subclass of list": lambda: Listing([1]),
    "subclass of dict": lambda: Table(a=1),
    "plain object": Plain,
    "object()": object,
    "class": lambda: Plain,
    "builtin type": lambda: int,
    "function": lambda: nested,
    "lambda": lambda: lambda: 0,
    "generator": generator,
    "module": lambda: sys,
    "exception": lambda: ValueError("x"),
    "open file": io.BytesIO,
    "lock": threading.Lock,
    "memoryview": lambda: memoryview(b"x"),
    "memoryview inside": lambda: {"a": [memoryview(b""), (1,)]},
    "mappingproxy": lambda: types.MappingProxyType({}),
    "struct_time": lambda: time.gmtime(0),
    "dataclass, local": of_a_local_class,
    "dataclass, more attributes": with_more,
    "dataclass, a field missing": with_less,
    "dataclass, a slot that is no field": lambda: Slotted(1),
    "dataclass, slots, not filled": lambda: object.__new__(Frozen),
    "dataclass, a field with a setter": Shadowed,
    "dataclass that is an exception": lambda: Failure("x"),
    "dataclass with __del__": lambda: Finalized("x"),
    "Pattern, to be debugged": lambda: debugged("x"),
    "Counter with attributes": counter_with_more,
    "Flag combined in a way of its own": lambda: Choosy.ONE | Choosy.TWO,
    "defaultdict, own factory": lambda: collections.defaultdict(lambda: 0),
    "ZoneInfo, uncached": lambda: zoneinfo.ZoneInfo.no_cache("Europe/Oslo"),
    "ZoneInfo of a file": lambda: zone_of_a_file("No/Such"),
    "of a class that raises when asked what it is": Masked,
    "of a class that raises when asked for anything": of_a_reticent_class,
    "itself": itself,
    "10,000 lists deep": lambda: nested(10_000),
    "10,000 tuples deep": lambda: nested(10_000, lambda inner: (inner,)),
    "10,000 dicts deep": lambda: nested(10_000, lambda inner: {"a": inner}),
}


def same(one: object, other: object) -> bool:
    """Return whether two values are equal and have the same types at all levels."""
    if type(one) is not type(other):
        return False
    if isinstance(one, enum.Enum) or one is None:
        return one is other
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return COMPARED.get(type(one), _same_text)(one, other)


def _same_text(one: object, other: object) -> bool:
    if isinstance(one, tuple):
        return _same_sequence(one, other)
    return repr(one) == repr(other) and (one == other or one != one)  # noqa: PLR0124 - not a number


def _same_sequence(one: typing.Any, other: typing.Any) -> bool:
    if getattr(one, "maxlen", None) != getattr(other, "maxlen", None):
        return False
    return len(one) == len(other) and all(map(same, one, other))


def _same_set(one: typing.Any, other: typing.Any) -> bool:
    return one == other and sorted(map(repr, map(type, one))) == sorted(map(repr, map(type, other)))


def _same_dict(one: typing.Any, other: typing.Any) -> bool:
    factories = getattr(one, "default_factory", None) is getattr(other, "default_factory", None)
    return factories and _same_sequence(list(one.items()), list(other.items()))


def _same_int(one: object, other: object) -> bool:
    return one == other  # the text of a large int would be refused


def _same_decimal(one: typing.Any, other: typing.Any) -> bool:
    return one.as_tuple() == other.as_tuple()


def _same_zone(one: object, other: object) -> bool:
    return one is other


COMPARED: dict[type, Callable[[typing.Any, typing.Any], bool]] = {
    **dict.fromkeys((list, tuple, collections.deque), _same_sequence),
    **dict.fromkeys((set, frozenset), _same_set),
    **dict.fromkeys((dict, collections.OrderedDict, collections.defaultdict, collections.Counter), _same_dict),
    **dict.fromkeys((int, range), _same_int),
    decimal.Decimal: _same_decimal,
    zoneinfo.ZoneInfo: _same_zone,
}


def outcome(value: object) -> str:
    """Return the outcome for a value: faithful, refused, or wrong."""
    try:
        data = codec.encode(value)
    except UnencodableError:
        return "refused"
    return "faithful" if same(value, codec.decode(data)) else "WRONG"


def test_each_type_is_decoded_faithfully_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints a table of types: run with -s or -rP to read it."""
    monkeypatch.setattr(sys.modules[__name__], "fired", [])
    table = {name: {outcome(value) for value in values} for name, values in FAITHFUL.items()}
    table |= {name: {outcome(make())} for name, make in REFUSED.items()}
    sys.stdout.write("".join(f"\n{name:32} {', '.join(sorted(seen))}" for name, seen in table.items()) + "\n")

    assert [name for name, seen in table.items() if "WRONG" in seen] == []
    assert [name for name in FAITHFUL if table[name] != {"faithful"}] == []
    assert [name for name in REFUSED if table[name] != {"refused"}] == []
    assert len(FAITHFUL) >= 35
    assert len(table) >= 38


def test_equal_values_of_different_types_stay_different() -> None:
    """1 == True == 1.0 == Decimal(1); a set cannot hold them at once, a list can."""
    mixed = [1, True, 1.0, decimal.Decimal(1), 1 + 0j, fractions.Fraction(1), Level.LOW, Bits.ONE]

    assert list(map(type, codec.decode(codec.encode(mixed)))) == list(map(type, mixed))


@pytest.mark.parametrize("depth", [1, 100, 400])
def test_whatever_can_be_encoded_can_be_decoded_at_any_depth(depth: int) -> None:
    for make in (lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}, Point):
        data = codec.encode(nested(depth, make))

        assert codec.encode(codec.decode(data)) == data


def test_a_refusal_names_the_type_and_the_remedy() -> None:
    with pytest.raises(UnencodableError, match=r"^Plain: .* Return plain data, a dataclass") as refusal:
        codec.encode({"a": [(Plain(),)]})

    assert refusal.value.kind is Plain
    assert pickle.loads(pickle.dumps(refusal.value)).kind is Plain  # noqa: S301 - made in this line


def test_a_path_whose_text_denotes_another_path_is_refused() -> None:
    """Python 3.11 writes ./c:foo as c:foo, which is on another drive."""
    assert outcome(pathlib.PureWindowsPath("./c:foo")) != "WRONG"


def test_the_canonical_form_is_refused_like_the_encoding_of_a_value() -> None:
    for value in (Plain(), itself(), nested(10_000)):
        with pytest.raises(UnencodableError):
            codec.canonical(value)

    assert codec.canonical({"b": 1, "a": {2, 1}}) == codec.canonical({"a": {1, 2}, "b": 1})
    assert codec.canonical((1,)) != codec.canonical([1])


def test_each_decoding_is_a_new_object() -> None:
    value = {"a": [1], "p": Point(1, [2])}
    data = codec.encode(value)

    first, second = codec.decode(data), codec.decode(data)
    first["a"].append(2)
    first["p"].y.append(3)

    assert second == value == {"a": [1], "p": Point(1, [2])}


def test_immutable_scalars_may_be_shared_and_nothing_else() -> None:
    shared = [None, 1, "x", b"x", 1.5, dt.datetime.now(dt.UTC), dt.date.min, decimal.Decimal(1), Color.RED, OSLO]
    not_shared = [[], (), {}, (1, []), bytearray(), Point(1), Frozen(1), Text("x"), Pair(1, 2), Plain()]

    assert all(map(codec.is_immutable, shared))
    assert not any(map(codec.is_immutable, not_shared))


def test_any_msgpack_library_reads_plain_data() -> None:
    assert msgpack.unpackb(codec.encode({"a": [1, b"x"]})) == [1, {"a": [1, b"x"]}]
    assert msgpack.unpackb(codec.encode((1, "x")))[0] == 2


def python_calls(function: Callable[[typing.Any], object], argument: object) -> int:
    """Return how many Python functions *function* calls."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    gc.disable()  # it would call the profile function
    sys.setprofile(count)
    try:
        function(argument)
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


@pytest.mark.parametrize("row", [{"id": 1, "name": "x", "tags": ["a"], "score": 0.1}, [1.25, None, True], "x"])
def test_plain_data_costs_no_python_call_per_value(row: object) -> None:
    one, many = [row], [row] * 500
    codec.encode(one)  # the first call fills the pool of packers

    assert python_calls(codec.encode, many) == python_calls(codec.encode, one)
    assert python_calls(codec.decode, codec.encode(many)) == python_calls(codec.decode, codec.encode(one))


def test_nested_encodings_do_not_interfere() -> None:
    """Like a finalizer, which the garbage collector may run wherever an object is created."""
    value, other = [(n, {n, "x"}) for n in range(50)], {"inner": (1, 2)}
    seen = []

    def collected(_phase: str, _info: object) -> None:
        seen.append(codec.decode(codec.encode(other)) == other)

    usual = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    try:
        encoded = codec.encode(value)
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(collected)

    assert codec.decode(encoded) == value
    assert len(seen) > 1
    assert all(seen)


def test_a_failed_encoding_does_not_affect_the_next() -> None:
    with pytest.raises(UnencodableError):
        codec.encode([(1, 2), {"a": object()}])
    assert codec.decode(codec.encode([(1, 2)])) == [(1, 2)]


ROWS: dict[str, list[object]] = {
    "dicts": [{"id": i, "name": f"user {i}", "tags": ["a", "b"], "score": i / 7} for i in range(200)],
    "dataclasses": [Point(i, [f"user {i}", i / 7]) for i in range(200)],
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_decoding_is_at_least_twice_as_fast_as_deepcopy(rows: list[object]) -> None:
    """A hit of the memory cache decodes. Measured alternately; the best of each counts."""
    data = codec.encode(rows)
    decoding, copying = math.inf, math.inf
    for _ in range(15):
        start = time.perf_counter()
        codec.decode(data)
        middle = time.perf_counter()
        copy.deepcopy(rows)
        decoding, copying = min(decoding, middle - start), min(copying, time.perf_counter() - middle)

    assert decoding * 2 < copying


def test_cached_properties_are_not_encoded() -> None:
    value = Computed(3)
    assert value.volume == 27

    made = Computed.made
    again = codec.decode(codec.encode(value))

    assert (again.side, again.area, again.volume) == (3, 9, 27)
    assert Computed.made == made


def test_an_unprintable_error_while_decoding_becomes_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec.encode({Unhashable(1)})
    monkeypatch.setattr(sys.modules[__name__], "hashable", False)

    with pytest.raises(CorruptError, match="Unprintable"):
        codec.decode(data)


def test_an_instance_created_through_a_generic_alias_has_the_same_encoding_and_key() -> None:
    assert codec.canonical(Sheet[int]([1])) == codec.canonical(Sheet([1]))
    assert codec.decode(codec.encode(Sheet[int]([1]))) == Sheet([1])
