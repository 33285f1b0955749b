"""Ledger.observe: tasks that another process owns, mirrored as they are seen there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from async_task_worker import TaskEvent, TaskFailedError, TaskInfo, TaskStatus
from async_task_worker.state.events import EventBus
from async_task_worker.state.futures import TaskFutures
from async_task_worker.state.ledger import Ledger
from tests.unit.records import ENDINGS, ManualClock, admitted

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
FINAL = [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED]


class Fleet:
    """A task on the ledger of its own process, and a ledger elsewhere that mirrors it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.owner = Ledger(clock=self.clock.clock)
        self.events = EventBus(self.clock.clock.wall)
        self.elsewhere = Ledger(self.events, self.clock.clock)
        self.futures = TaskFutures(self.events)
        self.heard: list[TaskEvent] = []
        self.events.listen(self.heard.append)
        self.record = admitted(self.owner, priority=3, metadata={"of": ["the", "owner"]})

    def seen(self) -> TaskInfo:
        """Return the task as its owner has it."""
        return self.record.info()

    def mirrored(self) -> TaskInfo:
        """Return the task as the other process has it."""
        found = self.elsewhere.info(self.record.id)
        assert found is not None
        return found

    def told(self) -> list[str]:
        """Return what was heard since the last call, without the prefix."""
        kinds = [event.type.removeprefix("task.") for event in self.heard]
        self.heard.clear()
        return kinds


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_a_life_seen_step_by_step_is_the_owners(fleet: Fleet) -> None:
    assert fleet.elsewhere.observe(fleet.seen())
    assert fleet.mirrored() == fleet.seen()

    fleet.clock.advance(2.0)
    fleet.owner.start(fleet.record)
    assert fleet.elsewhere.observe(fleet.seen())
    assert fleet.mirrored() == fleet.seen()
    assert fleet.elsewhere.counts()[RUNNING] == 1

    fleet.owner.report(fleet.record, 0.5)
    assert fleet.elsewhere.observe(fleet.seen())
    assert fleet.mirrored() == fleet.seen()

    fleet.owner.settle(fleet.record, ENDINGS[TaskStatus.COMPLETED])
    assert fleet.elsewhere.observe(fleet.seen())
    assert fleet.mirrored() == fleet.seen()
    assert fleet.elsewhere.counts() == fleet.owner.counts()
    assert [kind for kind in fleet.told() if kind != "progress"] == ["created", "started", "completed"]


@pytest.mark.parametrize("status", FINAL)
def test_an_end_seen_at_once_is_whole(fleet: Fleet, status: TaskStatus) -> None:
    """The other process may look only now, when the task has ended."""
    fleet.owner.start(fleet.record)
    fleet.clock.advance(2.0)
    fleet.owner.settle(fleet.record, ENDINGS[status])
    fleet.clock.advance(2.0)
    assert fleet.elsewhere.observe(fleet.seen())
    assert fleet.mirrored() == fleet.seen()
    assert fleet.elsewhere.counts() == fleet.owner.counts()
    assert fleet.told() == ["created", str(status)]


def test_a_requeued_task_is_pending_again(fleet: Fleet) -> None:
    fleet.owner.start(fleet.record)
    fleet.elsewhere.observe(fleet.seen())
    fleet.owner.requeue(fleet.record, "recovered")
    fleet.told()
    assert fleet.elsewhere.observe(fleet.seen())
    assert (fleet.mirrored(), fleet.told()) == (fleet.seen(), ["released"])
    assert fleet.elsewhere.counts()[RUNNING] == 0


def test_a_changed_priority_is_published(fleet: Fleet) -> None:
    fleet.elsewhere.observe(fleet.seen())
    fleet.owner.reprioritize(fleet.record, 1)
    fleet.told()
    assert fleet.elsewhere.observe(fleet.seen())
    assert (fleet.mirrored().priority, fleet.told()) == (1, ["reprioritized"])


def test_what_is_not_newer_changes_nothing(fleet: Fleet) -> None:
    before = fleet.seen()
    fleet.owner.start(fleet.record)
    fleet.elsewhere.observe(fleet.seen())
    fleet.told()
    assert not fleet.elsewhere.observe(before)
    assert not fleet.elsewhere.observe(fleet.seen())
    assert (fleet.mirrored(), fleet.told()) == (fleet.seen(), [])


def test_an_end_stays_whatever_is_seen_later(fleet: Fleet) -> None:
    fleet.owner.settle(fleet.record, ENDINGS[TaskStatus.CANCELLED])
    fleet.elsewhere.observe(fleet.seen())
    late = replace(fleet.seen(), status=RUNNING, completed_at=None, revision=fleet.seen().revision + 9)
    assert not fleet.elsewhere.observe(late)
    assert fleet.mirrored().status is TaskStatus.CANCELLED


@pytest.mark.parametrize("status", FINAL)
async def test_futures_of_other_processes_are_resolved(fleet: Fleet, status: TaskStatus) -> None:
    fleet.elsewhere.observe(fleet.seen())
    mirrored = fleet.elsewhere.get(fleet.record.id)
    assert mirrored is not None
    future: asyncio.Future[Any] = fleet.futures.future_for(mirrored)
    fleet.owner.settle(fleet.record, ENDINGS[status])
    fleet.elsewhere.observe(fleet.seen())
    if status is TaskStatus.CANCELLED:
        assert future.cancelled()
    elif status is TaskStatus.FAILED:
        assert future.exception() is fleet.record.error
    else:
        assert future.result() == "result"


async def test_an_error_without_its_exception_is_raised_with_its_text(fleet: Fleet) -> None:
    fleet.owner.settle(fleet.record, ENDINGS[TaskStatus.FAILED])
    fleet.elsewhere.observe(replace(fleet.seen(), error_detail=None))
    mirrored = fleet.elsewhere.get(fleet.record.id)
    assert mirrored is not None
    with pytest.raises(TaskFailedError, match="wrong"):
        await fleet.futures.future_for(mirrored)


def test_the_metadata_of_the_mirror_is_its_own(fleet: Fleet) -> None:
    seen = fleet.seen()
    fleet.elsewhere.observe(seen)
    seen.metadata["of"].append("somebody else's")
    assert fleet.mirrored().metadata == {"of": ["the", "owner"]}
