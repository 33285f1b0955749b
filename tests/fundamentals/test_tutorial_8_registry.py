"""Lesson 8: tasks by name, for programs that learn at run time what to do."""

from __future__ import annotations

import pytest

from async_task_worker import AsyncTaskWorker, get_all_task_types, get_task_function, register_task, task


@task("tutorial.add")
async def add(left: int, right: int) -> int:
    """The decorator leaves the function as it is and remembers it under the name."""
    return left + right


async def multiply(left: int, right: int) -> int:
    return left * right


async def test_find_a_function_by_its_name() -> None:
    function = get_task_function("tutorial.add")
    assert function is add
    async with AsyncTaskWorker() as worker:
        task_id = await worker.add_task(function, 2, 3)
        assert await worker.get_task_future(task_id) == 5


async def test_do_what_a_message_says() -> None:
    message = {"type": "tutorial.add", "params": {"left": 2, "right": 3}, "priority": 1}
    function = get_task_function(message["type"])
    async with AsyncTaskWorker() as worker:
        # `submit` keeps what is for the task apart from what is for the worker.
        task_id = await worker.submit(function, kwargs=message["params"], priority=message["priority"])
        assert await worker.get_task_future(task_id) == 5


async def test_the_name_is_shown_with_the_task() -> None:
    async with AsyncTaskWorker() as worker:
        await worker.add_task(add, 2, 3)
        await worker.drain()
        assert [info.name for info in worker.get_all_tasks()] == ["tutorial.add"]


def test_register_without_the_decorator() -> None:
    register_task("tutorial.multiply", multiply)
    assert get_task_function("tutorial.multiply") is multiply
    assert {"tutorial.add", "tutorial.multiply"} <= set(get_all_task_types())


def test_an_unregistered_name() -> None:
    assert get_task_function("tutorial.unheard_of") is None


def test_the_latest_registration_of_a_name_counts() -> None:
    async def first() -> None: ...

    async def second() -> None: ...

    register_task("tutorial.replaced", first)
    register_task("tutorial.replaced", second)
    assert get_task_function("tutorial.replaced") is second


@pytest.mark.parametrize("wrong", [print, lambda left, right: left + right, None])
def test_only_coroutine_functions_are_tasks(wrong: object) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        register_task("tutorial.wrong", wrong)
    assert get_task_function("tutorial.wrong") is None


def test_the_decorator_wants_a_name() -> None:
    with pytest.raises(TypeError, match="name"):
        task(multiply)
    with pytest.raises(ValueError, match="empty"):
        task("")(multiply)
