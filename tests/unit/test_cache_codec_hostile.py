"""Bytes that the codec did not write: they are plain data or corrupt, and never run code."""

import dataclasses
import enum
import pickle
import sys
import types
import typing

import msgpack
import pytest

from async_cache.codec import Codec
from async_cache.exceptions import CorruptError, UnencodableError

codec = Codec()
MARK = msgpack.ExtType(42, b"")
fired: list[str] = []


class Color(enum.Enum):
    RED = 1


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Pair(typing.NamedTuple):
    left: int
    right: object


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


@dataclasses.dataclass
class Colored(Point):
    color: Color = Color.RED


@dataclasses.dataclass
class Computed:
    side: int
    area: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.area = self.side**2


@dataclasses.dataclass
class Finalized:
    path: str

    def __del__(self) -> None:
        fired.append(self.path)


class Plain:
    pass


def typed(*items: object) -> bytes:
    """Return a payload of format 2, written by hand."""
    return b"\x92\x02" + msgpack.packb([MARK, *items])


def name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def tag(sort: str, kind: str, fields: str = "") -> str:
    return f"{sort}:{kind}({fields})"


GARBAGE = {
    "nothing": b"",
    "a lone brace": b"{",
    "json": b'{"a": 1}',
    "plain msgpack": msgpack.packb({"a": 1}),
    "another array of two": msgpack.packb([3, "x"]),
    "an array of three": msgpack.packb([1, "x", "y"]),
    "cut off": codec.encode({"a": [1, 2, 3]})[:-1],
    "one byte too many": codec.encode({"a": 1}) + b"\0",
    "a pickle": pickle.dumps({"a": 1}),
    "a pickle that calls": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "5,000 deep": b"\x92\x01" + b"\x91" * 5000 + b"\xc0",
    "a huge array announced": b"\x92\x01\xdd\xff\xff\xff\xff",
    "a list as key": b"\x92\x01\x81\x90\x01",
    "no tag": typed(),
    "unknown tag": typed("zz", 1),
    "tag of a wrong type": typed([1]),
    "set of lists": typed("s", [1]),
    "too few parts": typed("c", 1.0),
    "too many parts": typed("de", "1", "2"),
    "not a number": typed("de", "one"),
    "division by zero": typed("fr", 1, 0),
    "no date": typed("da", "2020-13-01"),
    "overflow": typed("td", 10**18, 0, 0),
    "no zone": typed("zi", "Nowhere/Land"),
    "a zone outside": typed("zi", "../../../etc/passwd"),
    "unknown factory": typed("dd", "eval", {}),
    "a path of no kind": typed("pa", "Path", "x"),
    "a class not loaded": typed(tag("dc", "antigravity:Joke", "x"), 1),
    "no class": typed(tag("dc", "os:system", "x"), 1),
    "class that is no dataclass": typed(tag("dc", name(Plain), "x"), 1),
    "class that is no enum": typed(tag("en", name(Point)), "x"),
    "class that is no named tuple": typed(tag("nt", name(Point), "x,y"), 1, 2),
    "class that is no model": typed(tag("pm", name(Point), "x"), None, None, None, 1),
    "no such member": typed(tag("en", name(Color)), "GREEN"),
    "a flag out of range": typed(tag("en", name(Rights)), 1024),
    "another enum as a flag": typed(tag("en", name(Color)), 1),
    "other fields": typed(tag("dc", name(Point), "x,z"), 1, 2),
    "too few fields": typed(tag("dc", name(Point), "x,y"), 1),
    "too many values": typed(tag("nt", name(Pair), "left,right"), 1, 2, 3),
    "fields of a class with __del__": typed(tag("dc", name(Finalized), "path"), "/etc/passwd"),
    "array of objects": typed("na", "|O", "C", [1], b"\0" * 8),
    "array with more content": typed("na", "<f8", "C", [1], b"\0" * 16),
    "array of another size": typed("na", "<f8", "C", [1000], b"\0" * 8),
    "unhashable instance as key": b"\x92\x02" + msgpack.packb([MARK, "s", [MARK, tag("dc", name(Point), "x,y"), 1, 2]]),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_foreign_bytes_are_corrupt(data: bytes) -> None:
    loaded = set(sys.modules)

    with pytest.raises(CorruptError):
        codec.decode(data)

    assert set(sys.modules) == loaded


def test_anything_but_bytes_is_corrupt() -> None:
    for data in (None, 1, "x", []):
        with pytest.raises(CorruptError):
            codec.decode(data)  # type: ignore[arg-type]


def test_lists_without_the_marker_are_plain_data() -> None:
    for value in (["t", 1], [None, "t"], {"t": ["x"]}, ["\xc7\0*", "t", (1,)], [b"\xc7\0*", (1,)], [1, MARK]):
        assert codec.decode(codec.encode(value)) == value
        assert codec.decode(codec.encode((value,))) == (value,)


def test_a_marker_in_an_unexpected_position_is_plain_data() -> None:
    assert codec.decode(b"\x92\x02" + msgpack.packb({"a": MARK, "b": [1, MARK]})) == {"a": MARK, "b": [1, MARK]}


def test_decoding_an_instance_runs_none_of_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec.encode(Computed(3))

    def refuse(*_: object) -> typing.NoReturn:
        pytest.fail("code of the class was run")

    for method in ("__init__", "__post_init__", "__setattr__", "__new__", "__setstate__", "__getattribute__"):
        monkeypatch.setattr(Computed, method, refuse, raising=False)

    again = codec.decode(data)

    monkeypatch.undo()
    assert (again.side, again.area) == (3, 9)


def test_a_payload_cannot_create_an_object_with_a_finalizer() -> None:
    with pytest.raises(CorruptError):
        codec.decode(typed(tag("dc", name(Finalized), "path"), "/etc/passwd"))

    assert "/etc/passwd" not in fired


def test_a_payload_cannot_choose_which_conversion_methods_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constructors call __index__, __fspath__, __iter__ and similar methods of their arguments."""
    for method in ("__index__", "__fspath__", "__float__", "__complex__", "__int__", "__iter__", "__bytes__"):
        monkeypatch.setattr(Point, method, lambda _: fired.append("converted"), raising=False)
    point = [MARK, tag("dc", name(Point), "x,y"), 1, 2]

    for kind in ("i", "ba", "de", "da", "dt", "tm", "zi"):
        with pytest.raises(CorruptError):
            codec.decode(typed(kind, point))
    for items in (("ra", point), ("c", point, 1.0), ("pa", "PosixPath", point), ("dq", point), ("td", point, 0, 0)):
        with pytest.raises(CorruptError):
            codec.decode(typed(*items))

    assert "converted" not in fired


def test_looking_up_a_class_calls_no_getattr_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, attribute: str) -> object:
            pytest.fail(f"asked for {attribute}")

    lazy = types.ModuleType("lazy")
    lazy.__getattr__ = lambda attribute: pytest.fail(f"asked for {attribute}")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "lazier", Lazy("lazier"))

    for module in ("lazy", "lazier"):
        with pytest.raises(CorruptError):
            codec.decode(typed(tag("dc", f"{module}:Thing", "x"), 1))


def test_a_class_is_registered_by_its_own_name_only() -> None:
    """Otherwise a payload could invent any number of paths, each of which would be registered."""
    Point.again = Point  # type: ignore[attr-defined]
    try:
        with pytest.raises(CorruptError, match="no class named"):
            codec.decode(typed(tag("dc", name(Point) + ".again.again", "x,y"), 1, 2))
    finally:
        del Point.again  # type: ignore[attr-defined]


def test_a_payload_cannot_change_how_a_type_is_encoded() -> None:
    """ExtType is a named tuple, but the codec does not treat it as one."""
    before = codec.encode([MARK, (1,)])

    with pytest.raises(CorruptError):
        codec.decode(typed(tag("nt", name(msgpack.ExtType), "code,data"), 0, 42))

    assert codec.encode([MARK, (1,)]) == before


def test_an_instance_of_a_changed_class_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Newer:
        x: int
        y: object
        z: int

    Newer.__qualname__ = "Point"
    data = codec.encode(Point(1, 2))
    monkeypatch.setattr(sys.modules[__name__], "Point", Newer)

    with pytest.raises(CorruptError, match="other fields"):
        codec.decode(data)


def test_an_instance_of_a_replaced_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class has been replaced by another of the same name."""
    old = Point(1, 2)
    monkeypatch.setattr(sys.modules[__name__], "Point", Colored)

    with pytest.raises(UnencodableError, match="do not lead back"):
        codec.encode(old)
