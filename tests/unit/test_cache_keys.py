"""Which calls share a default key, and which must not."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import gc
import io
import pathlib
import pickle
import subprocess
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable

import msgpack
import pytest

from async_cache import compose_key_functions, extract_key_component
from async_cache.codec import qualified_names
from async_cache.exceptions import AsyncCacheError, InvalidCacheKeyError, UncacheableError
from async_cache.keys import (
    DEFAULT_PREFIX,
    context_of,
    default_key,
    function_identity,
    generate_entry_id,
    validate_key,
)

Call = tuple[Callable[..., object], tuple[object, ...], dict[str, object]]


async def work(*args: object, **kwargs: object) -> object:
    return args, kwargs


async def other(*args: object, **kwargs: object) -> object:
    return kwargs, args


def make(number: int) -> Callable[..., object]:
    async def work(*_: object) -> int:
        return number

    return work


def named_like(twin: Callable[..., object]) -> Callable[..., object]:
    """Return a function with the name of *twin*, like a careless decorator."""

    async def imposter() -> None: ...

    imposter.__module__, imposter.__qualname__ = twin.__module__, twin.__qualname__
    imposter.__name__ = twin.__name__
    return imposter


lambdas = (lambda: 1, lambda: 2)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
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
    hidden: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass
class Stain:
    x: int
    y: object = None


@dataclasses.dataclass
class Service:
    url: str

    async def fetch(self, *_: object) -> None: ...

    async def store(self, *_: object) -> None: ...

    @classmethod
    async def build(cls, *_: object) -> None: ...

    @staticmethod
    async def check(*_: object) -> None: ...

    async def __call__(self) -> None: ...


class Proxy(Service):
    pass


class Session:
    """An object with a key of its own."""

    def __init__(self, user: object, noise: object = None) -> None:
        self.user, self.noise = user, noise

    def __cache_key__(self) -> object:
        return self.user

    async def load(self) -> None: ...


class Ticket(Session):
    pass


class Broken(Session):
    def __cache_key__(self) -> object:
        raise OSError("no key today")


class Endless(Session):
    def __cache_key__(self) -> object:
        return self


class Plain:
    async def run(self) -> None: ...


def call(*args: object, **kwargs: object) -> Call:
    return work, args, kwargs


def of(func: Callable[..., object], *args: object) -> Call:
    return func, args, {}


local = make(1)
MARK = msgpack.ExtType(42, b"")
DAY = dt.datetime.fromisoformat("2020-10-25T02:30")
OSLO = zoneinfo.ZoneInfo("Europe/Oslo")

TRAPS: dict[str, tuple[Call, ...]] = {
    "types of one": (call(1), call(True), call(1.0), call("1"), call(b"1"), call(1 + 0j), call(Level.ONE)),
    "exact numbers": (call(1), call(decimal.Decimal(1)), call(decimal.Decimal("1.0")), call(fractions.Fraction(1))),
    "nothing": (call(), call(None), call(""), call(b""), call(0), call(False), call("None"), call(())),
    "empty containers": (call([]), call(()), call({}), call(set()), call(frozenset()), call("")),
    "signed zero": (call(0.0), call(-0.0), call(0)),
    "not a number": (call(float("nan")), call("nan"), call(None), call(decimal.Decimal("nan"))),
    "infinities": (call(float("inf")), call(float("-inf")), call("inf")),
    "large ints": (call(2**64), call(2**64 + 1), call(-(2**64)), call(2.0**64), call("10000000000000000")),
    "floats beyond ints": (call(2**53 + 1), call(float(2**53)), call(2**53)),
    "tuple and list": (call((1, 2)), call([1, 2]), call({1, 2}), call(frozenset([1, 2])), call("(1, 2)")),
    "where the brackets are": (call([1, 2], 3), call([1], 2, 3), call([1, 2, 3]), call(1, 2, 3), call([[1, 2], 3])),
    "positional or by name": (call(1), call(x=1), call("x", 1), call({"x": 1}), call(("x", 1))),
    "names swapped": (call(a=1, b=2), call(a=2, b=1), call(a="b", b="a")),
    "names run into values": (call(a="b", c="d"), call(a="bc", d=""), call(**{"a,c": "b"})),
    "where words end": (call("ab", "c"), call("a", "bc"), call("abc"), call("a,b", "c"), call("a", "b,c")),
    "separators": (call("a:b", "c"), call("a", "b:c"), call("a\0b", "c"), call("a", "b\0c")),
    "looks": (call("[1]"), call([1]), call("{}"), call({}), call("True"), call(True)),
    "spaces and case": (call("a"), call("A"), call(" a"), call("a "), call("á"), call("a\u0301")),
    "text and bytes": (call("a"), call(b"a"), call(bytearray(b"a"))),
    "halves of characters": (call("\ud83d\ude00"), call("\U0001f600"), call("\ud83d"), call("?")),
    "types of keys": (call({1: 0}), call({"1": 0}), call({True: 0}), call({1.0: 0}), call({(1,): 0}), call({None: 0})),
    "keys and values": (call({"a": "b"}), call({"b": "a"}), call({"a": {"b": None}}), call({"a": None, "b": None})),
    "depth": (call([[1]]), call([1]), call([[[1]]]), call([[], 1])),
    "mixed sets": (call({1, "1"}), call({1}), call({"1"}), call({1.5, "1"}), call({(1,), "1"})),
    "kinds of dict": (
        call({"a": 1}),
        call(collections.OrderedDict(a=1)),
        call(collections.Counter(a=1)),
        call(collections.defaultdict(int, a=1)),
        call(collections.defaultdict(list, a=1)),
        call(types.SimpleNamespace(a=1)),
    ),
    "order where it counts": (
        call(collections.OrderedDict([("a", 1), ("b", 2)])),
        call(collections.OrderedDict([("b", 2), ("a", 1)])),
    ),
    "kinds of sequence": (call([1]), call(collections.deque([1])), call(collections.deque([1], 1)), call(range(1, 2))),
    "equal ranges": (call(range(0, 3, 2)), call(range(0, 4, 2))),
    "named tuples": (call(Point(1, 2)), call((1, 2)), call(Point(2, 1))),
    "dataclasses": (call(Spot(1)), call(Stain(1)), call({"x": 1}), call(Spot(1, y=())), call(Spot(1, hidden=1))),
    "enums": (call(Color.RED), call(Shade.RED), call(Color.BLUE), call(1), call("RED")),
    "classes": (call(Color), call(Shade), call("Color"), call(int), call("int")),
    "functions": (call(work), call(other), call("work"), call(len)),
    "paths and text": (call(pathlib.PurePosixPath("a")), call(pathlib.PureWindowsPath("a")), call("a")),
    "ids and text": (call(uuid.UUID(int=1)), call(uuid.UUID(int=1).hex), call(1)),
    "dates": (
        call(dt.date(2020, 1, 1)),
        call(dt.datetime.fromisoformat("2020-01-01")),
        call("2020-01-01"),
        call(dt.time()),
    ),
    "zones": (
        call(DAY),
        call(DAY.replace(tzinfo=dt.UTC)),
        call(DAY.replace(tzinfo=OSLO)),
        call(DAY.replace(tzinfo=OSLO, fold=1)),
        call(DAY.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))),
        call(DAY.isoformat()),
    ),
    "durations": (call(dt.timedelta(seconds=1)), call(1), call(1.0), call(dt.timedelta(days=1))),
    "own keys": (call(Session(1)), call(Session("1")), call(Ticket(1)), call(1), call(Session((1,)))),
    "marked lists": (call((1,)), call([MARK, "t", 1]), call([MARK, [MARK, "t"], 1]), call([None, "t", 1]), call(MARK)),
    "marked text": (call((1,)), call("\xc7\0*"), call(b"\x92\xc7\0*\xa1t\1"), call([b"\xc7\0*", "t", 1])),
    "packed look-alikes": (call({1: 2}), call([b"\x01", 2]), call(["m", b"\x01", 2]), call({b"\x01": 2})),
    "arguments and packed arguments": (call(1), call([1]), call(b"\x91\x01"), call([[1]])),
    "functions of one name": (of(work), of(make(1)), of(make(2)), of(other)),
    "lambdas": (of(lambdas[0]), of(lambdas[1])),
    "imposters": (of(work), of(named_like(work)), of(named_like(work))),
    "methods": (
        of(Service("a").fetch),
        of(Service("b").fetch),
        of(Service("a").store),
        of(Proxy("a").fetch),
        of(Service.fetch, Service("a")),
    ),
    "class methods": (of(Service.build), of(Proxy.build), of(Service.check), of(Service("a").fetch)),
    "methods of keyed objects": (of(Session(1).load), of(Session(2).load), of(Ticket(1).load)),
    "callable objects": (of(Service("a")), of(Service("b")), of(Proxy("a")), of(Service("a").__call__)),
    "partials": (
        of(functools.partial(work, 1)),
        of(functools.partial(work, True)),
        of(functools.partial(other, 1)),
        of(functools.partial(work, x=1)),
        of(functools.partial(work, 1), 1),
        of(functools.partial(work)),
        of(work, 1),
    ),
    "partials of methods": (
        of(functools.partial(Service("a").fetch, 1)),
        of(functools.partial(Service("b").fetch, 1)),
        of(functools.partial(local, 1)),
    ),
    "partial arguments and arguments": (
        of(functools.partial(work, 1), 2),
        of(functools.partial(work, 1, 2)),
        of(functools.partial(work, 2), 1),
    ),
    "names that stand for functions": (
        of(work),
        of("work"),  # type: ignore[arg-type]
        of(f"{work.__module__}:work"),  # type: ignore[arg-type]
        of("other"),  # type: ignore[arg-type]
    ),
}


def key_of(one: Call) -> str:
    func, args, kwargs = one
    return default_key(func, args, kwargs)


def test_no_key_trap_causes_a_wrong_hit() -> None:
    """Prints the number of traps and wrong hits: run with -s or -rP to read it."""
    wrong = [name for name, calls in TRAPS.items() if len({key_of(one) for one in calls}) < len(calls)]
    sys.stdout.write(f"\n{len(TRAPS)} key traps, {len(wrong)} wrong hits {wrong or ''}\n")

    assert wrong == []
    assert len(TRAPS) >= 51


@pytest.mark.parametrize("calls", TRAPS.values(), ids=TRAPS.keys())
def test_a_key_is_reproducible_and_valid(calls: tuple[Call, ...]) -> None:
    made = [key_of(one) for one in calls]

    assert made == [key_of(one) for one in calls]
    assert all(validate_key(key) == key for key in made)


SHARED: dict[str, tuple[Call, ...]] = {
    "order of keyword arguments": (call(a=1, b=2), call(b=2, a=1)),
    "order of a dict": (call({"a": 1, "b": 2}), call({"b": 2, "a": 1})),
    "order of a dict of many types": (call({1: 1, "1": 2, (): 3}), call({(): 3, "1": 2, 1: 1})),
    "order of a set": (call({*"abcdefgh"}), call({*"hgfedcba"})),
    "order of a nested set": (call([frozenset([1, "1", None])]), call([frozenset([None, "1", 1])])),
    "order of a counter": (call(collections.Counter("ab")), call(collections.Counter("ba"))),
    "equal dataclasses": (call(Spot(1, (2,))), call(Spot(1, (2,)))),
    "equal dates": (call(DAY.replace(tzinfo=OSLO)), call(DAY.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Oslo")))),
    "not a number": (call(float("nan")), call(float("nan"))),
    "what an object stands for": (call(Session(1, "a")), call(Session(1, "b"))),
    "equal methods": (of(Service("a").fetch, 1), of(Service("a").fetch, 1)),
    "equal partials": (of(functools.partial(work, 1, a={1})), of(functools.partial(work, 1, a={1}))),
    "the same local function": (of(local, 1), of(local, 1)),
}


@pytest.mark.parametrize("calls", SHARED.values(), ids=SHARED.keys())
def test_equal_calls_share_a_key(calls: tuple[Call, ...]) -> None:
    assert len({key_of(one) for one in calls}) == 1


UNCACHEABLE: dict[str, tuple[Call, type]] = {
    "a plain object": (call(Plain()), Plain),
    "an open file": (call([io.BytesIO()]), io.BytesIO),
    "a lambda": (call(lambda: 1), types.FunctionType),
    "a subclass of str": (call({"a": type("Text", (str,), {})("x")}), str),
    "a method of a plain object": (of(Plain().run), Plain),
    "a callable plain object": (of(type("Caller", (), {"__call__": lambda self: None})()), object),
    "a partial over an object": (of(functools.partial(work, object())), object),
    "a key that fails": (call(Broken(1)), Broken),
    "a key without end": (call(Endless(1)), object),
    "an instance of a local class": (call(dataclasses.make_dataclass("Local", ["x"])(1)), object),
    "a generator": (call(iter([1])), object),
}


@pytest.mark.parametrize(("one", "kind"), UNCACHEABLE.values(), ids=UNCACHEABLE.keys())
def test_the_error_for_a_call_without_a_key_names_the_type(one: Call, kind: type) -> None:
    with pytest.raises(UncacheableError, match="__cache_key__") as refusal:
        key_of(one)

    assert issubclass(refusal.value.kind, kind)
    assert isinstance(refusal.value, AsyncCacheError)
    assert str(pickle.loads(pickle.dumps(UncacheableError(Plain, "why")))).startswith("Plain: why: ")  # noqa: S301


def test_arguments_that_contain_themselves_or_are_too_deep_are_uncacheable() -> None:
    itself: list[object] = []
    itself.append(itself)
    deep: object = None
    for _ in range(10_000):
        deep = (deep,)

    for argument in (itself, deep, {"a": itself}):
        with pytest.raises(UncacheableError, match="contains itself, or is nested too deep"):
            default_key(work, (argument,), {})


def test_an_instance_of_a_local_class_may_define_its_key() -> None:
    def local_session() -> type[Session]:
        class Local(Session):
            pass

        return Local

    one, another = local_session(), local_session()

    assert default_key(work, (one(1),), {}) == default_key(work, (one(1),), {})
    assert default_key(work, (one(1),), {}) != default_key(work, (another(1),), {})


def test_the_key_of_a_class_is_not_that_of_its_instances() -> None:
    """Session defines __cache_key__ for its instances; the class itself is identified by its name."""
    assert default_key(work, (Session,), {}) not in {default_key(work, (Session(1),), {}), key_of(call(Ticket))}


def test_default_keys_are_readable_and_have_a_prefix() -> None:
    key = default_key(work, (1,), {})

    assert key.startswith(f"{DEFAULT_PREFIX}{work.__module__}:work:")
    assert len(key.rpartition(":")[2]) == 32


def test_no_composed_key_can_be_a_default_key() -> None:
    parts = default_key(work, (), {}).split(":")
    composed = compose_key_functions(*[extract_key_component(f"args.{index}") for index in range(len(parts))])

    assert composed(context_of("f", tuple(parts), {}, None, None)) != default_key(work, (), {})
    assert extract_key_component("args.0")(context_of("f", (default_key(work, (), {}),), {}, None, None)) != (
        default_key(work, (), {})
    )


def test_a_long_or_unprintable_name_is_digested() -> None:
    for name in ("f" * 1000, "f\n", "función", "f\ud800"):
        assert validate_key(default_key(name, (), {}))
        assert default_key(name, (), {}) != default_key(name + "x", (), {})


def test_a_default_key_is_the_same_in_another_process() -> None:
    program = (
        "import sys, uuid; sys.path[:] = eval(sys.argv[1]);"
        "from async_cache.keys import default_key;"
        "print(default_key(uuid.uuid5, (1, {'b', 'a', 'c'}, {'x': (1.5, None)}), {'k': b'v'}))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program, repr(sys.path)],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip

    assert len(made) == 1


def test_two_programs_do_not_share_the_functions_of_their_main_modules(tmp_path: pathlib.Path) -> None:
    program = (
        "import sys; sys.path[:] = eval(sys.argv[1])\n"
        "from async_cache.keys import function_identity\n"
        "async def job(): ...\n"
        "print(function_identity(job))\n"
    )
    printed = []
    for name in ("one.py", "two.py", "one.py"):
        (tmp_path / name).write_text(program)
        ran = subprocess.run(
            [sys.executable, tmp_path / name, repr(sys.path)], capture_output=True, text=True, check=True
        )
        printed.append(ran.stdout)

    assert printed[0] == printed[2] != printed[1]


# Functions.


def module_with(source: str, name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(source, module.__dict__)  # noqa: S102 - the source is below
    return module


def test_functions_of_one_name_in_two_modules_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module_with("async def job(): ...", "one_module", monkeypatch)
    two = module_with("async def job(): ...", "two_module", monkeypatch)

    assert function_identity(one.job) == "one_module:job"
    assert function_identity(two.job) == "two_module:job"


def test_a_redefined_function_has_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: results of the old function are not results of the new one."""
    module = module_with("async def job(): return 1", "notebook", monkeypatch)
    old = module.job
    before = function_identity(old)
    exec("async def job(): return 2", module.__dict__)  # noqa: S102 - the line before

    assert function_identity(module.job) != before
    assert function_identity(old) == before
    assert function_identity(module.job) == function_identity(module.job)


REDEFINED = {
    "a function": ("def thing(): return {}", "thing"),
    "a class": ("class thing: value = {}", "thing"),
    "an instance": ("import enum\nclass thing(enum.Enum): ONE = {}", "thing.ONE"),
    "a dataclass": ("import dataclasses as d\n@d.dataclass\nclass thing:\n x: int = 1\n y = {}", "thing()"),
}


@pytest.mark.parametrize(("source", "argument"), REDEFINED.values(), ids=REDEFINED)
def test_a_redefined_argument_has_another_key(source: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_with(source.format(1), "notebook", monkeypatch)
    before = default_key(work, (eval(argument, module.__dict__),), {})  # noqa: S307 - a constant
    exec(source.format(2), module.__dict__)  # noqa: S102 - a constant
    after = default_key(work, (eval(argument, module.__dict__),), {})  # noqa: S307 - a constant

    assert after != before
    assert after == default_key(work, (eval(argument, module.__dict__),), {})  # noqa: S307 - a constant


def as_main(file: str, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the key of a call with a function of a main module called *name*."""
    module = module_with("def job(): ...", name, monkeypatch)
    module.__file__, module.__spec__ = file, None
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(qualified_names, "_first_seen", {})  # as in a new process
    return function_identity(module.job) + default_key(work, (module.job,), {})


def test_child_processes_share_keys_with_their_own_program_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """multiprocessing imports the main module again in each child process, under another name."""
    parent = as_main("one.py", "__main__", monkeypatch)

    assert as_main("one.py", "__mp_main__", monkeypatch) == parent
    assert as_main("two.py", "__mp_main__", monkeypatch) != parent
    assert as_main("two.py", "__main__", monkeypatch) != parent


def test_a_token_is_never_given_twice() -> None:
    seen = set()
    for number in range(1000):
        seen.add(function_identity(make(number)))
    gc.collect()

    assert len(seen) == 1000


ALIKE = """
import functools
class Alike(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 1
class One(metaclass=Alike): ...
class Two(metaclass=Alike): ...
class Wrapped(metaclass=Alike):
    def __init__(self, function): functools.update_wrapper(self, function)
    async def __call__(self): ...
    def __eq__(self, other): return True
    def __hash__(self): return 1
@Wrapped
def one(): ...
@Wrapped
def two(): ...
"""


def test_objects_that_claim_to_be_equal_have_different_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_with(ALIKE, "alike", monkeypatch)

    assert [function_identity(function) for function in (module.one, module.two)] == ["alike:one", "alike:two"]
    assert default_key(work, (module.One,), {}) != default_key(work, (module.Two,), {})


def test_identities_do_not_keep_functions_alive() -> None:
    gc.collect()
    before = len(qualified_names._identities)
    for number in range(100):
        function_identity(make(number))
    gc.collect()

    assert len(qualified_names._identities) == before


def test_a_decorated_function_and_the_wrapped_one_have_different_keys() -> None:
    @functools.wraps(work)
    async def wrapper() -> None: ...

    assert function_identity(wrapper) != function_identity(work)
    assert function_identity(work).endswith(":work")


def test_a_function_of_a_class_is_identified_by_its_qualified_name() -> None:
    assert function_identity(Service.fetch).endswith(":Service.fetch")
    assert function_identity(Service.check).endswith(":Service.check")


# Keys and ids in general.


def test_entry_ids_differ_for_different_tasks() -> None:
    pairs = [("f", "1"), ("f", "2"), ("g", "1"), ("f:1", ""), ("f", "1:"), ("", "f:1"), ("f%3A1", "")]

    assert generate_entry_id("my_func", "b4fd93c8-57e3") == "my_func:b4fd93c8-57e3"
    assert len({generate_entry_id(*pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("key", ["a", "a b", "é", "x" * 512, "é" * 256, "%call:x", "{}[]*?\\"])
def test_valid_keys_are_accepted(key: str) -> None:
    assert validate_key(key) == key


@pytest.mark.parametrize("key", [None, b"a", 1, "", "x" * 513, "é" * 257, "a\nb", "\0", "\x7f", "\x85", "\ud800"])
def test_invalid_keys_are_refused(key: object) -> None:
    with pytest.raises(InvalidCacheKeyError, match="1 to 512 bytes") as refusal:
        validate_key(key)

    assert isinstance(refusal.value, ValueError)


def test_a_key_of_a_subclass_of_str_becomes_a_str() -> None:
    class Key(enum.StrEnum):
        ONE = "one"

    assert type(validate_key(Key.ONE)) is str
