"""Random values are decoded unchanged; random bytes are plain data or corrupt."""

import dataclasses
import enum
import random
import sys
import typing
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cache.codec import Codec
from async_cache.codec.stdlib_types import STDLIB_DECODERS
from async_cache.exceptions import CorruptError, UnencodableError
from tests.properties.run_length import long_or_short
from tests.properties.typed_values import MARK, Box, Color, Pair, anything, reading

codec = Codec()
VALUES = long_or_short(30_000, 1_000)
INPUTS = long_or_short(100_000, 5_000)
TAGS = sorted(STDLIB_DECODERS)
SORTS = ["dc", "nt", "pm", "en", "zz"]


@pytest.mark.timeout(900)
def test_random_values_are_decoded_unchanged() -> None:
    seed = random.randrange(2**32)
    rnd = random.Random(seed)
    for number in range(VALUES):
        value = anything(rnd)

        data = codec.encode(value)
        again = codec.decode(data)

        assert reading(again, ordered=True) == reading(value, ordered=True), (seed, number, value)
        assert codec.encode(again) == data or isinstance_of_unordered(value), (seed, number, value)
        assert codec.canonical(again) == codec.canonical(value), (seed, number, value)


def isinstance_of_unordered(value: object) -> bool:
    """Return whether the data may contain a set, whose order may change."""
    return "frozenset" in repr(value) or "{" in repr(value)


def loaded_classes() -> dict[str, str]:
    """Return names of many classes, supported or not, and of their fields."""
    modules = [module for module in list(sys.modules.values()) if type(module) is type(sys)]
    held = [thing for module in modules for thing in list(vars(module).values()) if is_plain_class(thing)]
    fit = [kind for kind in held if dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum | tuple)]
    return {f"{kind.__module__}:{kind.__qualname__}": ",".join(fields_of(kind)) for kind in [*fit, *held[::50]]}


def is_plain_class(thing: object) -> bool:
    """Return whether it is a class whose attributes can be read; a metaclass may refuse that."""
    return isinstance(thing, type) and type(thing).__getattribute__ is type.__getattribute__


def fields_of(kind: typing.Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    fields = getattr(kind, "_fields", ())
    return [str(field) for field in fields] if isinstance(fields, tuple) else []


LOADED = loaded_classes()


CLASSES = [*LOADED, "os:system", "sys:modules", "builtins:eval", "builtins:object", "no:such", ":", "a:b.c"]
FIELDS = [
    ",".join(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else "x,y"
    for kind in (Box, dataclasses.Field, Pair)
] + ["content,label", "left,right", "RED", "", "name"]


def parts(rnd: random.Random) -> typing.Any:
    """Return a value that an attacker might write."""
    return rnd.choice(
        [
            lambda: rnd.choice([None, True, 0, 1, -1, 2**40, 1.5, float("nan"), "", "x", "1", b"", b"x", MARK, Color]),
            lambda: rnd.choice(CLASSES),
            lambda: rnd.choice(FIELDS),
            lambda: rnd.choice(
                ["2020-01-01", "2020-01-01T00:00", "Europe/Oslo", "UTC", "../x", "<f8", "|O", "int", "C"]
            ),
            lambda: [parts(rnd) for _ in range(rnd.randint(0, 3))],
            lambda: {rnd.choice(["a", 1, None]): parts(rnd)},
            lambda: [MARK, any_tag(rnd), *[parts(rnd) for _ in range(rnd.randint(0, 4))]],
            lambda: [MARK, any_tag(rnd), *[parts(rnd) for _ in range(rnd.randint(0, 4))]],
        ]
    )()


def any_tag(rnd: random.Random) -> str:
    if rnd.random() < 0.7:
        return rnd.choice(TAGS)
    name = rnd.choice(CLASSES)
    fields = LOADED.get(name, "") if rnd.random() < 0.7 else rnd.choice(FIELDS)
    return f"{rnd.choice(SORTS)}:{name}({fields})"


def structured(rnd: random.Random) -> bytes:
    items = [parts(rnd) for _ in range(rnd.randint(0, 4))]
    return b"\x92\x02" + msgpack.packb([MARK, any_tag(rnd), *items], default=str)


def damaged(rnd: random.Random) -> bytes:
    data = bytearray(codec.encode(anything(rnd)))
    for _ in range(rnd.randint(1, 4)):
        place = rnd.randrange(2, len(data) + 1)
        data[place : place + rnd.choice([0, 1, 1, 5])] = rnd.randbytes(rnd.choice([0, 1, 1, 3]))
    return bytes(data)


def spliced(rnd: random.Random) -> bytes:
    one, two = (codec.encode(anything(rnd)) for _ in range(2))
    return one[: rnd.randrange(2, len(one) + 1)] + two[rnd.randrange(2, len(two) + 1) :]


def noise(rnd: random.Random) -> bytes:
    return rnd.choice([b"", b"\x92\x01", b"\x92\x02"]) + rnd.randbytes(rnd.choice([0, 1, 2, 5, 20, 100]))


@pytest.mark.timeout(900)
def test_random_bytes_are_plain_data_or_corrupt_and_import_nothing() -> None:
    seed = random.randrange(2**32)
    rnd = random.Random(seed)
    loaded = set(sys.modules)
    readable = 0
    for number in range(INPUTS):
        data = rnd.choice([structured, structured, damaged, spliced, noise])(rnd)
        try:
            value = codec.decode(data)
        except CorruptError:
            continue
        readable += 1
        assert encodes(value), (seed, number, data)

    assert set(sys.modules) == loaded
    assert 0 < readable < INPUTS


def encodes(value: object) -> bool:
    """Return whether the decoded value is plain data at all levels."""
    try:
        codec.encode(value)
    except UnencodableError as error:
        return "recursion limit" in str(error)
    return True


@given(st.binary())
def test_any_bytes_are_plain_data_or_corrupt(data: bytes) -> None:
    for head in (b"", b"\x92\x01", b"\x92\x02"):
        with suppress(CorruptError):
            codec.decode(head + data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.decimals()
        | st.datetimes(timezones=st.timezones() | st.none()) | st.uuids() | st.fractions() | st.timedeltas(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_value_is_decoded_unchanged(value: object) -> None:
    assert reading(codec.decode(codec.encode(value)), ordered=True) == reading(value, ordered=True)
