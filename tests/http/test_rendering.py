"""Any value can be rendered: JSON values as they are, others as text or as a placeholder."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from async_task_worker.model.rendering import rendered, rfc3339
from async_task_worker.web.problems import Problem
from async_task_worker.web.rendering.json_text import encode_json
from async_task_worker.web.rendering.strict_json import parse_json
from tests.properties.run_length import long_or_short

EXAMPLES = long_or_short(10_000, 200)
NESTED = long_or_short(2_000, 200)
PLENTY = 100_000

Point = namedtuple("Point", "x y")  # noqa: PYI024 - the test is about the untyped one


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Name(StrEnum):
    ADA = "ada"


@dataclass
class Record:
    when: date
    parts: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Unset:
    """A class whose field is deleted, so that reading it raises."""

    value: int = 0


class Model(BaseModel):
    number: int
    inner: Record


class Shouting(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")


class Mine(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise RuntimeError("no")


class Nasty:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


NOON = datetime(2026, 1, 5, 12, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (2**70, 2**70),
        (1.5, 1.5),
        ("ä", "ä"),
        ((1, (2,)), [1, [2]]),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        (NOON, "2026-01-05T12:00:00+01:00"),
        (date(2026, 1, 5), "2026-01-05"),
        (time(12, 30), "12:30:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Name.ADA, "ada"),
        (Point(1, [2]), {"x": 1, "y": [2]}),
        (Record(date(2026, 1, 5), [1]), {"when": "2026-01-05", "parts": [1]}),
        (Model(number=1, inner=Record(date(2026, 1, 5))), {"number": 1, "inner": {"when": "2026-01-05", "parts": []}}),
        (OrderedDict(a=1), {"a": 1}),
        (Shouting("loud"), "loud"),
        (Mine([1, 2]), [1, 2]),
    ],
    ids=repr,
)
def test_a_value_with_a_json_form_is_rendered(value: object, shown: object) -> None:
    assert rendered(value, PLENTY) == shown
    assert json.loads(encode_json(rendered(value, PLENTY))) == shown


def unset() -> Unset:
    value = Unset()
    del value.value
    return value


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (b"abc", "bytes", "3 bytes"),
        (float("inf"), "float", "inf"),
        (10**400, "int", "1329 bits"),
        ({1, 2}, "set", None),
        ({(1, 2): 3}, "dict", "keys that are not text"),
        (1j, "complex", None),
        (int, "type", None),
        (unset(), f"{__name__}.Unset", None),
        ("x" * PLENTY, "str", f"too large to be shown: over {PLENTY} bytes"),
        ([0] * PLENTY, "list", f"too large to be shown: over {PLENTY} bytes"),
    ],
    ids=lambda value: (str(value) if isinstance(value, str) else type(value).__name__)[:30],
)
def test_a_value_without_a_json_form_is_a_placeholder(value: object, name: str, text: str | None) -> None:
    assert rendered(value, PLENTY) == ({"$type": name} if text is None else {"$type": name, "$text": text})


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {"\ud800": 1}, {None: 1}], ids=["same", "surrogate", "null"])
def test_a_dict_with_keys_that_are_not_text_is_a_placeholder(value: object) -> None:
    assert rendered(value, PLENTY) == {"$type": "dict", "$text": "keys that are not text"}


def test_a_lone_surrogate_is_escaped() -> None:
    assert rendered(["\ud800"], PLENTY) == [{"$type": "str", "$text": "\\ud800"}]


def test_an_object_with_a_false_class_is_a_placeholder() -> None:
    assert rendered([Nasty()], PLENTY) == [{"$type": f"{__name__}.Nasty"}]


class Sealed(type):
    """A metaclass whose classes raise for every attribute."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError("no")


class Unhashable(type):
    """A metaclass with ``__eq__``, whose classes are therefore unhashable."""

    def __eq__(cls, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def test_a_value_whose_class_is_unhashable_makes_the_whole_a_placeholder() -> None:
    assert rendered([Unhashable("Odd", (), {})()], PLENTY) == {"$type": "list"}


class Exiting:
    @property
    def __class__(self) -> Any:
        raise SystemExit(3)


def test_a_class_whose_name_raises_has_a_placeholder_name() -> None:
    sealed = Sealed("Closed", (), {"__module__": 5})()
    assert rendered([sealed], PLENTY) == [{"$type": "?.Closed"}]


def test_an_object_cannot_end_the_process_when_it_is_rendered() -> None:
    assert rendered([Exiting()], PLENTY) == [{"$type": f"{__name__}.Exiting"}]


@pytest.mark.parametrize("item", [int, b"", float("nan"), 10**400], ids=["class", "bytes", "nan", "integer"])
def test_many_placeholders_are_too_large_as_well(item: object) -> None:
    assert rendered([item] * 5000, PLENTY)["$type"] == "list"


def test_a_shared_value_is_not_a_cycle() -> None:
    shared = [1]
    assert rendered([shared, shared], PLENTY) == [[1], [1]]


def test_datetimes_are_rendered_in_utc() -> None:
    assert rfc3339(NOON) == "2026-01-05T11:00:00Z"
    assert rfc3339(datetime(2026, 1, 5, tzinfo=UTC)) == "2026-01-05T00:00:00Z"
    assert rfc3339(None) is None


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.complex_numbers()
    | st.datetimes()
    | st.decimals()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
    ),
)


@settings(max_examples=NESTED, deadline=None)
@given(VALUES, st.integers(0, 500))
def test_every_value_becomes_strict_json_of_about_the_allowed_size(value: object, limit: int) -> None:
    written = encode_json(rendered(value, limit))
    json.loads(written, parse_constant=pytest.fail)
    assert len(written) <= 8 * limit + 300


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary() | st.text(st.characters(exclude_categories=())).map(lambda text: text.encode("utf-8", "replace")))
def test_parsing_json_returns_a_value_or_raises_a_problem(data: bytes) -> None:
    try:
        value = parse_json(data, 64)
    except Problem:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value
