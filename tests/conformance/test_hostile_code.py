"""User code that fights back costs its own task only: exceptions, futures and factories that misbehave."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskStatus, WorkerNotRunningError, task
from tests.conformance.from_inside_task import own_worker, use_worker
from tests.conftest import MakeWorker
from tests.support.backends import Backend
from tests.support.tasks import echo, fail_with, sleep_for, wait_at
from tests.support.waiting import running, settled


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class SecretiveError(Exception):
    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("none of your business")


class Unmeasurable:
    @property
    def nbytes(self) -> int:
        raise LeavingError


class LeavingError(BaseException):
    pass


class Nameless(type):
    __module__ = property(lambda _: 1 / 0)  # type: ignore[assignment]


class Uncancellable(asyncio.Future[None]):
    def cancel(self, msg: Any = None) -> bool:
        raise RuntimeError("not me")


ODD: dict[str, Exception] = {"frozen": FrozenError(3), "secretive": SecretiveError("x")}


@task("fail_oddly")
async def fail_oddly(error: str) -> None:
    raise ODD[error]


@task("wait_uncancellably")
async def wait_uncancellably() -> None:
    await uncancellable[-1]


@task("return_oddly")
async def return_oddly(result: str) -> object:
    return RESULTS[result]()


RESULTS: dict[str, Callable[[], object]] = {
    "unmeasurable": Unmeasurable,
    "of a nameless class": Nameless("C", (), {}),
}


uncancellable: list[Uncancellable] = []


@task("stop_and_stay")
async def stop_and_stay() -> None:
    await own_worker().stop()
    await asyncio.sleep(3600)


@pytest.mark.parametrize("error", ODD)
async def test_an_exception_that_cannot_be_touched_frees_its_slot(make_worker: MakeWorker, error: str) -> None:
    worker = await make_worker(max_workers=1)
    for timeout in (None, 5):
        task_id = await worker.add_task(fail_oddly, error, timeout=timeout)
        with pytest.raises(type(ODD[error])):
            await worker.get_task_future(task_id)
    assert await worker.get_task_future(await worker.add_task(echo, "next")) == "next"


class Illegible:
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def test_an_error_raised_twice_in_a_module_of_no_readable_name_frees_its_slot(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await make_worker(max_workers=1)
    monkeypatch.setitem(globals(), "__name__", Illegible())
    for _ in range(2):
        with pytest.raises(FrozenError):
            await worker.get_task_future(await worker.add_task(fail_oddly, "frozen"))


@pytest.mark.parametrize("result", RESULTS)
async def test_a_result_that_cannot_be_looked_at_frees_its_slot(make_worker: MakeWorker, result: str) -> None:
    worker = await make_worker(max_workers=1)
    for _ in range(2):
        returned = await worker.get_task_future(await worker.add_task(return_oddly, result))
        assert returned is not None
    await worker.search_tasks()
    assert await worker.get_task_future(await worker.add_task(echo, "next")) == "next"


async def test_a_future_that_refuses_its_cancellation_does_not_break_stop(
    make_worker: MakeWorker, backend: Backend
) -> None:
    uncancellable.append(Uncancellable())
    worker = await make_worker(max_workers=3)
    calls = (sleep_for, 60), (wait_uncancellably,), (sleep_for, 60)
    task_ids = [await worker.add_task(*call) for call in calls]
    await running(worker, *task_ids)
    await worker.stop(timeout=0.1)
    assert {info.status for info in worker.get_all_tasks()} == {backend.status_after_stop}
    uncancellable.pop().set_result(None)
    await settled()


async def test_a_task_factory_that_fails_fails_the_task_and_no_other(make_worker: MakeWorker) -> None:
    loop = asyncio.get_running_loop()
    refusing = True

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        if refusing and coro.__qualname__ == "TaskExecutor.run":
            raise TypeError("no context for you")
        return asyncio.Task(coro, loop=loop, **options)

    loop.set_task_factory(factory)
    try:
        worker = await make_worker(max_workers=1)
        task_ids = [await worker.add_task(echo, number, task_id=f"job {number}") for number in range(200)]
        await worker.drain()
        assert {worker.get_task_info(task_id).error for task_id in task_ids} == {"no context for you"}  # type: ignore[union-attr]
        refusing = False
        assert await worker.get_task_future(await worker.add_task(echo, "next")) == "next"
    finally:
        loop.set_task_factory(None)


async def test_an_id_of_an_odd_class_of_strings_is_taken_as_the_plain_one(worker: AsyncTaskWorker) -> None:
    class Odd(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no text")

    task_id = await worker.add_task(echo, 1, task_id=Odd("odd"))
    assert type(task_id) is str
    assert await worker.get_task_future("odd") == 1


async def test_a_task_cancelled_by_a_listener_before_it_is_queued_leaves_the_count_right(
    make_worker: MakeWorker,
) -> None:
    """Only an eager loop lets a listener get that far; what it does must not be counted twice."""
    worker = await make_worker(max_workers=1, max_queue_size=3, on_full="error")
    blocker = await worker.add_task(wait_at, "gate")
    await running(worker, blocker)

    def cancel_at_once(event: TaskEvent) -> None:
        if event.type == "task.created":
            with pytest.raises(StopIteration):
                worker.cancel_task(event.task.id).send(None)

    stop = worker.events.listen(cancel_at_once)
    for number in range(5):
        await worker.add_task(echo, number)
    stop()
    for number in range(3):
        await worker.add_task(echo, number)
    assert worker.counts()[TaskStatus.PENDING] == 3


async def test_many_waiters_on_one_failure_do_not_make_its_traceback_grow(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(fail_with, "wrong")
    tracebacks = set()
    for _ in range(20):
        with pytest.raises(ValueError, match="wrong"):
            await worker.wait_for_tasks([task_id])
        with pytest.raises(ValueError, match="wrong"):
            await worker.get_task_future(task_id)
        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.error_detail is not None
        tracebacks.add(info.error_detail.traceback)
    assert len(tracebacks) == 1


async def test_metadata_of_other_containers_is_copied_too(worker: AsyncTaskWorker) -> None:
    given = {"groups": defaultdict(list, a=[1]), "raw": bytearray(b"x")}
    task_id = await worker.add_task(echo, 1, metadata=given)
    given["groups"]["a"].append(2)
    given["raw"].extend(b"y")
    for _ in range(2):
        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.metadata == {"groups": {"a": [1]}, "raw": bytearray(b"x")}
        info.metadata["groups"]["a"].append(3)


async def test_metadata_too_deep_is_refused_before_anything_is_recorded(worker: AsyncTaskWorker) -> None:
    events: list[TaskEvent] = []
    worker.events.listen(events.append)
    for levels in (150, 500, 990):
        deep: dict[str, Any] = {}
        for _ in range(levels):
            deep = {"deeper": deep}
        with pytest.raises(ValueError, match="metadata"):
            await worker.add_task(echo, 1, metadata=deep)
    assert (worker.get_all_tasks(), events) == ([], [])


async def test_a_listener_removed_by_another_gets_no_more_events(worker: AsyncTaskWorker) -> None:
    heard: list[str] = []
    stops: list[Any] = []
    worker.events.listen(lambda _event: [stop() for stop in stops])
    stops.append(worker.events.listen(lambda event: heard.append(event.type)))
    await worker.get_task_future(await worker.add_task(echo, 1))
    assert heard == []


async def test_a_stop_from_outside_ends_the_task_that_stopped_the_worker_itself(
    make_worker: MakeWorker, backend: Backend
) -> None:
    worker = await make_worker(max_workers=2)
    use_worker(worker)
    task_id = await worker.add_task(stop_and_stay)
    while worker.is_running:
        await asyncio.sleep(0.1)
    await settled()
    assert worker.counts()[TaskStatus.RUNNING] == 1
    await worker.stop(timeout=0)
    info = worker.get_task_info(task_id)
    assert info is not None
    assert info.status is backend.status_after_stop


def test_a_worker_that_never_started_takes_nothing_even_without_a_loop() -> None:
    worker = AsyncTaskWorker()
    with pytest.raises(WorkerNotRunningError):
        worker.add_task(echo, 1).send(None)
    assert worker.get_all_tasks() == []


def test_a_loop_closed_over_waiters_does_not_stop_the_next_one() -> None:
    """Waiters of a future, of drain() and of events die with their loop; the worker goes on elsewhere."""
    worker = AsyncTaskWorker(max_workers=1, max_queue_size=1)
    loop = asyncio.new_event_loop()
    left: list[Any] = []

    async def leave_waiters() -> None:
        await worker.start()
        task_id = await worker.add_task(sleep_for, 3600)
        await asyncio.sleep(0)
        await worker.add_task(echo, 1)
        stream = worker.events.stream()
        left.append(stream)
        waits = (
            worker.wait_for_tasks([task_id]),
            worker.drain(),
            anext(stream),
            worker.add_task(echo, 2),
            worker.cancel_task(task_id),
        )
        left.extend(loop.create_task(wait) for wait in waits)  # type: ignore[arg-type]
        await asyncio.sleep(0)

    async def go_on() -> None:
        await worker.start()
        assert await worker.wait_for_tasks([await worker.add_task(echo, "next")], timeout=5) == ["next"]
        await worker.stop()

    loop.run_until_complete(leave_waiters())
    for left in asyncio.all_tasks(loop):
        left._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    asyncio.run(go_on())
