"""Equivalent calls have the same default key, all others have different ones."""

from __future__ import annotations

import dataclasses
import enum
import functools
import gc
import itertools
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest

from async_cache import AsyncCache
from async_cache.exceptions import UncacheableError
from async_cache.keys import DEFAULT_PREFIX, default_key, default_keys

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
progress_key = default_keys(frozenset({"progress_callback"})).key


class Client:
    """Has no canonical form."""


class Unit(enum.Enum):
    METRE = 1


CLIENT, MISSING = Client(), object()


async def report(month: str, currency: str = "EUR") -> None: ...


async def chart(month: str, *, width: int = 80, color: str | None = None) -> None: ...


async def lookup(name: str, /, scale: float = 1.0, *rest: int, **more: int) -> None: ...


async def fetch(url: str, client: Client = CLIENT, retries: object = MISSING) -> None: ...


async def collect(item: int, into: list[int] = [], unit: Unit = Unit.METRE) -> None: ...  # noqa: B006 - the point


async def count(number: int, progress_callback: Any = None, scale: int = 1) -> None: ...


async def watch(number: int, *, progress_callback: Any) -> None: ...


def injecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate like functools.wraps: the wrapper accepts any arguments."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function("injected", *args, **kwargs)

    return wrapper


@injecting
async def query(connection: str, table: str, limit: int = 10) -> None: ...


async def misleading(*args: Any, **kwargs: Any) -> None: ...


misleading.__signature__ = None  # type: ignore[attr-defined]
misleading.__wrapped__ = report  # type: ignore[attr-defined]


@dataclasses.dataclass(frozen=True)
class Service:
    url: str

    async def load(self, page: int, size: int = 20) -> None: ...

    async def __call__(self, page: int = 1) -> None: ...

    @classmethod
    async def build(cls, name: str, tags: tuple[str, ...] = ()) -> None: ...

    @staticmethod
    async def check(name: str = "all") -> None: ...


def call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    return func, args, kwargs


service = Service("a")
in_may = functools.partial(report, "May")
in_dollars = functools.partial(report, currency="USD")

SAME: dict[str, list[list[Call]]] = {
    "by position, by name, default given": [
        [call(report, "May"), call(report, month="May"), call(report, "May", "EUR"),
         call(report, "May", currency="EUR"), call(report, currency="EUR", month="May")],
        [call(report, "May", "USD"), call(report, "May", currency="USD")],
        [call(report, "EUR"), call(report, currency="EUR", month="EUR")],
    ],
    "keyword-only": [
        [call(chart, "May"), call(chart, "May", width=80), call(chart, color=None, month="May", width=80)],
        [call(chart, "May", width=81), call(chart, "May", color=None, width=81)],
        [call(chart, "May", width=True)],
        [call(chart, "May", color="80")],
    ],
    "positional-only and the rest": [
        [call(lookup, "a"), call(lookup, "a", 1.0), call(lookup, "a", scale=1.0)],
        [call(lookup, "a", 1.0, name=1), call(lookup, "a", name=1)],
        [call(lookup, "a", 1.0, 2)],
        [call(lookup, "a", 1)],
        [call(lookup, "a", rest=2)],
        [call(lookup, "a", more=2)],
        [call(lookup, "a", 2.0), call(lookup, "a", scale=2.0)],
    ],
    "defaults without a form": [
        [call(fetch, "u"), call(fetch, "u", CLIENT), call(fetch, "u", client=CLIENT, retries=MISSING)],
        [call(fetch, "u", retries=3), call(fetch, "u", CLIENT, 3)],
        [call(fetch, "v"), call(fetch, url="v")],
    ],
    "large arguments": [
        [call(report, {"a": [1]}), call(report, month={"a": [1]}), call(report, {"a": [1]}, "EUR")],
        [call(report, {"a": [2]}), call(report, {"a": [2]}, currency="EUR")],
    ],
    "a default that can change": [
        [call(collect, 1), call(collect, 1, []), call(collect, item=1, unit=Unit.METRE)],
        [call(collect, 1, [1])],
    ],
    "methods": [
        [call(service.load, 1), call(service.load, page=1), call(Service("a").load, 1, size=20)],
        [call(Service("b").load, 1), call(Service("b").load, 1, 20)],
        [call(service.load, 2)],
        [call(Service.load, service, 1), call(Service.load, self=service, page=1, size=20)],
    ],
    "class and static methods": [
        [call(Service.build, "x"), call(Service.build, name="x", tags=())],
        [call(Service.check), call(Service.check, "all"), call(service.check, name="all")],
    ],
    "instances that can be called": [
        [call(service), call(service, 1), call(Service("a"), page=1)],
        [call(Service("b"))],
    ],
    "partials": [
        [call(in_may), call(in_may, "EUR"), call(in_may, currency="EUR")],
        [call(in_may, "USD"), call(in_may, currency="USD")],
        [call(in_dollars, "May"), call(in_dollars, month="May"), call(in_dollars, "May", currency="USD")],
        [call(in_dollars, "May", currency="EUR")],
        [call(functools.partial(in_dollars, "May")), call(functools.partial(report, "May", currency="USD"))],
        [call(functools.partial(service.load, size=5), 1), call(functools.partial(service.load, size=5), page=1)],
    ],
    "decorated: what is called takes anything": [
        [call(query, "t")],
        [call(query, table="t")],
        [call(query, "t", 10)],
        [call(query, "t", limit=10)],
    ],
    "what a function says of itself": [
        [call(misleading, "May")],
        [call(misleading, month="May")],
        [call(misleading, "May", "EUR")],
    ],
    "calls that would fail": [
        [call(report)],
        [call(report, "May", "EUR", 3)],
        [call(report, "May", month="May")],
        [call(report, "May", "EUR", nothing=1)],
        [call(report, "May")],
    ],
}  # fmt: skip


@pytest.mark.parametrize("groups", SAME.values(), ids=SAME)
def test_calls_share_a_key_exactly_if_they_are_equivalent(groups: list[list[Call]]) -> None:
    for _ in range(2):  # the second time with cached layouts
        keys = [{default_key(*one) for one in group} for group in groups]

        assert [len(made) for made in keys] == [1] * len(groups)
        assert len(set.union(*keys)) == len(groups)


def test_the_progress_callback_is_not_part_of_a_key() -> None:
    assert len({progress_key(count, *rest) for rest in [
        ((1,), {}), ((1, print), {}), ((1,), {"progress_callback": Client(), "scale": 1}), ((1, None, 1), {}),
    ]}) == 1  # fmt: skip
    assert progress_key(count, (1, None, 2)) == progress_key(count, (1,), {"scale": 2}) != progress_key(count, (1, 2))
    assert progress_key(watch, (1,)) == progress_key(watch, (), {"number": 1, "progress_callback": print})
    assert progress_key(query, (1,)) == progress_key(query, (1,), {"progress_callback": print})
    assert progress_key(query, (1,)) != progress_key(query, (1,), {"another_callback": print})
    with pytest.raises(UncacheableError):
        default_key(count, (1, Client()))


def test_a_value_without_a_canonical_form_differs_from_the_default() -> None:
    for arguments in ((Client(), 1), (MISSING, 1), (CLIENT, object())):
        with pytest.raises(UncacheableError):
            default_key(fetch, ("u", *arguments))
    with pytest.raises(UncacheableError):
        default_key(fetch, (CLIENT,))


def test_a_mutable_default_is_read_each_time_a_key_is_made() -> None:
    basket: list[int] = []

    async def fill(item: int, into: list[int] = basket, times: int = 1) -> None: ...

    before = default_key(fill, (1,))
    basket.append(5)
    assert before != default_key(fill, (1,)) == default_key(fill, (1, [5]))
    basket.clear()
    assert default_key(fill, (1,)) == before
    fill.__defaults__ = ([], 2)
    assert before != default_key(fill, (1,)) == default_key(fill, (1, [], 2))


def test_a_key_changes_when_the_defaults_are_replaced() -> None:
    async def plain(one: int, two: int = 2, *, three: int = 3) -> None: ...

    before = default_key(plain, (1,))
    plain.__defaults__ = (5,)
    assert before != default_key(plain, (1,)) == default_key(plain, (1, 5))
    plain.__defaults__, plain.__kwdefaults__ = (2,), {"three": 4}
    assert before != default_key(plain, (1,)) == default_key(plain, (1,), {"three": 4})
    plain.__kwdefaults__["three"] = 3
    assert default_key(plain, (1,)) == before


def test_a_function_referenced_by_its_own_default_is_not_kept_alive() -> None:
    def make() -> weakref.ref[Any]:
        holder = Client()

        async def work(one: int, holder: Client = holder) -> None: ...

        holder.work = work  # type: ignore[attr-defined]
        assert default_key(work, (1,)) == default_key(work, (1,), {"holder": holder})
        return weakref.ref(work)

    forgotten = make()
    gc.collect()
    assert forgotten() is None


def test_calls_of_functions_with_unknown_parameters_are_used_as_passed() -> None:
    odd = MethodType(functools.partial(lookup, "a"), 2.0)

    assert default_key(len, ("a",)) != default_key(len, (), {"obj": "a"})
    assert default_key("report", ("May",)) != default_key("report", (), {"month": "May"})
    assert default_key(Service, ("a",)) != default_key(Service, (), {"url": "a"})
    assert default_key(odd, ()) != default_key(odd, (), {"scale": 2.0})


async def shape_0(a: Any, b: Any = 1, /, c: Any = 2, *, d: Any = 3) -> Any:
    return a, b, c, d


async def shape_1(a: Any = 1, *rest: Any, d: Any = 3, **more: Any) -> Any:
    return a, rest, d, sorted(more.items())


async def shape_2(a: Any, b: Any = 2, c: Any = 1) -> Any:
    return a, b, c


def received(shape: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return what the function receives in a call, or None if the call is invalid."""
    try:
        shape(*args, **kwargs).send(None)
    except StopIteration as returned:
        return repr(returned.value)
    except TypeError:
        return None
    raise AssertionError


@pytest.mark.parametrize("shape", [shape_0, shape_1, shape_2])
def test_keys_are_equal_exactly_if_the_function_receives_equal_arguments(shape: Callable[..., Any]) -> None:
    """Two calls of one function receive equal arguments exactly if their keys are equal."""
    by_meaning: dict[str, set[str]] = {}
    positional = [args for size in range(4) for args in itertools.product((1, 2), repeat=size)]
    named = [dict(zip(names, (1, 3), strict=False)) for names in itertools.combinations("abcd", 2)]
    for args, kwargs in itertools.product(positional, [*named, {}, *({name: 2} for name in "abcd")]):
        if (meaning := received(shape, args, kwargs)) is not None:
            by_meaning.setdefault(meaning, set()).add(default_key(shape, args, kwargs))

    assert {len(keys) for keys in by_meaning.values()} == {1}
    assert len(set.union(*by_meaning.values())) == len(by_meaning) > 10


async def test_a_result_is_found_for_an_equivalent_call() -> None:
    cache = AsyncCache(skip_parameters=["progress_callback"])
    key = cache.key_for(count, (1,))
    assert key is not None
    assert key.startswith(DEFAULT_PREFIX)
    await cache.set(key, "result")
    assert await cache.get(str(cache.key_for(count, (), {"number": 1, "progress_callback": print}))) == (True, "result")
