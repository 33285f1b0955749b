"""Key functions: their context, and how components are composed to a key."""

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import zoneinfo

import pytest

from async_cache import (
    AsyncCache,
    AsyncCacheError,
    compose_key_functions,
    default_key,
    extract_key_component,
    key_component,
)
from async_cache.keys import context_of, validate_key


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    ONE = 1


class Point(typing.NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Spot:
    x: int
    y: object = None


class Plain:
    pass


async def work(*args: object) -> object:
    return args


async def other(*args: object) -> object:
    return args


def context(*args: object, **kwargs: object) -> dict[str, object]:
    return context_of("get_user_data", args, kwargs, None, {"version": "v2", "timestamp": "2023-04-01"})


def test_the_context_has_the_documented_keys() -> None:
    args, kwargs, metadata = (1,), {"a": 2}, {"m": 3}

    made = context_of("f", args, kwargs, "id", metadata)

    assert made == {
        "func_name": "f", "fn_name": "f", "args": (1,), "kwargs": {"a": 2}, "entry_id": "id", "metadata": {"m": 3}
    }  # fmt: skip
    assert context_of("f", (), {}, None, None)["metadata"] == {}


def test_a_key_function_cannot_change_the_call() -> None:
    kwargs, metadata = {"a": 2}, {"m": 3}
    made = context_of("f", (), kwargs, None, metadata)

    made["kwargs"].clear()
    made["metadata"].clear()

    assert (kwargs, metadata) == ({"a": 2}, {"m": 3})


def test_extracted_components_make_the_documented_key() -> None:
    key = compose_key_functions(
        extract_key_component("func_name"),
        extract_key_component("kwargs.user_id"),
        extract_key_component("metadata.version"),
    )

    assert key(context(user_id=123)) == "get_user_data:123:v2"


def test_named_components_make_the_documented_key() -> None:
    @key_component("user")
    def user_component(context: dict[str, typing.Any]) -> str:
        return str(context["kwargs"].get("user_id", "anonymous"))

    @key_component("region")
    def region_component(context: dict[str, typing.Any]) -> str:
        return context["kwargs"].get("region", "global")

    @key_component()
    def timestamp(context: dict[str, typing.Any]) -> str:
        return context["metadata"].get("timestamp", "0")

    key = compose_key_functions(user_component, region_component, timestamp)

    assert key(context(user_id=123, region="eu-west")) == "user:123:region:eu-west:timestamp:2023-04-01"
    assert key(context()) == "user:anonymous:region:global:timestamp:2023-04-01"
    assert user_component(context(user_id=123)) == "123"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("func_name", "get_user_data"),
        ("fn_name", "get_user_data"),
        ("args.0", "first"),
        ("args.-1", "a:b"),
        ("args.1.inner.0.x", "7"),
        ("args.1.5", "five"),
        ("args.2.y", "8"),
        ("args.2.0", "9"),
        ("kwargs.name", "n"),
        ("metadata.version", "v2"),
        ("args.3", "a:b"),
        ("kwargs.missing", "%missing"),
        ("args.9", "%missing"),
        ("args.0.attribute", "%missing"),
        ("args.1.inner.0.z.y", "%missing"),
        ("nothing.at.all", "%missing"),
    ],
)
def test_extracting_follows_keys_attributes_and_indices(path: str, expected: str) -> None:
    made = context("first", {"inner": [Spot(7)], 5: "five"}, Point(9, 8), "a:b", name="n")

    assert extract_key_component(path)(made) == expected


def test_a_missing_path_never_reads_like_a_value() -> None:
    extract = extract_key_component("kwargs.x")
    for composed in (extract, compose_key_functions(extract)):
        values = [None, "None", "", "missing", "%missing", "%25missing", False, 0, [], (), {}, "%=", "%", "null"]
        keys = [composed(context(x=value)) for value in values] + [composed(context())]

        assert len(set(keys)) == len(keys)


def test_parts_of_values_that_are_not_text_differ_from_all_texts() -> None:
    extract = extract_key_component("args.0")
    values = [True, "True", 1.0, "1.0", None, "None", (1,), "(1,)", [1], {1}, dt.date.min, str(dt.date.min), Color.RED]
    values += ["%bool=True", decimal.Decimal("1.0"), "%25bool=True", Spot(1), b"1", "1"]
    keys = [extract(context(value)) for value in values]

    assert len(set(keys)) == len(keys)
    assert extract(context(Level.ONE)) != extract(context(1))


def test_keys_of_datetimes_depend_on_zone_and_fold() -> None:
    moment = dt.datetime(2020, 10, 25, 2, 30)  # noqa: DTZ001
    zones = [dt.timezone(dt.timedelta(hours=2)), zoneinfo.ZoneInfo("Europe/Oslo"), zoneinfo.ZoneInfo("Europe/Berlin")]
    values = [moment, moment.replace(fold=1), str(moment), *(moment.replace(tzinfo=zone) for zone in zones)]
    extract = extract_key_component("args.0")

    assert len({extract(context(value)) for value in values}) == len(values)


def test_parts_cannot_run_into_each_other() -> None:
    two = compose_key_functions(extract_key_component("args.0"), extract_key_component("args.1"))
    pairs = [("a", "b:c"), ("a:b", "c"), ("a", "b%3Ac"), ("a%3Ab", "c"), ("a%", "3Ab:c"), ("", "a:b:c"), ("a:b:c", "")]

    assert len({two(context(*pair)) for pair in pairs}) == len(pairs)
    assert two(context("a", "b")) == "a:b"


def test_composed_functions_can_be_composed() -> None:
    first, second, third = (extract_key_component(f"args.{index}") for index in range(3))

    nested = compose_key_functions(compose_key_functions(first, second), third)
    tagged = compose_key_functions(key_component("pair")(compose_key_functions(first, second)), third)

    assert nested(context("a", "b:", "c")) == "a:b%3A:c"
    assert tagged(context("a", "b", "c")) == "pair:a:b:c"


def test_plain_functions_can_be_composed() -> None:
    assert compose_key_functions(lambda context: "x:y", lambda context: 1)(context()) == "x%3Ay:1"


def test_an_error_of_a_component_is_raised_by_the_composed_function() -> None:
    composed = compose_key_functions(lambda context: context["kwargs"]["absent"])

    with pytest.raises(KeyError):
        composed(context())
    with pytest.raises(AsyncCacheError):
        extract_key_component("args.0")(context(Plain()))


def test_misuse_raises_an_error_at_once() -> None:
    for mistake, error in (
        (compose_key_functions, ValueError),
        (lambda: compose_key_functions("func_name"), TypeError),
        (lambda: extract_key_component(""), ValueError),
        (lambda: extract_key_component("a..b"), ValueError),
        (lambda: extract_key_component(1), TypeError),
        (lambda: key_component(work), TypeError),
        (lambda: key_component("x")("y"), TypeError),
    ):
        with pytest.raises(error):
            mistake()


def test_a_named_component_keeps_the_docstring_of_its_function() -> None:
    @key_component("x")
    def documented(context: dict[str, object]) -> str:
        """What it is."""
        return "x"

    assert documented.__doc__ == "What it is."


def test_the_default_key_component_represents_the_whole_call() -> None:
    cache = AsyncCache()
    tenant = compose_key_functions(extract_key_component("metadata.tenant"), default_key)

    def key(func: object, *args: object, key_fn: object = tenant, **metadata: object) -> str | None:
        return cache.key_for(func, args, key_fn=key_fn, metadata=metadata)

    assert key(work, 1, key_fn=default_key) == cache.key_for(work, (1,))
    keys = {key(work, 1, tenant="a"), key(work, 1, tenant="b"), key(work, "1", tenant="a"), key(other, 1, tenant="a")}
    assert len(keys) == 4
    assert key(work, 1, tenant="a") in keys
    assert key(work, 1, key_fn=compose_key_functions(default_key)) != cache.key_for(work, (1,))
    assert validate_key(key(work, 1, tenant="a"))


def test_no_text_has_the_part_of_a_default_key() -> None:
    cache = AsyncCache()
    alone = str(cache.key_for(work, (1,), key_fn=compose_key_functions(default_key)))

    assert extract_key_component("args.0")(context(alone)) != alone
    assert compose_key_functions(extract_key_component("args.0"))(context(alone)) != alone


def test_a_call_without_a_default_key_has_no_key_composed_with_it() -> None:
    cache = AsyncCache()
    tenant = compose_key_functions(extract_key_component("metadata.tenant"), default_key)

    assert cache.key_for(work, (Plain(),), key_fn=tenant) is None
    assert cache.key_for(work, (1,), key_fn=lambda given: tenant({**given})) is None
    with pytest.raises(TypeError, match="not a copy"):
        tenant({**context(1)})
