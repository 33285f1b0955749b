"""What is wrong with a call is said before there is a record of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskNotFoundError
from tests.conformance.event_helpers import ended, info_of, record_events, status_of
from tests.support import tasks
from tests.support.tasks import clean_up_for, echo, report_then_fail

Error = type[Exception] | tuple[type[Exception], ...]


@contextmanager
def refused(worker: AsyncTaskWorker, error: Error, saying: str) -> Iterator[None]:
    """Expect *error* with a text that names what it is about, and not a trace of the call."""
    events = record_events(worker)
    before = worker.counts(), worker.get_all_tasks()
    with pytest.raises(error, match=saying):
        yield
    assert (worker.counts(), worker.get_all_tasks()) == before
    assert events == []


def a_plain_function(value: object) -> object:
    return value


async def an_async_generator(value: object) -> Any:
    yield value


def containing_itself() -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    return metadata


NOT_TASKS = {
    "None": None,
    "plain function": a_plain_function,
    "lambda": lambda value: value,
    "builtin": print,
    "class": dict,
    "async generator": an_async_generator,
    "number": 42,
    "text": "echo",
}

BAD_OPTIONS = [
    ("priority", True, TypeError),
    ("priority", 1.0, TypeError),
    ("priority", math.nan, TypeError),
    ("priority", "1", TypeError),
    ("priority", None, TypeError),
    ("priority", 2**63, ValueError),
    ("priority", -(2**63) - 1, ValueError),
    ("priority", 10**400, ValueError),
    ("timeout", math.nan, ValueError),
    ("timeout", math.inf, ValueError),
    ("timeout", 0, ValueError),
    ("timeout", -0.0, ValueError),
    ("timeout", -1, ValueError),
    ("timeout", 10**400, ValueError),
    ("timeout", "5", TypeError),
    ("timeout", True, TypeError),
    ("timeout", timedelta(seconds=5), TypeError),
    ("timeout", 1j, TypeError),
    ("task_id", "", ValueError),
    ("task_id", 5, TypeError),
    ("task_id", b"bytes", TypeError),
    ("metadata", ["a", "list"], TypeError),
    ("metadata", [("key", "value")], TypeError),
    ("metadata", "text", TypeError),
    ("metadata", 5, TypeError),
    ("metadata", containing_itself(), ValueError),
    ("use_cache", "no", TypeError),
    ("use_cache", 1, TypeError),
    ("cache_ttl", "60", TypeError),
    ("cache_ttl", math.nan, ValueError),
    ("cache_ttl", True, TypeError),
    ("cache_key_fn", "key", TypeError),
]

BAD_ARGUMENTS = {
    "too few": ((), {}),
    "one too few": ((1,), {}),
    "too many": ((1, 2, 3, 4), {}),
    "unknown name": ((1, 2), {"surprise": 3}),
    "given twice": ((1, 2), {"seconds": 3}),
}


@pytest.mark.parametrize("function", NOT_TASKS.values(), ids=NOT_TASKS)
async def test_what_is_no_coroutine_function_is_refused(worker: AsyncTaskWorker, function: Any) -> None:
    with refused(worker, TypeError, "coroutine function"):
        await worker.add_task(function, 1)
    if not isinstance(function, str):  # there it is the name of a task type
        with refused(worker, TypeError, "coroutine function"):
            await worker.submit(function, (1,))


async def test_a_call_in_place_of_its_function_is_refused_without_a_warning(worker: AsyncTaskWorker) -> None:
    """It would otherwise be reported as never awaited."""
    with refused(worker, TypeError, "pass the function itself"):
        await worker.add_task(echo(1))


@pytest.mark.parametrize(("option", "value", "error"), BAD_OPTIONS)
async def test_a_bad_option_is_refused_by_name(
    worker: AsyncTaskWorker, option: str, value: Any, error: type[Exception]
) -> None:
    with refused(worker, error, option):
        await worker.add_task(echo, 1, **{option: value})
    with refused(worker, error, option):
        await worker.submit(echo, (1,), **{option: value})


@pytest.mark.parametrize(("args", "kwargs"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
async def test_arguments_the_function_does_not_take_are_refused(
    worker: AsyncTaskWorker, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with refused(worker, TypeError, "clean_up_for.*seconds"):
        await worker.add_task(clean_up_for, *args, **kwargs)
    with refused(worker, TypeError, "clean_up_for.*seconds"):
        await worker.submit(clean_up_for, args, kwargs)


async def test_arguments_are_checked_beside_the_progress_callback(worker: AsyncTaskWorker) -> None:
    with refused(worker, TypeError, "report_then_fail.*progress"):
        await worker.add_task(report_then_fail)
    with refused(worker, TypeError, "report_then_fail.*progress"):
        await worker.add_task(report_then_fail, 0.5, surprise=1)


@pytest.mark.parametrize("args", ["text", b"bytes", 5, None])
async def test_arguments_of_submit_come_as_a_list(worker: AsyncTaskWorker, args: Any) -> None:
    with refused(worker, TypeError, "args"):
        await worker.submit(echo, args)


@pytest.mark.parametrize("kwargs", [[("value", 1)], "value", 5, {1: 2}])
async def test_keyword_arguments_of_submit_come_as_a_mapping_of_names(worker: AsyncTaskWorker, kwargs: Any) -> None:
    with refused(worker, TypeError, "kwargs"):
        await worker.submit(echo, (), kwargs)


async def test_a_refused_call_leaves_the_worker_as_good_as_new(worker: AsyncTaskWorker) -> None:
    """A timeout of NaN, once among asyncio's timers, would freeze the process."""
    for option, value, error in BAD_OPTIONS:
        with pytest.raises(error):
            await worker.add_task(echo, 1, **{option: value})
    assert (await ended(worker, await worker.add_task(echo, "fine", timeout=5))).result == "fine"


async def test_an_id_that_was_refused_is_still_free(worker: AsyncTaskWorker) -> None:
    with refused(worker, ValueError, "timeout"):
        await worker.add_task(echo, 1, task_id="mine", timeout=math.nan)
    assert (await ended(worker, await worker.add_task(echo, 2, task_id="mine"))).result == 2


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("status", "done", ValueError),
        ("status", ["pending", "done"], ValueError),
        ("status", 5, ValueError),
        ("limit", -1, ValueError),
        ("limit", 1.5, TypeError),
        ("limit", True, TypeError),
        ("limit", "10", TypeError),
        ("older_than", -1, ValueError),
        ("older_than", timedelta(seconds=-1), ValueError),
        ("older_than", math.nan, ValueError),
        ("older_than", "1 day", TypeError),
    ],
)
async def test_a_bad_filter_is_refused_by_name(
    worker: AsyncTaskWorker, argument: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="(?i)" + argument):
        worker.get_all_tasks(**{argument: value})


@pytest.mark.parametrize("method", ["wait_for_tasks", "wait_for_any_task"])
@pytest.mark.parametrize(
    ("timeout", "error"), [(math.nan, ValueError), (-1, ValueError), ("5", TypeError), (True, TypeError)]
)
async def test_a_bad_time_to_wait_is_refused(
    worker: AsyncTaskWorker, method: str, timeout: Any, error: type[Exception]
) -> None:
    task_id = await worker.add_task(echo, 1)
    with refused(worker, error, "timeout"):
        await getattr(worker, method)([task_id], timeout=timeout)


@pytest.mark.parametrize("method", ["stop", "drain"])
@pytest.mark.parametrize(
    ("timeout", "error"), [(math.nan, ValueError), (math.inf, ValueError), (-1, ValueError), ("5", TypeError)]
)
async def test_a_bad_time_to_end_is_refused_and_the_worker_goes_on(
    worker: AsyncTaskWorker, method: str, timeout: Any, error: type[Exception]
) -> None:
    with refused(worker, error, "timeout"):
        await getattr(worker, method)(timeout)
    assert worker.is_running


@pytest.mark.parametrize("method", ["wait_for_tasks", "wait_for_any_task", "get_task_futures"])
async def test_a_single_id_in_place_of_several_is_refused(worker: AsyncTaskWorker, method: str) -> None:
    """It would otherwise be taken for a list of one-letter ids."""
    task_id = await worker.add_task(echo, 1)
    with pytest.raises(TypeError, match="task_ids"):
        await getattr(worker, method)(task_id)


async def test_an_unknown_id_raises_an_error(worker: AsyncTaskWorker) -> None:
    assert worker.get_task_info("unknown") is None
    assert await worker.cancel_task("unknown") is False
    with refused(worker, TaskNotFoundError, "'unknown'"):
        worker.get_task_future("unknown")


async def test_what_is_no_listener_is_refused(worker: AsyncTaskWorker) -> None:
    with pytest.raises(TypeError, match="listener"):
        worker.events.listen(None)
    task_id = await worker.add_task(echo, 1)
    await ended(worker, task_id)
    assert status_of(worker, task_id) == "completed"


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError)])
async def test_a_bad_buffer_is_refused(worker: AsyncTaskWorker, size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_buffer"):
        worker.events.stream(size)


async def test_metadata_may_hold_anything_that_does_not_hold_itself(worker: AsyncTaskWorker) -> None:
    shared = ["twice"]
    task_id = await worker.add_task(echo, 1, metadata={"one": shared, "two": shared})
    assert info_of(worker, task_id).metadata == {"one": ["twice"], "two": ["twice"]}
    assert tasks.notes == []
