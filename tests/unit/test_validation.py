"""What comes from outside: each check returns a plain value or raises TypeError or ValueError, whatever it is given."""

from __future__ import annotations

import math
from collections import OrderedDict, UserDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_task_worker import TaskStatus
from async_task_worker.model.validation import (
    checked_cache_options,
    checked_count,
    checked_metadata,
    checked_optional_count,
    checked_optional_seconds,
    checked_priority,
    checked_progress,
    checked_seconds,
    checked_statuses,
    checked_switch,
    checked_task_id,
    copied,
)

HUGE = 10**400
NOT_A_NUMBER = [
    "1",
    b"1",
    None,
    [],
    (1,),
    {},
    1j,
    Decimal(1),
    Fraction(1),
    datetime(2025, 1, 1, tzinfo=UTC),
    ...,
    True,
    False,
]


class Level(IntEnum):
    LOW = 10


class Odd(float):
    """A number that lies about itself."""

    def __repr__(self) -> str:
        return "odd"


def refused(error: type[Exception], check: Callable[..., object], *args: object, **options: Any) -> None:
    with pytest.raises(error) as caught:
        check(*args, **options)
    assert type(caught.value) is error
    assert str(caught.value)


class TestPriority:
    @pytest.mark.parametrize("priority", [0, -1, 2**63 - 1, -(2**63), Level.LOW])
    def test_an_int_of_up_to_64_bits_is_one(self, priority: int) -> None:
        assert checked_priority(priority) == priority
        assert type(checked_priority(priority)) is int

    @pytest.mark.parametrize("priority", [2**63, -(2**63) - 1, HUGE])
    def test_a_larger_one_is_not(self, priority: int) -> None:
        refused(ValueError, checked_priority, priority)

    @pytest.mark.parametrize("priority", [*NOT_A_NUMBER, 1.0, math.nan, math.inf], ids=repr)
    def test_anything_else_is_not(self, priority: object) -> None:
        refused(TypeError, checked_priority, priority)


class TestSeconds:
    @pytest.mark.parametrize("seconds", [1, 0.001, 5e-324, 1.7e308, 10**308, Odd(2), Level.LOW])
    def test_a_finite_number_above_zero_is_some(self, seconds: float) -> None:
        assert checked_seconds("timeout", seconds) == float(seconds)
        assert type(checked_seconds("timeout", seconds)) is float

    @pytest.mark.parametrize("seconds", [-1, -0.001, -math.inf, math.inf, math.nan, HUGE, -HUGE])
    @pytest.mark.parametrize("zero", [False, True])
    def test_negative_endless_and_undefined_ones_are_not(self, seconds: float, zero: bool) -> None:
        refused(ValueError, checked_seconds, "timeout", seconds, zero=zero)

    @pytest.mark.parametrize("seconds", [0, 0.0, -0.0])
    def test_zero_only_where_it_makes_sense(self, seconds: float) -> None:
        refused(ValueError, checked_seconds, "timeout", seconds)
        assert checked_seconds("timeout", seconds, zero=True) == 0

    @pytest.mark.parametrize("seconds", [*NOT_A_NUMBER, timedelta(seconds=1)], ids=repr)
    def test_anything_else_is_not(self, seconds: object) -> None:
        refused(TypeError, checked_seconds, "timeout", seconds)

    def test_the_message_names_the_argument_and_the_value(self) -> None:
        with pytest.raises(ValueError, match=r"task_timeout .* zero .*-3"):
            checked_seconds("task_timeout", -3, zero=True)

    def test_optional_ones_may_be_none_or_a_timedelta(self) -> None:
        assert checked_optional_seconds("retention", None) is None
        assert checked_optional_seconds("retention", timedelta(minutes=2)) == 120
        assert checked_optional_seconds("retention", timedelta(0), zero=True) == 0
        refused(ValueError, checked_optional_seconds, "retention", timedelta(0))
        refused(ValueError, checked_optional_seconds, "retention", timedelta(-1))


class TestCounts:
    def test_an_int_of_at_least_the_least(self) -> None:
        assert checked_count("limit", Level.LOW) == 10
        assert type(checked_count("limit", Level.LOW)) is int
        assert checked_count("limit", 0, least=0) == 0
        assert checked_optional_count("limit", None) is None
        assert checked_optional_count("limit", 1) == 1

    @pytest.mark.parametrize(("count", "least"), [(0, 1), (-1, 0), (-HUGE, 0)])
    def test_a_smaller_one_is_refused(self, count: int, least: int) -> None:
        refused(ValueError, checked_count, "limit", count, least=least)

    @pytest.mark.parametrize("count", [*NOT_A_NUMBER, 1.0, math.nan], ids=repr)
    def test_anything_else_is_refused(self, count: object) -> None:
        refused(TypeError, checked_count, "limit", count)


class TestTaskId:
    @pytest.mark.parametrize("task_id", ["a", " ", "\n", "ü" * 1000, "types"])
    def test_any_text_is_one(self, task_id: str) -> None:
        assert checked_task_id(task_id) == task_id

    def test_an_empty_one_is_not(self) -> None:
        refused(ValueError, checked_task_id, "")

    @pytest.mark.parametrize("task_id", [None, 5, b"a", ["a"], True])
    def test_anything_else_is_not(self, task_id: object) -> None:
        refused(TypeError, checked_task_id, task_id)


class TestStatuses:
    @pytest.mark.parametrize("status", ["failed", TaskStatus.FAILED, ["failed"], {TaskStatus.FAILED}], ids=repr)
    def test_one_or_several_as_members_or_text(self, status: object) -> None:
        assert checked_statuses(status) == {TaskStatus.FAILED}

    def test_none_of_them_is_a_choice_too(self) -> None:
        assert checked_statuses(iter(("failed", "pending"))) == {"failed", "pending"}
        assert checked_statuses([]) == frozenset()
        assert checked_statuses(TaskStatus) == set(TaskStatus)

    @pytest.mark.parametrize("status", ["", "FAILED", "done", ["failed", "done"], 5, [None], [["failed"]], b"failed"])
    def test_another_word_is_refused_and_the_right_ones_are_named(self, status: object) -> None:
        with pytest.raises(ValueError, match="pending, running, completed, failed, cancelled"):
            checked_statuses(status)


class TestSwitch:
    def test_only_true_and_false_are_switches(self) -> None:
        assert checked_switch("cache_enabled", value=True) is True
        assert checked_switch("cache_enabled", value=False) is False
        for value in (0, 1, "no", None, []):
            refused(TypeError, checked_switch, "cache_enabled", value)


class TestMetadata:
    @pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType])
    def test_any_mapping_becomes_a_plain_dict(self, kind: Any) -> None:
        made = checked_metadata(kind({"a": 1}))
        assert made == {"a": 1}
        assert type(made) is dict

    def test_its_containers_are_copied_all_the_way_down_and_its_leaves_shared(self) -> None:
        leaf = object()
        given = {"dict": {"list": [1, {2}, (leaf, [3])]}}
        made = checked_metadata(given)
        given["dict"]["list"][1].add(9)  # type: ignore[attr-defined]
        given["dict"]["list"][2][1].append(9)  # type: ignore[index]
        given["dict"]["list"].append(9)
        given["other"] = {}
        assert made == {"dict": {"list": [1, {2}, (leaf, [3])]}}
        assert made["dict"]["list"][2][0] is leaf

    @pytest.mark.parametrize("metadata", [None, [], [("a", 1)], "a", 5, {1}], ids=repr)
    def test_anything_else_is_refused(self, metadata: object) -> None:
        refused(TypeError, checked_metadata, metadata)

    def test_one_that_contains_itself_is_refused(self) -> None:
        endless: dict[str, object] = {}
        endless["self"] = [endless]
        refused(ValueError, checked_metadata, endless)

    def test_a_subclass_of_a_container_is_copied_as_the_plain_one(self) -> None:
        """Shared, it could be changed from outside; its own class may not take what the plain one takes."""
        ordered = OrderedDict(a=[1])
        (copy,) = copied([ordered])
        ordered["a"].append(2)
        assert (type(copy), copy) == (dict, {"a": [1]})


class TestCacheOptions:
    @pytest.mark.parametrize("ttl", [None, 0, 1, -1, 2.5, math.inf])
    def test_they_are_kept_as_given(self, ttl: float | None) -> None:
        options = checked_cache_options(True, ttl, len)
        assert (options.use, options.ttl, options.key_fn) == (True, ttl, len)

    def test_left_out_they_follow_the_worker(self) -> None:
        options = checked_cache_options(None, None, None)
        assert (options.use, options.ttl, options.key_fn) == (None, None, None)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ((1, None, None), TypeError),
            (("yes", None, None), TypeError),
            ((None, "60", None), TypeError),
            ((None, True, None), TypeError),
            ((None, math.nan, None), ValueError),
            ((None, None, "key"), TypeError),
        ],
    )
    def test_bad_ones_are_refused(self, options: tuple[Any, ...], error: type[Exception]) -> None:
        refused(error, checked_cache_options, *options)


ANYTHING = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary()),
        *(st.decimals(), st.fractions(), st.timedeltas(), st.datetimes(), st.sampled_from(TaskStatus)),
        *(st.sampled_from([HUGE, -HUGE, 2**63, object, len, Level.LOW, NotImplemented, ...]), st.builds(object)),
        st.builds(Odd, st.floats()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(st.none(), st.text(), st.integers()), inner, max_size=3),
        st.builds(iter, st.lists(inner, max_size=3)),
    ),
    max_leaves=5,
)
CHECKS: list[tuple[Callable[[Any], Any], tuple[type, ...]]] = [
    (checked_priority, (int,)),
    (lambda value: checked_seconds("x", value), (float,)),
    (lambda value: checked_seconds("x", value, zero=True), (float,)),
    (lambda value: checked_optional_seconds("x", value), (float, type(None))),
    (lambda value: checked_count("x", value), (int,)),
    (lambda value: checked_optional_count("x", value, least=0), (int, type(None))),
    (lambda value: checked_switch("x", value), (bool,)),
    (checked_task_id, (str,)),
    (checked_metadata, (dict,)),
    (checked_statuses, (frozenset,)),
    (lambda value: checked_cache_options(value, None, None).use, (bool, type(None))),
    (lambda value: checked_cache_options(None, value, None).ttl, (int, float, type(None))),
    (lambda value: checked_cache_options(None, None, value).key_fn, (object,)),
]


@pytest.mark.parametrize(("check", "kinds"), CHECKS)
@settings(max_examples=100, deadline=None)
@given(value=ANYTHING)
def test_whatever_is_given_it_is_taken_or_refused_in_words(
    check: Callable[[Any], Any], kinds: tuple[type, ...], value: object
) -> None:
    try:
        taken = check(value)
    except (TypeError, ValueError) as error:
        assert str(error)  # noqa: PT017 - either outcome is fine
    else:
        assert isinstance(taken, kinds)
        assert taken == taken  # no NaN gets through  # noqa: PLR0124


@pytest.mark.parametrize("huge", [10**400, -(10**400)], ids=["above zero", "below zero"])
def test_a_number_no_float_can_hold_is_a_ttl_all_the_same(huge: int) -> None:
    assert checked_cache_options(None, huge, None).ttl == huge


def test_progress_no_float_can_hold_is_moved_to_the_nearest_end() -> None:
    assert [checked_progress(10**400), checked_progress(-(10**400))] == [1.0, 0.0]
