"""Copying a value without decoding it: copies are equal, of the same types, and new objects."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cache import MemoryCacheAdapter
from async_cache.adapters import memory
from async_cache.copying import MAX_DEPTH, copier_of

CONSTANTS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=5)
)
SHARED = st.one_of(CONSTANTS, st.tuples(CONSTANTS, CONSTANTS), st.frozensets(CONSTANTS, max_size=3))
VALUES = st.recursive(
    SHARED | st.sets(CONSTANTS, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CONSTANTS, inner, max_size=4),
    max_leaves=12,
)
RECORD = {"name": "Ada Lovelace", "tags": ["poet", "engine"], "address": {"city": "London", "lines": [["1"], []]}}


class Colour(enum.Enum):
    RED = 1


class Anywhere(tzinfo):
    """A mutable time zone."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)


def parts_that_can_change(value: Any) -> Iterator[object]:
    if isinstance(value, (dict, list, set)):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts_that_can_change(item)


@given(st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_copies_are_equal_and_share_no_mutable_part(value: Any) -> None:
    text = repr(value)
    copier = copier_of(value)
    assert copier is not None
    first, second = copier(), copier()
    assert repr(first) == repr(second) == text  # 1, True and 1.0 are equal, but their repr differs
    parts = [id(part) for copy in (value, first, second) for part in parts_that_can_change(copy)]
    assert len(parts) == len(set(parts))


def test_modifying_a_copy_affects_no_other_copy() -> None:
    copier = copier_of(RECORD)
    assert copier is not None
    spoilt = copier()
    spoilt["tags"].append("liar")
    spoilt["address"]["lines"][0].clear()
    del spoilt["name"]
    assert copier() == RECORD
    assert list(copier()) == list(RECORD)


@pytest.mark.parametrize(
    "part",
    [Decimal("19.99"), UUID(int=7), date(2026, 6, 1), datetime(2026, 5, 17, tzinfo=UTC), (1, (2, "3"))],
    ids=repr,
)
def test_immutable_parts_are_shared(part: object) -> None:
    copier = copier_of({"part": part})
    assert copier is not None
    assert copier()["part"] is part


@pytest.mark.parametrize(
    "part",
    [
        Colour.RED,
        Colour,
        object(),
        bytearray(b"x"),
        deque([1]),
        OrderedDict(),
        ([],),
        datetime(2026, 1, 1, tzinfo=Anywhere()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_values_that_only_decoding_can_copy_have_no_copier(part: object) -> None:
    """A class may be replaced before the next hit, and these values are mutable."""
    assert copier_of({"part": part}) is None
    assert copier_of([[part]]) is None


def test_a_deep_value_has_no_copier() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert copier_of(value) is not None
    assert copier_of([value]) is None


def test_every_hit_is_a_new_object_whether_decoded_or_copied() -> None:
    cache = MemoryCacheAdapter()
    cache.set_nowait("key", RECORD)
    for _ in range(4):
        _, value = cache.get_nowait("key")
        assert value == RECORD
        value["tags"].append("liar")
        value["address"]["lines"].clear()


def are_copied(cache: MemoryCacheAdapter, key: str) -> bool:
    """Return whether hits share their strings, which decoding creates anew."""
    texts: list[str] = [cache.get_nowait(key)[1]["name"] for _ in range(2)]
    return texts[0] is texts[1]


def test_the_copy_budget_limits_which_values_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCacheAdapter()
    size = cache.snapshot(RECORD).size
    monkeypatch.setattr(memory, "MAX_COPIED_BYTES", 2 * size)
    cache = MemoryCacheAdapter()
    for key in "abc":
        cache.set_nowait(key, RECORD)
    assert [are_copied(cache, key) for key in "abc"] == [True, True, False]
    cache.delete_nowait("a")
    cache.set_nowait("b", RECORD)  # a replaced entry counts as not read
    cache.set_nowait("d", RECORD)
    assert [are_copied(cache, key) for key in "db"] == [True, True]
    assert cache.bytes == 3 * size


async def test_clearing_restores_the_copy_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_COPIED_BYTES", MemoryCacheAdapter().snapshot(RECORD).size)
    cache = MemoryCacheAdapter()
    for key in "ab":
        cache.set_nowait(key, RECORD)
        assert are_copied(cache, key)
        await cache.clear()
    assert cache.bytes == 0


def test_with_max_bytes_values_stay_encoded() -> None:
    cache = MemoryCacheAdapter(max_bytes=10_000)
    cache.set_nowait("key", RECORD)
    assert not are_copied(cache, "key")
