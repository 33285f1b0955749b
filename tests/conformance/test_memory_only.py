"""What only tasks in memory can do: any function is a task, and objects stay the objects they are."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from unittest import mock

import pytest

from async_task_worker import AsyncTaskWorker, ProgressCallback, TaskFailedError, TaskStatus, TaskTimeoutError
from async_task_worker.model.clock import Clock
from tests.conformance.event_helpers import ended, info_of
from tests.support import tasks
from tests.support.tasks import echo, fail_on_cancel, fail_with
from tests.support.virtual_time import run_virtual
from tests.support.waiting import running, settled


@pytest.fixture
async def worker(clock: Clock) -> AsyncIterator[AsyncTaskWorker]:
    async with AsyncTaskWorker(max_workers=2, clock=clock) as made:
        yield made
        tasks.open_all_gates()


class Multiplier:
    """Tasks in the form of methods and of an object that can be called."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def times(self, value: int) -> int:
        return self.factor * value

    @classmethod
    async def twice(cls, value: int) -> int:
        return await cls(2).times(value)

    @staticmethod
    async def thrice(value: int) -> int:
        return 3 * value

    async def __call__(self, value: int) -> int:
        return await self.times(value)


class Slotted:
    """An object that can be called and cannot be referred to weakly."""

    __slots__ = ()

    async def __call__(self, value: int) -> int:
        return value


async def result_of(worker: AsyncTaskWorker, *call: Any, **named: Any) -> Any:
    """Add a task and return what it returned."""
    return await worker.get_task_future(await worker.add_task(*call, **named))


async def test_a_function_needs_no_registration(worker: AsyncTaskWorker) -> None:
    seen = []

    async def closure(value: int) -> list[int]:
        seen.append(value)
        return seen

    task_id = await worker.add_task(closure, 1)
    assert await worker.get_task_future(task_id) is seen
    assert info_of(worker, task_id).name == "closure"


@pytest.mark.parametrize(
    ("function", "name", "result"),
    [
        (Multiplier(5).times, "times", 50),
        (Multiplier.twice, "twice", 20),
        (Multiplier.thrice, "thrice", 30),
        (Multiplier(7), "Multiplier", 70),
        (Slotted(), "Slotted", 10),
        (partial(Multiplier(5).times, 4), "times", 20),
        (partial(Multiplier.times, Multiplier(6)), "times", 60),
    ],
    ids=[
        "method",
        "class method",
        "static method",
        "object",
        "slotted object",
        "partial",
        "partial of a function",
    ],
)
async def test_whatever_returns_a_coroutine_is_a_task(
    worker: AsyncTaskWorker, function: Any, name: str, result: int
) -> None:
    args = () if isinstance(function, partial) and function.args == (4,) else (10,)
    task_id = await worker.add_task(function, *args)
    info = await ended(worker, task_id)
    assert (info.result, info.name) == (result, name)


async def test_methods_of_two_objects_are_not_mixed_up(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(Multiplier(factor).times, 1) for factor in range(20)]
    assert await worker.wait_for_tasks(ids) == list(range(20))


async def test_a_mock_is_a_task(worker: AsyncTaskWorker) -> None:
    stand_in = mock.AsyncMock(return_value="mocked")
    assert await result_of(worker, stand_in, 1, key=2) == "mocked"
    stand_in.assert_awaited_once_with(1, key=2)


async def test_arguments_of_a_method_are_checked_without_its_self(worker: AsyncTaskWorker) -> None:
    for args in ((), (1, 2)):
        with pytest.raises(TypeError, match="times"):
            await worker.add_task(Multiplier(5).times, *args)
    assert worker.get_all_tasks() == []


async def test_functions_created_one_after_another_are_distinguished(worker: AsyncTaskWorker) -> None:
    """A new one may take the address of one that is gone."""

    def make(count: int) -> Any:
        namespace: dict[str, Any] = {}
        parameters = ", ".join(f"p{number}" for number in range(count))
        exec(f"async def made({parameters}): return {count}", namespace)  # noqa: S102
        return namespace["made"]

    for count in [1, 3, 0, 2] * 10:
        function = make(count)
        assert await result_of(worker, function, *range(count)) == count
        with pytest.raises(TypeError):
            await worker.add_task(function, *range(count + 1))
        del function


async def test_arguments_and_results_are_the_same_objects(worker: AsyncTaskWorker) -> None:
    given = object()
    task_id = await worker.add_task(echo, given)
    assert await worker.get_task_future(task_id) is given
    assert info_of(worker, task_id).result is given
    assert (await worker.wait_for_tasks([task_id]))[0] is given
    assert (await worker.wait_for_any_task([task_id]))[0] is given


async def test_a_result_that_cannot_be_copied_is_a_result(worker: AsyncTaskWorker) -> None:
    lock = threading.Lock()
    task_id = await worker.add_task(echo, lock)
    assert (await ended(worker, task_id)).result is lock
    assert worker.get_all_tasks()[0].result is lock


async def test_what_cannot_be_copied_in_metadata_is_shared(worker: AsyncTaskWorker) -> None:
    lock = threading.Lock()
    info = info_of(worker, await worker.add_task(echo, 1, metadata={"locks": [lock], ("any", "key"): {1}}))
    assert info.metadata["locks"][0] is lock
    assert info.metadata["any", "key"] == {1}


async def test_a_future_raises_the_very_error_of_its_task(worker: AsyncTaskWorker) -> None:
    error = LookupError("the one")

    async def fail() -> None:
        raise error

    task_id = await worker.add_task(fail)
    for wait in (worker.get_task_future(task_id), worker.wait_for_tasks([task_id])):
        with pytest.raises(LookupError) as caught:
            await wait
        assert caught.value is error
    detail = info_of(worker, task_id).error_detail
    assert detail is not None
    assert detail.exception is error


@pytest.mark.parametrize("name", ["SystemExit", "GeneratorExit", "OddError"])
async def test_what_is_no_exception_is_the_cause_of_the_failure_raised(worker: AsyncTaskWorker, name: str) -> None:
    task_id = await worker.add_task(fail_with, "text", name)
    with pytest.raises(TaskFailedError) as caught:
        await worker.get_task_future(task_id)
    assert type(caught.value.__cause__) is tasks.ERRORS[name]


async def test_the_failure_of_the_first_to_end_has_the_very_error_as_its_cause(worker: AsyncTaskWorker) -> None:
    error = LookupError("the one")

    async def fail() -> None:
        raise error

    task_id = await worker.add_task(fail)
    with pytest.raises(TaskFailedError) as caught:
        await worker.wait_for_any_task([task_id])
    assert caught.value.__cause__ is error


async def test_what_a_late_task_raised_is_the_cause_of_its_timeout(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(fail_on_cancel, 3600, "interrupted", timeout=1)
    with pytest.raises(TaskTimeoutError) as caught:
        await worker.get_task_future(task_id)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("after", [0, 1])
def test_a_keyboard_interrupt_in_a_task_goes_on_to_the_loop(after: float) -> None:
    """Ctrl-C hits whatever runs at that moment, and is meant for the program."""
    worker = AsyncTaskWorker()

    async def main() -> None:
        async with worker:
            await worker.add_task(fail_with, "", "KeyboardInterrupt", after, task_id="interrupted")
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main)
    assert info_of(worker, "interrupted").status is TaskStatus.FAILED
    assert info_of(worker, "interrupted").error == "KeyboardInterrupt"


async def test_what_only_running_a_task_needed_goes_with_its_end(worker: AsyncTaskWorker) -> None:
    class Large:
        """Stands for something nobody wants to keep for a week."""

    async def take(_positional: Large, *, named: Large) -> None:
        await asyncio.sleep(1)

    positional, named = Large(), Large()
    kept = [weakref.ref(thing) for thing in (positional, named, take)]
    task_id = await worker.add_task(take, positional, named=named)
    del positional, named, take
    await ended(worker, task_id)
    await settled()
    gc.collect()
    assert [reference() for reference in kept] == [None] * 3
    assert info_of(worker, task_id).name == "take"


async def test_a_waiting_task_holds_what_it_needs(worker: AsyncTaskWorker) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    held = [await worker.add_task(wait) for _ in range(2)]
    await running(worker, *held)

    async def short_lived(value: list[int]) -> list[int]:
        return value

    task_id = await worker.add_task(short_lived, [1, 2, 3])
    del short_lived
    gc.collect()
    gate.set()
    assert (await ended(worker, task_id)).result == [1, 2, 3]


async def test_a_partial_keeps_the_progress_callback_it_was_given(worker: AsyncTaskWorker) -> None:
    """What the user fills in is the user's: ours goes only where nothing stands yet."""
    reports: list[float] = []

    async def work(progress_callback: ProgressCallback) -> None:
        progress_callback(0.5)

    await worker.get_task_future(await worker.add_task(partial(work, progress_callback=reports.append)))
    assert reports == [0.5]
