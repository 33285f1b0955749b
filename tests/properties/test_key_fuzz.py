"""Random pairs of almost equal calls: they share a key exactly if they are equal."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cache import compose_key_functions, extract_key_component, key_component
from async_cache.keys import context_of, default_key
from tests.properties.run_length import long_or_short
from tests.properties.typed_values import WORDS, anything, near_miss, reading

PAIRS = long_or_short(300_000, 3_000)


async def work(*args: object, **kwargs: object) -> object:
    return args, kwargs


def random_call(rnd: random.Random) -> tuple[list[object], dict[str, object]]:
    args = [anything(rnd, 2) for _ in range(rnd.choice([0, 1, 1, 2]))]
    return args, {rnd.choice("abc"): anything(rnd, 2) for _ in range(rnd.choice([0, 0, 1, 2]))}


def near_miss_of_call(
    rnd: random.Random, args: list[object], kwargs: dict[str, object]
) -> tuple[list[object], dict[str, object]]:
    args, kwargs = list(args), dict(kwargs)
    if args and rnd.random() < 0.6:
        index = rnd.randrange(len(args))
        args[index] = near_miss(rnd, args[index])
    elif kwargs and rnd.random() < 0.6:
        name = rnd.choice(list(kwargs))
        kwargs[name] = near_miss(rnd, kwargs[name])
    elif args and rnd.random() < 0.5:
        kwargs[rnd.choice("abc")] = args.pop()
    else:
        kwargs = dict(reversed(kwargs.items()))
    return args, kwargs


@pytest.mark.timeout(900)
def test_calls_share_a_key_exactly_if_they_are_equal() -> None:
    seed = random.randrange(2**32)
    rnd = random.Random(seed)
    meanings: dict[str, int] = {}
    for number in range(PAIRS):
        one = random_call(rnd)
        two = near_miss_of_call(rnd, *one)
        keys = [default_key(work, tuple(args), kwargs) for args, kwargs in (one, two)]
        readings = [hash(reading(call)) for call in (one, two)]

        assert (keys[0] == keys[1]) == (readings[0] == readings[1]), (seed, number, one, two)
        for key, meaning in zip(keys, readings, strict=True):
            assert meanings.setdefault(key, meaning) == meaning, (seed, number, one, two)

    assert len(meanings) > PAIRS / 2


@pytest.mark.timeout(900)
def test_composed_keys_are_equal_exactly_if_all_parts_are() -> None:
    seed = random.randrange(2**32)
    rnd = random.Random(seed)
    key_fn = compose_key_functions(
        extract_key_component("args.0"),
        key_component("second")(lambda context: context["args"][1]),
        extract_key_component("kwargs.x"),
    )
    meanings: dict[str, tuple[object, ...]] = {}
    for number in range(PAIRS):
        parts = [rnd.choice(WORDS) + rnd.choice([":", "%", "", "3A", "%3A", "missing"]) for _ in range(3)]
        values = [part if rnd.random() < 0.9 else rnd.choice([None, True, 1.5, (1,), b"x"]) for part in parts]
        kwargs = {"x": values[2]} if rnd.random() < 0.8 else {}
        meaning = reading((values[:2], kwargs))

        key = key_fn(context_of("f", tuple(values[:2]), kwargs, None, None))

        assert meanings.setdefault(key, meaning) == meaning, (seed, number, values)


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_different_texts_have_different_composed_keys(one: list[str], two: list[str]) -> None:
    key_fn = compose_key_functions(extract_key_component("args.0"), extract_key_component("args.1"))
    keys = [key_fn(context_of("f", tuple(parts), {}, None, None)) for parts in (one, two)]

    assert (keys[0] == keys[1]) == (one == two)
