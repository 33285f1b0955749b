"""Futures for tasks: what each ending becomes, and that nobody's future is anybody else's business."""

from __future__ import annotations

import asyncio
import gc

import pytest

from async_task_worker import TaskFailedError
from async_task_worker.model.clock import SYSTEM_CLOCK
from async_task_worker.model.outcome import CANCELLED_OUTCOME, Outcome, completed, failed
from async_task_worker.state.events import EventBus
from async_task_worker.state.futures import TaskFutures
from async_task_worker.state.ledger import Ledger
from tests.support.waiting import settled
from tests.unit.records import admitted


class FutureParts:
    """A ledger and the futures for its tasks."""

    def __init__(self) -> None:
        events = EventBus(SYSTEM_CLOCK.wall)
        self.ledger = Ledger(events)
        self.futures = TaskFutures(events)

    def future(self, outcome: Outcome, *, asked: str) -> asyncio.Future[object]:
        """Return the future of a task that ends like that, asked for before or after it does."""
        record = admitted(self.ledger)
        self.ledger.start(record)
        if asked == "before":
            future = self.futures.future_for(record)
            assert not future.done()
        self.ledger.settle(record, outcome)
        return future if asked == "before" else self.futures.future_for(record)


@pytest.fixture
def parts() -> FutureParts:
    return FutureParts()


WHEN = pytest.mark.parametrize("asked", ["before", "after"])


@WHEN
async def test_a_completed_task_gives_its_result(parts: FutureParts, asked: str) -> None:
    result = object()
    assert await parts.future(completed(result), asked=asked) is result


@WHEN
async def test_a_cancelled_task_gives_a_cancelled_future(parts: FutureParts, asked: str) -> None:
    assert parts.future(CANCELLED_OUTCOME, asked=asked).cancelled()


@WHEN
async def test_a_failed_task_gives_its_own_error(parts: FutureParts, asked: str) -> None:
    error = ValueError("wrong")
    assert parts.future(failed(error), asked=asked).exception() is error


@WHEN
@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), KeyboardInterrupt(), StopIteration(1), BaseException()]
)
async def test_an_error_no_future_can_carry_arrives_as_a_cause(
    parts: FutureParts, asked: str, error: BaseException
) -> None:
    arrived = parts.future(failed(error), asked=asked).exception()
    assert type(arrived) is TaskFailedError
    assert arrived.__cause__ is error
    assert (str(error) or type(error).__name__) in str(arrived)
    assert arrived.task_id


@WHEN
async def test_a_failure_that_is_not_retrieved_logs_nothing(
    parts: FutureParts, asked: str, loop_errors: list[str]
) -> None:
    parts.future(failed(ValueError("wrong")), asked=asked)
    await asyncio.sleep(0)
    gc.collect()
    assert loop_errors == []


async def test_each_caller_has_a_future_of_its_own(parts: FutureParts) -> None:
    record = admitted(parts.ledger)
    first, second, third = (parts.futures.future_for(record) for _ in range(3))
    first.cancel()
    parts.ledger.settle(record, completed(7))
    assert (first.cancelled(), await second, await third) == (True, 7, 7)
    assert len({id(first), id(second), id(third)}) == 3


async def test_cancelled_futures_are_dropped_while_their_task_runs(parts: FutureParts) -> None:
    """A program that polls with a timeout must not grow with every look."""
    record = admitted(parts.ledger)
    futures = [parts.futures.future_for(record) for _ in range(3)]
    for _ in range(10_000):
        parts.futures.future_for(record).cancel()
    assert len(parts.futures._waiting[record.id]) < 20
    parts.ledger.settle(record, completed(7))
    assert [await future for future in futures] == [7, 7, 7]


async def test_nothing_is_kept_of_a_task_that_has_ended(parts: FutureParts) -> None:
    for outcome in (completed(1), CANCELLED_OUTCOME, failed(ValueError("wrong"))):
        parts.future(outcome, asked="before")
        parts.future(outcome, asked="after")
    assert not parts.futures._waiting
    assert not parts.futures._completion_callbacks


async def test_a_callback_of_a_future_may_ask_for_another(parts: FutureParts) -> None:
    record = admitted(parts.ledger)
    second: list[asyncio.Future[object]] = []
    first = parts.futures.future_for(record)
    first.add_done_callback(lambda _: second.append(parts.futures.future_for(record)))
    parts.ledger.settle(record, completed(7))
    await settled()
    assert first.done()
    assert await second[0] == 7
