"""Tasks that raise the same exception object: each keeps the traceback of its own raise, and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from typing import Final, NoReturn

import pytest

from async_task_worker import AsyncTaskWorker, task
from async_task_worker.model.failure import traceback_of
from tests.conformance.event_helpers import ended
from tests.conformance.from_inside_task import own_worker, use_worker

REFUSED: Final = PermissionError("refused")


@task("refuse")
async def refuse() -> NoReturn:
    """Raise the error that all of this module share."""
    raise REFUSED


@task("refuse_deeper")
async def refuse_deeper() -> NoReturn:
    """Raise it in a function of its own."""
    _refuse()


def _refuse() -> NoReturn:
    raise REFUSED


@task("refuse_again")
async def refuse_again() -> NoReturn:
    """Raise it, catch it and raise it once more."""
    try:
        _refuse()
    except PermissionError as error:
        error.add_note("again")
        raise error  # noqa: TRY201 - the form that puts another entry into the traceback


@task("refuse_in_a_helper")
async def refuse_in_a_helper() -> None:
    """Let it come out of a thread, which is part of what this task does."""
    await asyncio.to_thread(_refuse)


@task("wait_for_refusal")
async def wait_for_refusal(by_future: bool) -> None:
    """Fail because a task fails that this one waits for."""
    task_id = await own_worker().add_task(refuse)
    if by_future:
        await own_worker().get_task_future(task_id)
    await own_worker().wait_for_tasks([task_id])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BaseException.with_traceback(REFUSED, None)


def names_of(error: BaseException | None) -> list[str]:
    """Return the functions in the live traceback of an error."""
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(traceback_of(error))]


async def names_kept(worker: AsyncTaskWorker, task_id: str) -> list[str]:
    """Return the functions in the traceback that is kept of a task, those of the package left out."""
    info = await ended(worker, task_id)
    assert info.error_detail is not None
    own = [line for line in info.error_detail.traceback.splitlines() if line.startswith("  File")]
    return [line.rsplit(" in ", 1)[1] for line in own if "/async_task_worker/" not in line]


async def test_each_task_keeps_the_frames_of_its_own_raise(worker: AsyncTaskWorker) -> None:
    functions = {refuse: ["refuse"], refuse_deeper: ["refuse_deeper", "_refuse"]}
    added = [(await worker.add_task(function), names) for _ in range(3) for function, names in functions.items()]
    for task_id, names in added:
        assert await names_kept(worker, task_id) == names


async def test_what_is_caught_and_raised_again_keeps_both_places(worker: AsyncTaskWorker) -> None:
    for _ in range(3):
        task_id = await worker.add_task(refuse_again)
        assert await names_kept(worker, task_id) == ["refuse_again", "refuse_again", "_refuse"]


async def test_frames_of_a_thread_of_the_task_stay(worker: AsyncTaskWorker) -> None:
    first = await names_kept(worker, await worker.add_task(refuse_in_a_helper))
    assert first[0] == "refuse_in_a_helper"
    assert first[-1] == "_refuse"
    assert len(await names_kept(worker, await worker.add_task(refuse_in_a_helper))) <= len(first)


@pytest.mark.parametrize("way", ["future", "wait", "any"])
async def test_callers_that_wait_do_not_end_up_in_a_later_task(worker: AsyncTaskWorker, way: str) -> None:
    async def wait_for(task_id: str) -> None:
        if way == "future":
            await worker.get_task_future(task_id)
        elif way == "wait":
            await worker.wait_for_tasks([task_id])
        else:
            await worker.wait_for_any_task([task_id])

    seen = []
    for _ in range(4):
        task_id = await worker.add_task(refuse)
        with contextlib.suppress(Exception):
            await wait_for(task_id)
        assert await names_kept(worker, task_id) == ["refuse"]
        seen.append(names_of(REFUSED))
    assert seen[1:] == seen[:-1], "the live error does not grow"


async def test_each_waiter_gets_the_traceback_of_the_task_it_waits_for(worker: AsyncTaskWorker) -> None:
    deeper = worker.get_task_future(await worker.add_task(refuse_deeper))
    plain = [worker.get_task_future(await worker.add_task(refuse)) for _ in range(2)]
    await asyncio.wait([deeper, *plain])
    shown = []
    for future in (deeper, *plain):
        try:
            await future
        except PermissionError as error:
            shown.append(names_of(error)[1:])
    assert shown == [["refuse_deeper", "_refuse"], ["refuse"], ["refuse"]]


@pytest.mark.parametrize("by_future", [True, False])
async def test_a_task_that_fails_with_one_it_waited_for_shows_both(worker: AsyncTaskWorker, by_future: bool) -> None:
    use_worker(worker)
    for _ in range(3):
        task_id = await worker.add_task(wait_for_refusal, by_future)
        assert await names_kept(worker, task_id) == ["wait_for_refusal", "refuse"]


async def test_followers_keep_the_traceback_of_their_leader(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(refuse_deeper, use_cache=True) for _ in range(3)]
    waiting = [worker.get_task_future(task_id) for task_id in ids]
    await asyncio.wait(waiting)
    for task_id in ids:
        assert await names_kept(worker, task_id) == ["refuse_deeper", "_refuse"]
