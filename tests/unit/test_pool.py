"""The pool with its queue and executor, by themselves: slots outlive whatever runs in them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from async_task_worker import TaskExecutor, TaskQueue, WorkerPool
from async_task_worker.model.clock import SYSTEM_CLOCK
from async_task_worker.model.outcome import StopReason
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TaskStatus
from async_task_worker.runtime import pool as pool_module
from async_task_worker.state.events import EventBus
from tests.support.tasks import (
    cancel_itself,
    echo,
    fail_with,
    note,
    notes,
    open_all_gates,
    open_gate,
    request_id,
    sleep_for,
    stubborn,
    swallow_cancel,
    take_turns,
    wait_at,
    write_request_id,
)
from tests.support.waiting import settled
from tests.unit.pool_parts import PoolParts, assert_all_slots_usable
from tests.unit.records import new_record

CANCELLED, COMPLETED, FAILED = TaskStatus.CANCELLED, TaskStatus.COMPLETED, TaskStatus.FAILED
PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING


@pytest.fixture
async def parts() -> AsyncIterator[PoolParts]:
    parts = PoolParts()
    await parts.pool.start()
    yield parts
    open_all_gates()
    await parts.pool.stop(0)
    await settled()


class TestAlone:
    """As documented: three parts, no worker."""

    async def test_the_trio_runs_what_is_put_into_the_queue(self) -> None:
        queue = TaskQueue()
        pool = WorkerPool(queue, TaskExecutor(), max_workers=3)
        records = [new_record(echo, number, priority=-number) for number in range(5)]
        for record in records:
            queue.put(record)
        await pool.start()
        await settled()
        assert [record.result for record in records] == [0, 1, 2, 3, 4]
        assert pool.free == 3
        await pool.stop()

    async def test_its_parameters_are_the_documented_ones(self) -> None:
        pool = WorkerPool(task_queue=TaskQueue(), task_executor=TaskExecutor())
        assert pool.free == 10
        await pool.start()
        assert await pool.cancel_running_task(task_id="unknown") is False
        await pool.stop(timeout=5.0)

    async def test_tasks_run_in_order_of_priority_then_of_arrival(self) -> None:
        parts = PoolParts(max_workers=1)
        for label, priority in (("late", 5), ("first", -1), ("second", -1), ("third", 0)):
            parts.add(note, label, priority=priority)
        await parts.pool.start()
        await settled()
        assert notes == ["first", "second", "third", "late"]
        await parts.pool.stop()

    async def test_starting_and_stopping_twice_does_no_harm(self, parts: PoolParts) -> None:
        await parts.pool.start()
        await assert_all_slots_usable(parts)
        await parts.pool.stop()
        await parts.pool.stop()
        waiting = await parts.run(echo, 1)
        assert waiting.status is PENDING
        await parts.pool.start()
        await settled()
        assert waiting.result == 1

    async def test_stopping_before_starting_does_nothing(self) -> None:
        await PoolParts().pool.stop()

    async def test_no_more_run_at_once_than_there_are_slots(self, parts: PoolParts) -> None:
        records = [parts.add(wait_at, "gate") for _ in range(5)]
        await settled()
        assert [record.status for record in records] == [RUNNING] * 2 + [PENDING] * 3
        assert parts.pool.running == set(records[:2])
        assert parts.pool.free == 0
        open_gate("gate")
        await settled()
        assert [record.status for record in records] == [COMPLETED] * 5

    async def test_each_job_has_an_asyncio_task_and_a_context_of_its_own(self, parts: PoolParts) -> None:
        tasks: set[asyncio.Task[Any] | None] = set()

        async def look() -> int:
            this = asyncio.current_task()
            tasks.add(this)
            assert this is not None
            return this.cancelling()

        for _ in range(3):
            assert (await parts.run(cancel_itself)).status is CANCELLED
            assert (await parts.run(look)).result == 0
        assert len(tasks) == 3
        assert asyncio.current_task() not in tasks
        request_id.set("mine")
        assert (await parts.run(write_request_id, "theirs")).result == "mine"
        assert (await parts.run(write_request_id, "others")).result == "mine"
        assert request_id.get() == "mine"

    async def test_a_failure_is_logged_with_its_traceback(
        self, parts: PoolParts, caplog: pytest.LogCaptureFixture
    ) -> None:
        record = await parts.run(fail_with, "wrong")
        (line,) = [line for line in caplog.records if line.levelno == logging.ERROR]
        assert record.id in line.getMessage()
        assert line.exc_info is not None
        assert line.exc_info[1] is record.error

    async def test_the_traceback_begins_in_the_users_code(self, parts: PoolParts) -> None:
        error = (await parts.run(fail_with, "wrong")).error
        assert error is not None
        assert error.__traceback__ is not None
        assert error.__traceback__.tb_frame.f_code.co_name == "fail_with"

    async def test_what_is_no_awaitable_after_all_is_an_error_of_the_task(self, parts: PoolParts) -> None:
        class Fraud:
            async def __call__(self) -> None: ...

        fraud: Any = Fraud()
        record = new_record(fraud)
        record.func = lambda: 5
        parts.ledger.admit(record)
        parts.queue.put(record)
        parts.pool.wake()
        await settled()
        assert isinstance(record.error, TypeError)
        await assert_all_slots_usable(parts)


ENDINGS: dict[str, Callable[[PoolParts, str], Any]] = {
    "cancel": lambda parts, task_id: parts.pool.cancel_running_task(task_id),
    "stop": lambda parts, task_id: parts.pool.stop(0),
    "timeout": lambda parts, task_id: asyncio.sleep(5),
}


class TestBeingTold:
    """Who asked for the end decides how it is recorded; what the code did then comes second."""

    @pytest.mark.parametrize(
        ("reason", "obeys", "swallows", "fails"),
        [
            ("cancel", CANCELLED, COMPLETED, FAILED),
            ("stop", CANCELLED, COMPLETED, FAILED),
            ("timeout", FAILED, FAILED, FAILED),
        ],
    )
    async def test_by_reason(
        self, parts: PoolParts, reason: str, obeys: TaskStatus, swallows: TaskStatus, fails: TaskStatus
    ) -> None:
        async def fail_when_told() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                raise ValueError("while leaving") from None

        for call, expected in (
            ((sleep_for, 60), obeys),
            ((swallow_cancel, 60), swallows),
            ((fail_when_told,), fails),
        ):
            record = await parts.run(*call, timeout=5)
            assert record.status is RUNNING
            await ENDINGS[reason](parts, record.id)
            await settled()
            assert record.status is expected
            await parts.pool.start()
        await assert_all_slots_usable(parts)

    async def test_a_timeout_error_has_the_timeout_and_the_cause(self, parts: PoolParts) -> None:
        own = ValueError("while leaving")

        async def fail_when_told() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                raise own from None

        record = await parts.run(fail_when_told, timeout=2.5)
        await asyncio.sleep(2.5)
        assert "2.5 seconds" in str(record.error)
        assert record.error is not None
        assert record.error.__cause__ is own

    async def test_a_timeout_error_of_its_own_keeps_its_text(self, parts: PoolParts) -> None:
        record = await parts.run(fail_with, "the server did not answer", "TimeoutError", timeout=5)
        assert str(record.error) == "the server did not answer"

    @pytest.mark.parametrize(
        "error", ["SystemExit", "GeneratorExit", "OddError", "StopAsyncIteration", "CancelledError"]
    )
    @pytest.mark.parametrize("after", [0, 1])
    async def test_whatever_is_raised_the_slot_is_freed(self, parts: PoolParts, error: str, after: int) -> None:
        records = [parts.add(fail_with, "", error, after) for _ in range(5)]
        await asyncio.sleep(5)
        await settled()
        assert {record.status for record in records} == {CANCELLED if error == "CancelledError" else FAILED}
        await assert_all_slots_usable(parts)

    async def test_the_first_reason_stands(self, parts: PoolParts) -> None:
        async def leave_slowly() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                raise

        late, cancelled = await parts.run(leave_slowly, timeout=1), await parts.run(leave_slowly, timeout=1)
        cancelling = asyncio.create_task(parts.pool.cancel_running_task(cancelled.id))
        await asyncio.sleep(1)
        assert await parts.pool.cancel_running_task(late.id) is False
        assert await cancelling is True
        assert (late.status, cancelled.status) == (FAILED, CANCELLED)


class TestLeavingBehind:
    @pytest.mark.parametrize("reason", ENDINGS)
    async def test_a_stubborn_task_goes_on_without_its_slot(self, parts: PoolParts, reason: str) -> None:
        record = await parts.run(stubborn, "gate", "late result", timeout=5 if reason == "timeout" else None)
        await ENDINGS[reason](parts, record.id)
        await asyncio.sleep(1)
        assert record.status is (FAILED if reason == "timeout" else CANCELLED)
        assert parts.pool.abandoned_tasks == 1
        await parts.pool.start()
        await assert_all_slots_usable(parts)

        before = record.info()
        open_gate("gate")
        await settled()
        assert parts.pool.abandoned_tasks == 0
        assert record.info() == before
        await assert_all_slots_usable(parts)

    async def test_one_that_is_left_behind_again_and_again_costs_no_slot(self, parts: PoolParts) -> None:
        records = [parts.add(stubborn, "gate", timeout=1) for _ in range(10)]
        await asyncio.sleep(60)
        assert {record.status for record in records} == {FAILED}
        assert parts.pool.abandoned_tasks == 10
        await assert_all_slots_usable(parts)
        open_gate("gate")
        await settled()
        assert parts.pool.abandoned_tasks == 0

    async def test_progress_of_an_abandoned_task_is_ignored(self, parts: PoolParts) -> None:
        async def report_later(progress_callback: Callable[[float], None]) -> None:
            await stubborn("gate")
            progress_callback(0.75)

        record = await parts.run(report_later)
        assert await parts.pool.cancel_running_task(record.id)
        before = record.info()
        open_gate("gate")
        await settled()
        assert record.info() == before

    async def test_its_error_is_not_mistaken_for_the_next_tasks(
        self, parts: PoolParts, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail_late() -> None:
            await stubborn("gate")
            raise ValueError("too late")

        record = await parts.run(fail_late)
        assert await parts.pool.cancel_running_task(record.id)
        others = [await parts.run(wait_at, "other") for _ in range(2)]
        open_gate("gate")
        await settled()
        assert [other.status for other in others] == [RUNNING, RUNNING]
        assert record.status is CANCELLED
        assert not [line for line in caplog.records if line.levelno >= logging.ERROR]

    async def test_a_cancellation_returns_within_a_second_even_during_a_stop(self, parts: PoolParts) -> None:
        loop = asyncio.get_running_loop()
        record = await parts.run(stubborn, "gate")
        begun = loop.time()
        stopping = asyncio.create_task(parts.pool.stop(0.9))
        assert await parts.pool.cancel_running_task(record.id) is True
        assert loop.time() - begun <= 1.001
        await stopping


class TestTurns:
    async def test_starting_many_tasks_lets_the_loop_turn_in_between(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pool_module, "_FILL_BUDGET", -1.0)  # every look at the clock finds that time is up
        parts = PoolParts(max_workers=100)
        records = [parts.add(take_turns, number % 3) for number in range(300)]
        most: list[int] = []

        def look() -> None:
            most.append(sum(record.attempt for record in records))
            if most[-1] < len(records):
                asyncio.get_running_loop().call_soon(look)

        look()
        await parts.pool.start()
        await settled()
        assert {record.status for record in records} == {COMPLETED}
        assert any(0 < started < 100 for started in most)
        await assert_all_slots_usable(parts, 100)
        await parts.pool.stop()

    async def test_a_task_interrupted_while_it_is_started_stops_at_once(self) -> None:
        """A listener hears of the start before the task has an asyncio Task that could be cancelled."""
        events = EventBus(SYSTEM_CLOCK.wall)
        parts = PoolParts(events=events)
        await parts.pool.start()

        def interrupt(kind: str, record: TaskRecord) -> None:
            if kind == "task.started":
                record.location.interrupt(StopReason.CANCEL)

        unsubscribe = events.subscribe_records(interrupt)
        begun = asyncio.get_running_loop().time()
        records = [await parts.run(sleep_for, 3600) for _ in range(3)]
        unsubscribe()
        assert {record.status for record in records} == {CANCELLED}
        assert asyncio.get_running_loop().time() == begun
        await assert_all_slots_usable(parts)
        await parts.pool.stop()


class TestStopping:
    async def test_it_waits_for_running_tasks_and_starts_no_other(self, parts: PoolParts) -> None:
        running = [await parts.run(sleep_for, 3, "done") for _ in range(2)]
        waiting = await parts.run(echo, 1)
        begun = asyncio.get_running_loop().time()
        await parts.pool.stop(60)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(3)
        assert [record.result for record in running] == ["done", "done"]
        assert waiting.status is PENDING

    async def test_inside_a_task_it_does_not_wait_for_that_task(self, parts: PoolParts) -> None:
        async def stop_it() -> str:
            await parts.pool.stop(60)
            return "went on"

        other, record = await parts.run(sleep_for, 5), await parts.run(stop_it)
        await asyncio.sleep(6)
        assert (other.status, record.result) == (COMPLETED, "went on")

    async def test_two_at_once_both_end(self, parts: PoolParts) -> None:
        record = await parts.run(stubborn, "gate")
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(parts.pool.stop(60), parts.pool.stop(1))
        assert asyncio.get_running_loop().time() - begun <= 2
        assert record.status is CANCELLED


class TestOthersTasks:
    """asyncio's list of tasks is open to everybody."""

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

    async def test_a_task_that_cancels_other_tasks_does_not_lose_their_slots(self, parts: PoolParts) -> None:
        async def cancel_all() -> None:
            for task in asyncio.all_tasks():
                task.cancel()
            await asyncio.sleep(0)

        neighbour, culprit = parts.add(sleep_for, 3600), parts.add(cancel_all)
        this = asyncio.current_task()
        assert this is not None
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            this.uncancel()
        await settled()
        assert (neighbour.status, culprit.status) == (CANCELLED, CANCELLED)
        await assert_all_slots_usable(parts)


@pytest.mark.other_loop
class TestOtherLoop:
    """The same on a loop that is not asyncio's own."""

    async def test_tasks_end_in_every_way(self, parts: PoolParts) -> None:
        records = [
            parts.add(*call, timeout=0.2)
            for call in (
                (echo, 1),
                (fail_with, "wrong"),
                (fail_with, "", "SystemExit"),
                (cancel_itself,),
                (sleep_for, 60),
            )
        ]
        await asyncio.sleep(0.3)
        assert [record.status for record in records] == [COMPLETED, FAILED, FAILED, CANCELLED, FAILED]
        await assert_all_slots_usable(parts)

    async def test_a_running_task_is_cancelled(self, parts: PoolParts) -> None:
        record = await parts.run(sleep_for, 60)
        assert await parts.pool.cancel_running_task(record.id)
        await assert_all_slots_usable(parts)


class TestClosedLoop:
    """A loop may be closed under the pool; the next one finds no trace of it."""

    def test_what_ran_ends_cancelled_and_what_waited_runs_on_the_next(self) -> None:
        parts = PoolParts()
        running: list[TaskRecord] = []
        waiting: list[TaskRecord] = []

        async def first() -> None:
            await parts.pool.start()
            running.extend([await parts.run(sleep_for, 3600) for _ in range(2)])
            waiting.extend([await parts.run(echo, number) for number in range(3)])

        async def second() -> None:
            await parts.pool.start()
            await settled()
            await assert_all_slots_usable(parts)
            await parts.pool.stop()

        asyncio.run(first())
        asyncio.run(second())
        assert {record.status for record in running} == {CANCELLED}
        assert {record.status for record in waiting} <= {COMPLETED, CANCELLED}

    def test_without_its_tasks_being_cancelled_first(self, loop_errors: list[str]) -> None:
        """Nobody can be told on a closed loop, so nobody is."""
        parts = PoolParts()
        loop = asyncio.new_event_loop()

        async def first() -> tuple[list[TaskRecord], TaskRecord, asyncio.Task[bool]]:
            await parts.pool.start()
            running = [await parts.run(deaf), await parts.run(sleep_for, 3600, timeout=60)]
            waiting = await parts.run(echo, 1)
            canceller = loop.create_task(parts.pool.cancel_running_task(running[0].id))
            await settled()
            return running, waiting, canceller

        async def second() -> None:
            await parts.pool.start()
            assert {record.status for record in running} == {CANCELLED}
            await settled()
            assert waiting.result == 1
            await assert_all_slots_usable(parts)
            await parts.pool.stop()

        running, waiting, canceller = loop.run_until_complete(first())
        loop.close()
        try:
            asyncio.run(second())
        finally:
            del canceller
            gc.collect()
            loop_errors.clear()  # asyncio complains that the closed loop's tasks are gone

    @pytest.mark.real_time
    def test_what_was_left_behind_on_it_counts_no_more(self, loop_errors: list[str]) -> None:
        parts = PoolParts()
        loop = asyncio.new_event_loop()

        async def first() -> None:
            await parts.pool.start()
            record = await parts.run(deaf)
            await parts.pool.cancel_running_task(record.id)
            assert parts.pool.abandoned_tasks == 1

        async def second() -> None:
            await parts.pool.start()
            assert parts.pool.abandoned_tasks == 0
            await parts.pool.stop()

        loop.run_until_complete(first())
        loop.close()
        try:
            asyncio.run(second())
        finally:
            gc.collect()
            loop_errors.clear()  # asyncio complains that the closed loop's tasks are gone

    def test_dropped_together_with_it_tasks_end_cancelled(self, loop_errors: list[str]) -> None:
        events = EventBus(SYSTEM_CLOCK.wall)
        ended: list[str] = []
        events.listen(lambda event: ended.append(event.type))

        async def leave() -> None:
            parts = PoolParts(events=events)
            await parts.pool.start()
            for _ in range(3):
                await parts.run(sleep_for, 3600)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()
        del loop
        gc.collect()
        assert ended.count("task.cancelled") == 2
        assert ended.count("task.started") == 2
        loop_errors.clear()  # asyncio complains that the closed loop's tasks are gone


async def deaf() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
