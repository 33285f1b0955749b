"""The pool on a loop with a task factory: its tasks are made by that, and everything else stays the same."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TaskStatus
from tests.support.factories import BROKEN, WORKING, Factory, set_for_jobs
from tests.support.tasks import add, cancel_itself, echo, fail_with, open_all_gates, request_id, sleep_for
from tests.support.waiting import settled
from tests.unit.pool_parts import PoolParts, assert_all_slots_usable

CANCELLED, COMPLETED, FAILED = TaskStatus.CANCELLED, TaskStatus.COMPLETED, TaskStatus.FAILED
PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING


@pytest.fixture
async def parts() -> AsyncIterator[PoolParts]:
    parts = PoolParts()
    await parts.pool.start()
    yield parts
    set_for_jobs(None)
    open_all_gates()
    await parts.pool.stop(0)
    await settled()


@pytest.mark.parametrize("factory", WORKING.values(), ids=WORKING)
class TestWorking:
    """Whatever works for asyncio's own tasks works for ours; it is set after the start."""

    @pytest.fixture
    async def parts(self, parts: PoolParts, factory: Factory) -> PoolParts:
        set_for_jobs(factory)
        return parts

    async def test_tasks_run_in_their_own_context_under_their_own_name(self, parts: PoolParts) -> None:
        async def look() -> tuple[str, str | None]:
            await asyncio.sleep(0)  # an eager one is given its name after its first step
            this = asyncio.current_task()
            assert this is not None
            return this.get_name(), request_id.get()

        context = contextvars.copy_context()
        context.run(request_id.set, "r-1")
        record = context.run(parts.add, look, task_id="a")
        await settled()
        assert record.result == ("a", "r-1")

    async def test_every_ending_frees_the_slot(self, parts: PoolParts) -> None:
        for call in ((echo, 1), (fail_with, "", "SystemExit"), (cancel_itself,), (sleep_for, 1), (add, 1, 2)):
            for _ in range(3):
                await parts.run(*call, timeout=2)
        await asyncio.sleep(5)
        await assert_all_slots_usable(parts)

    @pytest.mark.parametrize("moment", range(4))
    async def test_a_cancellation_at_any_step_frees_the_slot(self, parts: PoolParts, moment: int) -> None:
        begun = asyncio.get_running_loop().time()
        record = parts.add(sleep_for, 3600)
        while record.status is PENDING:
            await asyncio.sleep(0)
        for _ in range(moment):
            await asyncio.sleep(0)
        assert await parts.pool.cancel_running_task(record.id)
        assert asyncio.get_running_loop().time() == begun
        assert record.status is CANCELLED
        await assert_all_slots_usable(parts)

    @pytest.mark.parametrize("moment", range(4))
    async def test_foreign_code_cancels_all_asyncio_tasks(self, parts: PoolParts, moment: int) -> None:
        records = [parts.add(sleep_for, 3600) for _ in range(4)]
        for _ in range(moment):
            await asyncio.sleep(0)
        for _ in range(4):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await settled()
        assert {record.status for record in records} == {CANCELLED}
        await assert_all_slots_usable(parts)

    async def test_cancelled_before_its_first_step_it_gives_its_slot_back(
        self, parts: PoolParts, factory: Factory
    ) -> None:
        """The moment between a Task's making and its first step: its coroutine could be dropped unrun."""

        def cancel_new(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
            task = factory(loop, coro, **options)
            task.cancel()
            return task

        set_for_jobs(cancel_new)
        await parts.pool.stop(0)
        await parts.pool.start()
        records = [parts.add(sleep_for, 3600) for _ in range(4)]
        await settled()
        set_for_jobs(factory)
        assert {record.status for record in records} == {CANCELLED}
        await assert_all_slots_usable(parts)

    async def test_a_timeout_ends_it(self, parts: PoolParts) -> None:
        record = parts.add(sleep_for, 3600, timeout=2)
        await asyncio.sleep(3)
        assert (record.status, str(record.error)) == (FAILED, "Task timed out after 2 seconds")
        await assert_all_slots_usable(parts)

    async def test_stopping_cuts_it_off(self, parts: PoolParts) -> None:
        records = [parts.add(sleep_for, 3600) for _ in range(2)]
        await settled()
        await parts.pool.stop(1)
        assert {record.status for record in records} == {CANCELLED}
        assert parts.pool.abandoned_tasks == 0

    async def test_taken_away_again_it_is_not_asked_any_more(self, parts: PoolParts) -> None:
        first = await parts.run(sleep_for, 1)
        set_for_jobs(raising)
        second = await parts.run(echo, 2)
        set_for_jobs(None)
        third = await parts.run(echo, 3)
        await asyncio.sleep(2)
        assert [record.status for record in (first, second, third)] == [COMPLETED, FAILED, COMPLETED]
        await assert_all_slots_usable(parts)


def raising(*_: object) -> None:
    raise RuntimeError("no task today")


def once(broken: Factory) -> Factory:
    """Return a factory that is broken at its first call only."""
    calls = 0

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return broken(loop, coro, **options) if calls == 1 else asyncio.Task(coro, loop=loop, **options)

    return factory


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(("factory", "error"), BROKEN.values(), ids=BROKEN)
class TestBroken:
    """A factory that fails, fails the task it was asked for and no other."""

    async def test_the_others_run_one_in_each_slot(self, parts: PoolParts, factory: Factory, error: str) -> None:
        running = 0
        most = 0

        async def count() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        set_for_jobs(once(factory))
        records = [parts.add(count) for _ in range(9)]
        await asyncio.sleep(10)
        assert [record.status for record in records] == [FAILED] + [COMPLETED] * 8
        assert error in str(records[0].error)
        assert most == 2
        await assert_all_slots_usable(parts)

    async def test_whichever_of_them_follows_another(self, parts: PoolParts, factory: Factory, error: str) -> None:
        """The next task is started at the end of the one before it, not from the queue's filling."""
        held = [await parts.run(sleep_for, 1) for _ in range(2)]
        records = [parts.add(echo, number) for number in range(20)]
        set_for_jobs(factory)
        await asyncio.sleep(5)
        set_for_jobs(None)
        assert {record.status for record in held} == {COMPLETED}
        assert {record.status for record in records} == {FAILED}
        await assert_all_slots_usable(parts)


class TestOddOnes:
    """Tasks that are let go of later, or go on where nobody can stop them."""

    async def test_a_wrapper_that_waits_for_ever_before_it_begins_runs_out_of_time(self, parts: PoolParts) -> None:
        def stuck(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            async def traced() -> Any:
                await asyncio.sleep(3600)
                return await coro

            return asyncio.Task(traced(), loop=loop, **options)

        set_for_jobs(stuck)
        record = parts.add(echo, 1, timeout=5)
        cancelled = await parts.run(echo, 2)
        assert await parts.pool.cancel_running_task(cancelled.id)
        await asyncio.sleep(6)
        set_for_jobs(None)
        assert (record.status, str(record.error)) == (FAILED, "Task timed out after 5 seconds")
        await assert_all_slots_usable(parts)

    async def test_a_timeout_counts_from_the_first_step_of_the_function(self, parts: PoolParts) -> None:
        def slow(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            async def traced() -> Any:
                await asyncio.sleep(4)
                return await coro

            return asyncio.Task(traced(), loop=loop, **options)

        set_for_jobs(slow)
        record = parts.add(sleep_for, 4, "in time", timeout=5)
        await asyncio.sleep(9)
        assert record.result == "in time"

    async def test_what_a_shield_keeps_from_being_cancelled_counts_as_abandoned_until_it_ends(
        self, parts: PoolParts
    ) -> None:
        def shielded(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            async def traced() -> Any:
                return await asyncio.shield(asyncio.Task(coro, loop=loop))

            return asyncio.Task(traced(), loop=loop, **options)

        set_for_jobs(shielded)
        records = [await parts.run(sleep_for, 10) for _ in range(2)]
        set_for_jobs(None)
        assert await parts.pool.cancel_running_task(records[0].id)
        assert parts.pool.abandoned_tasks == 1
        await assert_all_slots_alive_but(parts, records[1])
        await asyncio.sleep(11)
        assert parts.pool.abandoned_tasks == 0
        assert records[0].status is CANCELLED
        await assert_all_slots_usable(parts)

    async def test_dropping_a_started_coroutine_ends_its_task(self, parts: PoolParts) -> None:
        def forgetful(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            async def traced() -> Any:
                coro.send(None)

            return asyncio.Task(traced(), loop=loop, **options)

        set_for_jobs(forgetful)
        record = parts.add(sleep_for, 3600)
        await settled()
        gc.collect()
        await settled()
        set_for_jobs(None)
        assert record.status is FAILED
        assert parts.pool.abandoned_tasks == 0
        await assert_all_slots_usable(parts)

    async def test_one_that_schedules_the_coroutine_but_returns_none_runs_nothing(
        self, parts: PoolParts, loop_errors: list[str]
    ) -> None:
        """It forgot its ``return``."""
        made: list[asyncio.Task[Any]] = []

        def silent(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            made.append(asyncio.Task(coro, loop=loop, **options))

        ran: list[int] = []

        async def run() -> None:
            ran.append(1)

        set_for_jobs(silent)
        record = await parts.run(run)
        set_for_jobs(None)
        assert record.status is FAILED
        assert ran == []
        assert "already awaited" in str(made.pop().exception())
        await assert_all_slots_usable(parts)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has no eager tasks yet")
    async def test_one_that_fails_after_an_eager_task_has_ended_changes_nothing_of_that(self, parts: PoolParts) -> None:
        def too_late(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
            asyncio.eager_task_factory(loop, coro, **options)
            raise RuntimeError("too late")

        set_for_jobs(too_late)
        record = await parts.run(echo, 1)
        set_for_jobs(None)
        assert record.result == 1
        await assert_all_slots_usable(parts)

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    def test_what_never_began_on_a_loop_that_was_closed_has_ended_on_the_next(self, loop_errors: list[str]) -> None:
        parts = PoolParts()
        loop = asyncio.new_event_loop()
        loop.set_task_factory(WORKING["closure"])

        async def first() -> list[TaskRecord]:
            await parts.pool.start()
            records = [parts.add(sleep_for, 3600) for _ in range(2)]
            while records[0].status is PENDING:
                await asyncio.sleep(0)
            return records

        async def second() -> None:
            await parts.pool.start()
            gc.collect()
            await settled()
            assert {record.status for record in records} == {CANCELLED}
            await assert_all_slots_usable(parts)
            await parts.pool.stop()

        records = loop.run_until_complete(first())
        loop.close()
        asyncio.run(second())
        gc.collect()
        loop_errors.clear()  # asyncio complains that the closed loop's tasks are gone


async def assert_all_slots_alive_but(parts: PoolParts, running: TaskRecord) -> None:
    record = await parts.run(echo, "free")
    assert record.result == "free"
    assert parts.pool.running == {running}
