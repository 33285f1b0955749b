"""Decorated task functions: a call is checked against what will be called, and progress gets through."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.model.registry import TaskFunction, TaskRegistry
from async_task_worker.model.signatures import parameters_by_name

Function = Callable[..., Awaitable[Any]]
Sink = Callable[[float], None]


def passing(func: Function) -> Any:
    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await func(*args, **kwargs)

    return wrapper


def with_session(func: Function) -> Any:
    """Hand the function something its callers do not give."""

    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await func("session", *args, **kwargs)

    return wrapper


def with_option(func: Function) -> Any:
    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await func(*args, session="session", **kwargs)

    return wrapper


def for_tenant(func: Function) -> Any:
    """Take an argument that the function does not get."""

    @functools.wraps(func)
    async def wrapper(tenant: str, *args: Any, **kwargs: Any) -> Any:
        return [tenant, await func(*args, **kwargs)]

    return wrapper


def signed(func: Function) -> Any:
    """Tell what callers may give: all but the session."""
    wrapper = with_session(func)
    parameters = list(inspect.signature(func).parameters.values())
    wrapper.__signature__ = inspect.Signature(parameters[1:])
    return wrapper


def supplying(func: Function) -> Any:
    """Report progress elsewhere. The signature says that callers need not give a callback."""

    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await func(*args, progress_callback=lambda _: None, **kwargs)

    parameters = inspect.signature(func).parameters
    left = [parameter for name, parameter in parameters.items() if name != "progress_callback"]
    wrapper.__signature__ = inspect.Signature(left)  # type: ignore[attr-defined]
    return wrapper


def halving(func: Function) -> Any:
    """Use the callback itself and hand on another one."""

    @functools.wraps(func)
    async def wrapper(*args: Any, progress_callback: Sink, **kwargs: Any) -> Any:
        return await func(*args, progress_callback=lambda share: progress_callback(share / 2), **kwargs)

    return wrapper


def plain(func: Function) -> Any:
    """Take one argument and nothing else."""

    @functools.wraps(func)
    async def wrapper(row: Any) -> Any:
        return await func("session", row)

    return wrapper


class Counting:
    """A decorator that is a class."""

    def __init__(self, func: Function) -> None:
        functools.update_wrapper(self, func)
        self.func = func

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await self.func("session", *args, **kwargs)


async def save(session: str, row: Any) -> str:
    return f"{row} by {session}"


async def save_kw(row: Any, *, session: str) -> str:
    return f"{row} by {session}"


async def load(row: Any) -> Any:
    return row


async def track(session: str, row: Any, progress_callback: Sink) -> str:
    progress_callback(0.5)
    return f"{row} by {session}"


async def follow(row: Any, progress_callback: Sink | None = None) -> Any:
    if progress_callback is not None:
        progress_callback(0.5)
    return row


async def follow_kw(row: Any, *, progress_callback: Sink) -> Any:
    progress_callback(0.5)
    return row


def for_class(func: Function) -> Any:
    """Take the class and do not hand it on."""

    @functools.wraps(func)
    async def wrapper(cls: type, *args: Any, **kwargs: Any) -> Any:
        return [cls.__name__, await func(*args, **kwargs)]

    return wrapper


class Store:
    """Decorated methods."""

    def __init__(self, name: str) -> None:
        self.name = name

    @with_option
    async def save(self, row: Any, *, session: str, progress_callback: Sink) -> str:
        progress_callback(0.5)
        return f"{row} by {session} in {self.name}"

    @with_option
    async def __call__(self, row: Any, progress_callback: Sink, *, session: str) -> str:
        progress_callback(0.5)
        return f"{row} called by {session} in {self.name}"

    @classmethod
    @for_class
    async def made(row: Any, progress_callback: Sink) -> Any:  # noqa: N804 - the decorator takes the class
        progress_callback(0.5)
        return row


def rewrapped(func: Function, *args: Any) -> Any:
    """Return a partial that looks like its function, as ``functools`` itself suggests."""
    return functools.update_wrapper(partial(func, *args), func)


TRACKED = (0.5, "7 by session")
FOLLOWED = (0.5, 7)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "progress", "result"),
    [
        pytest.param(with_session(save), [7], {}, 0.0, "7 by session", id="injected by position"),
        pytest.param(with_session(save), [], {"row": 7}, 0.0, "7 by session", id="and called by name"),
        pytest.param(with_option(save_kw), [7], {}, 0.0, "7 by session", id="injected by name"),
        pytest.param(for_tenant(load), ["t", 7], {}, 0.0, ["t", 7], id="consumed"),
        pytest.param(for_tenant(load), [], {"row": 7, "tenant": "t"}, 0.0, ["t", 7], id="consumed by name"),
        pytest.param(plain(save), [7], {}, 0.0, "7 by session", id="outer names its own"),
        pytest.param(Counting(save), [7], {}, 0.0, "7 by session", id="class as a decorator"),
        pytest.param(signed(save), [7], {}, 0.0, "7 by session", id="signature set"),
        pytest.param(with_session(signed(track)), [], {}, 0.5, "session by session", id="signature set inside"),
        pytest.param(passing(with_session(save)), [7], {}, 0.0, "7 by session", id="stacked"),
        pytest.param(for_tenant(with_session(track)), ["t", 7], {}, 0.5, ["t", "7 by session"], id="stacked, tracked"),
        pytest.param(passing(passing(follow)), [7], {}, *FOLLOWED, id="progress"),
        pytest.param(passing(follow_kw), [7], {}, *FOLLOWED, id="progress by keyword only"),
        pytest.param(with_session(track), [7], {}, *TRACKED, id="progress behind an injected one"),
        pytest.param(passing(follow), [7, None], {}, 0.0, 7, id="the caller's own by position"),
        pytest.param(passing(follow), [7], {"progress_callback": None}, 0.0, 7, id="the caller's own by name"),
        pytest.param(for_tenant(follow), ["t", 7], {}, 0.5, ["t", 7], id="progress behind a consumed one"),
        pytest.param(signed(track), [7], {}, *TRACKED, id="progress in a set signature"),
        pytest.param(supplying(follow_kw), [7], {}, 0.0, 7, id="progress supplied by the decorator"),
        pytest.param(halving(follow), [7], {}, 0.25, 7, id="progress consumed by the decorator"),
        pytest.param(passing(halving(follow_kw)), [7], {}, 0.25, 7, id="and by an inner one"),
        pytest.param(plain(track), [7], {}, 0.0, TypeError, id="progress that cannot get through"),
        pytest.param(Counting(track), [7], {}, *TRACKED, id="progress through a class"),
        pytest.param(partial(with_session(track), 7), [], {}, *TRACKED, id="partial"),
        pytest.param(partial(with_session(track), row=7), [], {}, *TRACKED, id="partial by name"),
        pytest.param(partial(for_tenant(follow), tenant="t"), [], {"row": 7}, 0.5, ["t", 7], id="consumer's partial"),
        pytest.param(partial(for_tenant(follow), "t"), [7], {}, 0.5, ["t", 7], id="and by position"),
        pytest.param(Store.made, [7], {}, 0.5, ["Store", 7], id="class method"),
        pytest.param(passing(partial(follow, progress_callback=None)), [7], {}, 0.0, 7, id="given by a partial inside"),
        pytest.param(rewrapped(track, "session"), [7], {}, *TRACKED, id="partial that looks like its function"),
        pytest.param(passing(rewrapped(track, "session")), [7], {}, *TRACKED, id="and decorated"),
        pytest.param(Store("s").save, [7], {}, 0.5, "7 by session in s", id="method"),
        pytest.param(partial(Store("s").save, 7), [], {}, 0.5, "7 by session in s", id="partial method"),
        pytest.param(Store.save, [Store("s"), 7], {}, 0.5, "7 by session in s", id="function of a method"),
        pytest.param(Store("s"), [7], {}, 0.5, "7 called by session in s", id="call of an object"),
        pytest.param(partial(Store("s")), [], {"row": 7}, 0.5, "7 called by session in s", id="partial object"),
    ],
)
async def test_a_valid_call_runs_and_reports(
    worker: AsyncTaskWorker, function: Any, args: list[Any], kwargs: dict[str, Any], progress: float, result: Any
) -> None:
    reported: list[float] = []
    worker.events.listen(lambda event: reported.append(event.task.progress) if event.type == "task.progress" else None)
    task_id = await worker.submit(function, args, kwargs)
    if isinstance(result, type):
        with pytest.raises(result):
            await worker.get_task_future(task_id)
        return
    assert await worker.get_task_future(task_id) == result
    assert reported == [progress] * (progress > 0)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (for_tenant(load), [], {"row": 7}),
        (plain(save), [], {}),
        (plain(save), ["session", 7], {}),
        (plain(save), [], {"session": "s"}),
        (signed(save), [7, 8], {}),
        (partial(plain(save)), [7, 8], {}),
        (partial(signed(save), 7), [8], {}),
        (rewrapped(save, "session"), [7, 8], {}),
    ],
)
async def test_what_the_outer_signature_does_not_take_is_refused_at_once(
    worker: AsyncTaskWorker, function: Any, args: list[Any], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        await worker.submit(function, args, kwargs)
    assert worker.get_all_tasks() == []


async def test_wrong_arguments_that_only_the_inner_function_refuses_fail_the_task(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(with_session(save), 7, 8)
    with pytest.raises(TypeError, match="takes 2 positional arguments"):
        await worker.get_task_future(task_id)


def test_decorators_that_lead_in_a_circle_do_no_harm() -> None:
    function = passing(load)
    function.__wrapped__ = function
    known = TaskFunction(function)
    known.check((1, 2), {"row": 3})
    assert not known.wants_progress((), None)


def test_a_plain_decorator_around_a_coroutine_function_is_named_as_the_cause() -> None:
    @functools.wraps(load)
    def wrapper(*args: Any) -> Any:
        return load(*args)

    with pytest.raises(TypeError, match=r"decorator.*async def"):
        TaskRegistry().function_of(wrapper)


@pytest.mark.parametrize(
    ("function", "required", "optional"),
    [
        (load, ["row"], []),
        (plain(save), ["row"], []),
        (with_session(save), [], ["session", "row", "**"]),
        (for_tenant(with_session(save)), ["tenant"], ["session", "row", "**"]),
        (signed(save), ["row"], []),
        (passing(signed(save)), [], ["row", "**"]),
        (partial(for_tenant(load), tenant="t"), [], ["tenant", "row", "**"]),
        (Store("s").save, [], ["row", "session", "progress_callback", "**"]),
        (Store("s"), [], ["row", "session", "progress_callback", "**"]),
    ],
)
def test_the_parameters_that_go_by_name_are_those_of_all_layers(
    function: Any, required: list[str], optional: list[str]
) -> None:
    found = parameters_by_name(function)
    open_ended = [p for p in found if p.kind is p.VAR_KEYWORD]
    named = [p for p in found if p.kind is not p.VAR_KEYWORD]
    assert [p.name for p in named if p.default is p.empty] == required
    assert sorted([p.name for p in named if p.default is not p.empty] + ["**"] * len(open_ended)) == sorted(optional)
