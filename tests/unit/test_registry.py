"""What is known of task functions: how each may be called, where its progress goes, and for how long it is known."""

from __future__ import annotations

import functools
import gc
import inspect
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import Parameter, Signature
from types import MethodType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_task_worker import AsyncTaskWorker, get_task_function, register_task, task
from async_task_worker.model.registry import TaskFunction, TaskRegistry, known_functions
from tests.support.waiting import settled

CALLBACK = "progress_callback"


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry()


class Press:
    """A machine with methods and an instance that is called itself."""

    def __init__(self, name: str = "press") -> None:
        self.name = name

    async def push(self, item: str, *, hard: bool = False) -> str:
        return f"{self.name} pushes {item}{' hard' * hard}"

    async def report(self, item: str, progress_callback: Callable[[float], None]) -> str:
        progress_callback(0.5)
        return f"{self.name} reports {item}"

    async def __call__(self, item: str, *, progress_callback: Callable[[float], None]) -> str:
        progress_callback(0.5)
        return f"{self.name} takes {item}"

    @classmethod
    async def of_class(cls, item: str) -> str:
        return f"{cls.__name__} makes {item}"

    @staticmethod
    async def free(item: str) -> str:
        return f"anybody takes {item}"


class Slotted:
    """Instances cannot be referred to weakly."""

    __slots__ = ()

    async def __call__(self, item: str) -> str:
        return f"slotted takes {item}"


async def by_name(item: Any, progress_callback: Any = None) -> Any:
    return note(progress_callback, item)


async def first(progress_callback: Any, item: Any = None) -> Any:
    return note(progress_callback, item)


async def keyword_only(item: Any, *, progress_callback: Any) -> Any:
    return note(progress_callback, item)


async def in_the_middle(item: Any, progress_callback: Any = None, other: Any = "other") -> Any:
    return note(progress_callback, item, other)


async def after_several(*items: Any, progress_callback: Any = None) -> Any:
    return note(progress_callback, *items)


async def only_by_position(item: Any, progress_callback: Any = None, /) -> Any:
    return note(progress_callback, item)


async def anything(*args: Any, **kwargs: Any) -> Any:
    return note(kwargs.get(CALLBACK), *args)


async def without(item: Any) -> Any:
    return note(None, item)


def note(callback: Any, *items: Any) -> list[Any]:
    """Report half, if there is anybody to report to, and return whether there was, with the items."""
    if callback is not None:
        callback(0.5)
    return [callback is not None, *items]


def decorated(function: Callable[..., Awaitable[Any]]) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


class TestProgress:
    """The callback goes to functions that name it, wherever, and to no other; a caller's own argument stays."""

    @pytest.mark.parametrize(
        ("function", "args", "kwargs", "result"),
        [
            (by_name, ["x"], {}, [True, "x"]),
            (by_name, [], {"item": "x"}, [True, "x"]),
            (by_name, ["x", None], {}, [False, "x"]),
            (by_name, ["x"], {CALLBACK: None}, [False, "x"]),
            (first, [], {"item": "x"}, [True, "x"]),
            (first, [None, "x"], {}, [False, "x"]),
            (keyword_only, ["x"], {}, [True, "x"]),
            (keyword_only, ["x"], {CALLBACK: None}, [False, "x"]),
            (in_the_middle, ["x"], {}, [True, "x", "other"]),
            (in_the_middle, ["x"], {"other": "y"}, [True, "x", "y"]),
            (in_the_middle, ["x", None, "y"], {}, [False, "x", "y"]),
            (after_several, ["x", "y", "z"], {}, [True, "x", "y", "z"]),
            (after_several, [], {}, [True]),
            (only_by_position, ["x"], {}, [False, "x"]),
            (anything, ["x"], {}, [False, "x"]),
            (without, ["x"], {}, [False, "x"]),
            (partial(by_name, "x"), [], {}, [True, "x"]),
            (partial(by_name, item="x"), [], {}, [True, "x"]),
            (partial(by_name, "x", None), [], {}, [False, "x"]),
            (partial(keyword_only), ["x"], {}, [True, "x"]),
            (partial(partial(in_the_middle, "x"), other="y"), [], {}, [True, "x", "y"]),
        ],
    )
    async def test_it_goes_where_the_function_wants_it(
        self, worker: AsyncTaskWorker, function: Any, args: list[Any], kwargs: dict[str, Any], result: list[Any]
    ) -> None:
        for _ in range(2):  # what is worked out once must serve the second time
            task_id = await worker.submit(function, args, kwargs)
            assert await worker.get_task_future(task_id) == result

    async def test_the_callers_own_callback_is_the_one_called(self, worker: AsyncTaskWorker) -> None:
        seen: list[float] = []
        task_id = await worker.submit(by_name, ["x"], {CALLBACK: seen.append})
        await worker.get_task_future(task_id)
        assert seen == [0.5]

    async def test_a_method_and_a_callable_object_get_it_too(self, worker: AsyncTaskWorker) -> None:
        press = Press()
        ids = [await worker.add_task(press.report, "x"), await worker.add_task(press, "x")]
        assert await worker.wait_for_tasks(ids) == ["press reports x", "press takes x"]

    @pytest.mark.parametrize(
        ("function", "args"),
        [(by_name, []), (first, ["x", "y", "z"]), (keyword_only, []), (in_the_middle, []), (without, ["x", "y"])],
    )
    async def test_wrong_arguments_are_refused(self, worker: AsyncTaskWorker, function: Any, args: list[Any]) -> None:
        with pytest.raises(TypeError, match="cannot be called"):
            await worker.submit(function, args)
        assert worker.get_all_tasks() == []


class TestKinds:
    """Everything that makes a coroutine when called is a task function; nothing else is."""

    @pytest.mark.parametrize(
        ("function", "result"),
        [
            pytest.param(Press().push, "press pushes x", id="method"),
            pytest.param(Press.of_class, "Press makes x", id="class method"),
            pytest.param(Press.free, "anybody takes x", id="static method"),
            pytest.param(Slotted(), "slotted takes x", id="object without weak references"),
            pytest.param(partial(Press("partial").push, hard=True), "partial pushes x hard", id="partial method"),
            pytest.param(partial(Slotted()), "slotted takes x", id="partial object"),
            pytest.param(decorated(without), [False, "x"], id="decorated"),
            pytest.param(mock.AsyncMock(return_value="mocked"), "mocked", id="AsyncMock"),
        ],
    )
    async def test_it_runs(self, worker: AsyncTaskWorker, function: Any, result: object) -> None:
        for _ in range(2):
            assert await worker.get_task_future(await worker.add_task(function, "x")) == result

    async def test_a_method_and_the_function_behind_it_are_called_differently(self, worker: AsyncTaskWorker) -> None:
        class Fresh(Press):
            async def push(self, item: str, *, hard: bool = False) -> str:
                return f"fresh {item}"

        ids = [
            await worker.add_task(Fresh().push, "x"),
            await worker.add_task(Fresh.push, Fresh(), "x"),
            await worker.add_task(Fresh().push, "x"),
        ]
        assert await worker.wait_for_tasks(ids) == ["fresh x"] * 3

    async def test_a_method_can_be_registered_in_its_class(self, worker: AsyncTaskWorker) -> None:
        class Resizer:
            @task("resize in its class")
            async def resize(self, item: str) -> str:
                return f"resized {item}"

        function = get_task_function("resize in its class")
        assert function is Resizer.resize
        ids = [await worker.add_task(Resizer().resize, "x"), await worker.add_task(function, Resizer(), "x")]
        assert await worker.wait_for_tasks(ids) == ["resized x"] * 2
        assert {info.name for info in worker.get_all_tasks()} == {"resize in its class"}

    async def test_a_bound_method_can_be_registered(self, worker: AsyncTaskWorker) -> None:
        register_task("push", Press("registered").push)
        gc.collect()
        function = get_task_function("push")
        assert function is not None
        task_id = await worker.add_task(function, "x")
        assert await worker.get_task_future(task_id) == "registered pushes x"
        assert worker.get_task_info(task_id).name == "push"  # type: ignore[union-attr]

    @pytest.mark.parametrize("function", [Slotted(), partial(without), partial(Slotted())])
    async def test_what_cannot_be_known_weakly_can_be_registered(self, worker: AsyncTaskWorker, function: Any) -> None:
        register_task("odd", function)
        task_id = await worker.add_task(get_task_function("odd"), "x")  # type: ignore[arg-type]
        await worker.get_task_future(task_id)
        assert worker.get_task_info(task_id).name == "odd"  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        "function", [print, lambda: None, 5, None, "echo", Press, type, mock.Mock(), partial(print)]
    )
    def test_a_plain_one_is_refused_with_a_way_out(self, registry: TaskRegistry, function: Any) -> None:
        with pytest.raises(TypeError, match="coroutine function"):
            registry.function_of(function)
        with pytest.raises(TypeError, match="coroutine function"):
            registry.register("plain", function)
        assert registry.types() == []
        assert registry.known == {}

    def test_a_coroutine_is_refused_and_closed(self, registry: TaskRegistry) -> None:
        coroutine: Any = without("x")
        with pytest.raises(TypeError, match="not the result of calling it"):
            registry.function_of(coroutine)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED

    def test_an_async_generator_is_refused(self, registry: TaskRegistry) -> None:
        async def generate() -> Any:
            yield 1

        with pytest.raises(TypeError, match="async generator"):
            registry.function_of(generate)

    def test_one_without_a_signature_may_be_called_in_any_way(self, registry: TaskRegistry) -> None:
        """What cannot be checked beforehand is left to the call."""

        async def secretive(*args: Any) -> None: ...

        secretive.__signature__ = "none of your business"  # type: ignore[attr-defined]
        known = registry.function_of(secretive)
        known.check((1, 2, 3), {"four": 4})
        assert not known.wants_progress((), {})


class TestNames:
    @pytest.mark.parametrize(
        ("function", "name"),
        [
            (without, "without"),
            (partial(partial(without), "x"), "without"),
            (Press().push, "push"),
            (Press(), "Press"),
            (partial(Press()), "Press"),
            (Slotted(), "Slotted"),
            (decorated(without), "without"),
        ],
        ids=["plain", "partial", "method", "object", "partial object", "without weak references", "decorated"],
    )
    def test_an_unregistered_function_has_its_own_name(self, registry: TaskRegistry, function: Any, name: str) -> None:
        assert registry.function_of(function).name == name

    def test_types_are_listed_in_the_order_of_their_registration(self, registry: TaskRegistry) -> None:
        for name in ("c", "a", "b", "a"):
            registry.register(name, without)
        assert registry.types() == ["c", "a", "b"]

    def test_the_latest_function_of_a_name_wins(self, registry: TaskRegistry) -> None:
        registry.register("a", without)
        registry.register("a", anything)
        assert registry.get("a") is anything
        assert registry.get("b") is None

    @pytest.mark.parametrize(
        ("name", "error"), [("", ValueError), (None, TypeError), (5, TypeError), (b"a", TypeError)]
    )
    def test_a_name_is_a_text(self, registry: TaskRegistry, name: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="task type"):
            registry.register(name, without)
        assert registry.types() == []

    def test_the_decorator_without_a_name_raises_an_error_with_its_usage(self) -> None:
        with pytest.raises(TypeError, match=r'@task\("name"\)'):
            task(without)  # type: ignore[arg-type]


class Payload:
    """Something a task function holds."""


def closing_over(payload: Payload) -> Any:
    async def closure() -> str:
        return repr(payload)

    return closure


def by_default(payload: Payload) -> Any:
    async def closure(payload: Payload = payload) -> str:
        return repr(payload)

    return closure


class TestMemory:
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(closing_over, id="closure"),
            pytest.param(by_default, id="default value"),
            pytest.param(lambda payload: partial(without, payload), id="partial"),
            pytest.param(lambda payload: partial(without, item=payload), id="partial by keyword"),
        ],
    )
    async def test_a_function_made_for_one_task_is_released_after_it(
        self, worker: AsyncTaskWorker, make: Callable[[Payload], Any]
    ) -> None:
        """The task itself stays known, for days; what its function held does not."""
        known = len(known_functions)

        async def run() -> list[weakref.ref[Payload]]:
            payloads = [Payload() for _ in range(20)]
            await worker.wait_for_tasks([await worker.add_task(make(payload)) for payload in payloads])
            for info in worker.get_all_tasks():
                if isinstance(info.result, list):
                    info.result.clear()
            return [weakref.ref(payload) for payload in payloads]

        references = await run()
        await settled()
        gc.collect()
        assert sum(reference() is not None for reference in references) == 0
        assert len(known_functions) == known

    def test_bound_methods_made_anew_at_each_access_are_known_once(self, registry: TaskRegistry) -> None:
        for _ in range(10):
            registry.function_of(Press().push)
        assert len(registry._methods) == 1

    def test_an_object_at_the_address_of_a_dead_one_is_no_stranger_in_disguise(self, registry: TaskRegistry) -> None:
        for count in range(50):
            parameters = [Parameter(f"p{number}", Parameter.POSITIONAL_OR_KEYWORD) for number in range(count % 3)]
            known = registry.function_of(with_signature(Signature(parameters)))
            assert (known.required, known.maximum) == (count % 3, count % 3)
            del known
        gc.collect()
        assert registry.known == {}

    def test_a_registered_function_is_kept_alive(self, registry: TaskRegistry) -> None:
        registry.register("closure", decorated(without))
        gc.collect()
        function = registry.get("closure")
        assert function is not None
        assert registry.function_of(function).name == "closure"


def with_signature(signature: Signature) -> Any:
    async def function(*args: Any, **kwargs: Any) -> None: ...

    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


NAMES = ["a", "b", "c", "d", CALLBACK]


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Return any signature with some of the names above."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
    kinds = sorted(
        draw(
            st.lists(
                st.sampled_from([Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY]),
                min_size=len(names),
                max_size=len(names),
            )
        )
    )
    optional_from = draw(st.integers(0, len(names)))  # no required positional one after an optional one
    parameters = [
        Parameter(name, kind, default=None if _optional(draw, kind, index >= optional_from) else Parameter.empty)
        for index, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    if draw(st.booleans()):
        parameters.append(Parameter("rest", Parameter.VAR_POSITIONAL))
    if draw(st.booleans()):
        parameters.append(Parameter("options", Parameter.VAR_KEYWORD))
    return Signature(sorted(parameters, key=lambda parameter: parameter.kind))


def _optional(draw: st.DrawFn, kind: Any, by_position: bool) -> bool:
    return draw(st.booleans()) if kind is Parameter.KEYWORD_ONLY else by_position


def expected(signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the function can be called like this, and whether it is to be given the callback."""
    parameter = signature.parameters.get(CALLBACK)
    wanted = parameter is not None and parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    try:
        wanted = wanted and CALLBACK not in kwargs and CALLBACK not in signature.bind_partial(*args).arguments
        signature.bind(*args, **kwargs, **({CALLBACK: None} if wanted else {}))
    except TypeError:
        return False, wanted
    return True, wanted


@settings(max_examples=500, deadline=None)
@given(
    signature=signatures(),
    args=st.lists(st.none(), max_size=6).map(tuple),
    kwargs=st.dictionaries(st.sampled_from([*NAMES, "e"]), st.none(), max_size=4),
    bound=st.booleans(),
)
def test_a_call_is_refused_exactly_if_python_would_refuse_it(
    signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], bound: bool
) -> None:
    callable_like_this, wants_progress = expected(signature, args, kwargs)
    if bound:
        this = Parameter("self", Parameter.POSITIONAL_ONLY)
        function = with_signature(Signature([this, *signature.parameters.values()]))
        known = TaskFunction(MethodType(function, "self"))
    else:
        known = TaskFunction(with_signature(signature))
    try:
        known.check(args, kwargs or None)
    except TypeError:
        assert not callable_like_this
    else:
        assert callable_like_this
        assert known.wants_progress(args, kwargs or None) == wants_progress
