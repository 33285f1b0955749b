"""consume=False: a program that adds tasks to a file and watches them, and runs none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    NotRegisteredError,
    QueueFullError,
    StorageInUseError,
    TaskStatus,
    WorkerNotRunningError,
    task,
)
from tests.support.tasks import add, echo

Make = Callable[..., AsyncTaskWorker]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a worker on one file; it only adds tasks unless told otherwise."""

    def make_worker(**options: object) -> AsyncTaskWorker:
        given: dict[str, object] = {"consume": False, "backend": f"sqlite:///{tmp_path / 'tasks.db'}", **options}
        return AsyncTaskWorker(**given)  # type: ignore[arg-type]

    return make_worker


async def test_what_was_added_runs_on_the_next_worker(make: Make) -> None:
    async with make() as client:
        by_function = await client.add_task(add, 1, 2)
        by_name = await client.submit("add", (3, 4))
        assert client.counts()[TaskStatus.PENDING] == 2

    async with make(consume=True) as worker:
        assert await worker.wait_for_tasks([by_function, by_name]) == [3, 7]


async def test_a_name_without_code_runs_where_it_is_registered(make: Make) -> None:
    async with make() as client:
        task_id = await client.submit("only the other program has this", [20], {"by": 2}, priority=3)
        info = client.get_task_info(task_id)
        assert info is not None
        assert (info.name, info.status, info.phase) == ("only the other program has this", "pending", None)

    @task("only the other program has this")
    async def multiply(number: int, by: int) -> int:
        return number * by

    async with make(consume=True) as worker:
        assert await worker.get_task_future(task_id) == 40
        info = worker.get_task_info(task_id)
        assert info is not None
        assert info.priority == 3


async def test_tasks_of_earlier_processes_are_seen_and_left_alone(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    async with make() as client:
        task_id = await client.submit("nobody registers this")
    async with make() as client:
        found = client.get_all_tasks("pending")
        assert [(info.id, info.phase) for info in found] == [(task_id, None)]
        assert client.unregistered_tasks == {}
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_a_function_that_is_not_registered_is_refused(make: Make) -> None:
    async def unnamed() -> None:
        """Have no name that another program could find it by."""

    async with make() as client:
        with pytest.raises(NotRegisteredError):
            await client.add_task(unnamed)
        with pytest.raises(ValueError, match="must not be empty"):
            await client.submit("")


async def test_it_cancels_what_is_pending(make: Make) -> None:
    async with make() as client:
        task_id = await client.submit("add", (1, 2))
        assert await client.cancel_task(task_id)
        assert not await client.cancel_task(task_id)
        with pytest.raises(asyncio.CancelledError):
            await client.get_task_future(task_id)
    async with make(consume=True) as worker:
        info = await worker.fetch_task_info(task_id)
        assert info is not None
        assert info.status == "cancelled"


async def test_waiting_for_a_task_fails_when_the_client_stops(make: Make) -> None:
    async with make() as client:
        future = client.get_task_future(await client.submit("add", (1, 2)))
        with pytest.raises(TimeoutError):
            await client.wait_for_tasks([await client.submit("add", (1, 2))], timeout=0)
    with pytest.raises(WorkerNotRunningError):
        await future


async def test_drain_raises_if_it_would_never_end(make: Make) -> None:
    async with make() as client:
        await client.submit("add", (1, 2))
        with pytest.raises(WorkerNotRunningError, match="consume=False"):
            await client.drain()


async def test_a_bounded_queue_is_bounded_here_too(make: Make) -> None:
    async with make(max_queue_size=2, on_full="error") as client:
        await client.submit("add", (1, 2))
        await client.submit("add", (3, 4))
        with pytest.raises(QueueFullError):
            await client.submit("add", (5, 6))


async def test_a_full_queue_raises_if_waiting_would_never_end(make: Make) -> None:
    async with make(max_queue_size=1, on_full="wait") as client:
        await client.submit("add", (1, 2))
    async with make(max_queue_size=1, on_full="wait") as client:
        with pytest.raises(QueueFullError, match="max_queue_size is 1"):
            await client.submit("add", (3, 4))


async def test_a_cached_result_is_not_asked_for_by_a_name_without_code(make: Make) -> None:
    """Two names without code share no function, so a key made of that would be one for both."""
    async with make(cache_enabled=True) as client:
        first = await client.submit("no code for this", ("a",))
        second = await client.submit("nor for this", ("a",))
        infos = [client.get_task_info(task_id) for task_id in (first, second)]
        assert [info.phase for info in infos if info is not None] == [None, None]


async def test_a_second_process_gets_an_error_with_the_alternatives(make: Make) -> None:
    async with make(consume=True):
        with pytest.raises(StorageInUseError, match="HTTP"):
            await make().start()


async def test_a_restarted_client_takes_tasks_again(make: Make) -> None:
    client = make()
    async with client:
        first = await client.add_task(echo, "first")
    async with client:
        second = await client.add_task(echo, "second")
        assert [info.id for info in client.get_all_tasks("pending")] == [second, first]


def test_in_memory_nothing_would_ever_run_them() -> None:
    with pytest.raises(ValueError, match=r"sqlite:///tasks\.db"):
        AsyncTaskWorker(consume=False)
    with pytest.raises(TypeError, match="consume"):
        AsyncTaskWorker(consume="no")  # type: ignore[arg-type]
