"""The ledger by itself: the table of transitions, what is counted, found and forgotten, and whose time it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, ValuesView
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_task_worker import DuplicateTaskError, TaskEvent, TaskStatus
from async_task_worker.model.clock import Clock
from async_task_worker.model.outcome import CANCELLED_OUTCOME, completed
from async_task_worker.model.record import TaskRecord
from async_task_worker.model.status import TRANSITIONS, TaskInfo
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from async_task_worker.state.progress import ProgressCallbacks
from tests.unit.records import ENDINGS, ManualClock, admitted, new_record, nothing, records_alive

PENDING, RUNNING, COMPLETED = TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.COMPLETED
FAILED, CANCELLED = TaskStatus.FAILED, TaskStatus.CANCELLED


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def events(clock: ManualClock) -> list[TaskEvent]:
    return []


@pytest.fixture
def ledger(clock: ManualClock, events: list[TaskEvent]) -> Ledger:
    bus = EventBus(clock.clock.wall)
    bus.listen(events.append)
    return Ledger(bus, clock.clock)


def ids(records: list[TaskRecord]) -> list[str]:
    return [record.id for record in records]


class TestTransitions:
    def test_the_table_has_a_row_for_each_status_and_final_ones_lead_nowhere(self) -> None:
        assert set(TRANSITIONS) == set(TaskStatus)
        assert {status for status in TaskStatus if not TRANSITIONS[status]} == set(ENDINGS)

    @pytest.mark.parametrize("status", TaskStatus)
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_task_ends_exactly_as_the_table_allows(
        self, ledger: Ledger, events: list[TaskEvent], status: TaskStatus, ending: TaskStatus
    ) -> None:
        record = admitted(ledger, status=status)
        before, told = record.info(), len(events)

        assert ledger.settle(record, ENDINGS[ending]) is (ending in TRANSITIONS[status])

        if ending in TRANSITIONS[status]:
            assert record.status is ending
            assert [event.type for event in events[told:]] == [f"task.{ending}"]
        else:
            assert record.info() == before
            assert len(events) == told

    @pytest.mark.parametrize("status", TaskStatus)
    def test_only_a_pending_task_starts(self, ledger: Ledger, events: list[TaskEvent], status: TaskStatus) -> None:
        record = admitted(ledger, status=status)
        told = len(events)
        assert ledger.start(record) is (status is PENDING)
        assert [event.type for event in events[told:]] == ["task.started"] * (status is PENDING)
        assert record.status is (RUNNING if status is PENDING else status)

    @pytest.mark.parametrize("status", TaskStatus)
    def test_only_a_running_task_reports(self, ledger: Ledger, events: list[TaskEvent], status: TaskStatus) -> None:
        record = admitted(ledger, status=status)
        before, told = record.info(), len(events)
        ledger.report(record, 0.25)
        if status is RUNNING:
            assert record.info().progress == 0.25
            assert events[-1].type == "task.progress"
        else:
            assert record.info() == before
            assert len(events) == told

    def test_every_change_makes_a_new_revision(self, ledger: Ledger) -> None:
        record = admitted(ledger)
        seen = [record.info().revision]
        ledger.start(record)
        seen.append(record.info().revision)
        ledger.report(record, 0.5)
        seen.append(record.info().revision)
        ledger.set_phase(record, "cancelling")
        seen.append(record.info().revision)
        ledger.settle(record, CANCELLED_OUTCOME)
        seen.append(record.info().revision)
        assert seen == sorted(set(seen))

    def test_a_phase_shows_until_the_end(self, ledger: Ledger) -> None:
        record = admitted(ledger, status=RUNNING)
        ledger.set_phase(record, "cancelling")
        assert record.info().phase == "cancelling"
        ledger.settle(record, CANCELLED_OUTCOME)
        assert record.info().phase is None

    def test_a_completed_task_reads_one_and_others_keep_their_last_report(self, ledger: Ledger) -> None:
        for ending, progress in ((COMPLETED, 1.0), (FAILED, 0.5), (CANCELLED, 0.5)):
            record = admitted(ledger, status=RUNNING)
            ledger.report(record, 0.5)
            ledger.settle(record, ENDINGS[ending])
            assert record.info().progress == progress

    def test_its_end_lets_go_of_what_only_running_needed(self, ledger: Ledger) -> None:
        async def closure(argument: object, *, keyword: object) -> None:
            """Keep both."""

        record = admitted(ledger, closure, object(), keyword=object())
        ledger.settle(record, CANCELLED_OUTCOME)
        assert not record.func
        assert not record.args
        assert not record.kwargs


class TestProgressFromElsewhere:
    async def test_from_a_thread_it_arrives_on_the_loop(self, ledger: Ledger, events: list[TaskEvent]) -> None:
        record = admitted(ledger, status=RUNNING)
        await asyncio.to_thread(ProgressCallbacks(ledger).callback_for(record), 0.5)
        await asyncio.sleep(0)
        assert events[-1].task.progress == 0.5

    @pytest.mark.parametrize("progress", [0.5, 1])
    def test_after_its_loop_has_closed_progress_is_ignored(
        self, ledger: Ledger, events: list[TaskEvent], progress: float
    ) -> None:
        record = admitted(ledger, status=RUNNING)

        async def make() -> Callable[[float], None]:
            return ProgressCallbacks(ledger).callback_for(record)

        told = len(events)
        asyncio.run(make())(progress)
        assert len(events) == told
        assert record.info().progress == 0.0

    @pytest.mark.parametrize("progress", [0.5, 1])
    def test_a_loop_that_closes_at_that_moment_is_no_error(
        self, ledger: Ledger, events: list[TaskEvent], progress: float
    ) -> None:
        record = admitted(ledger, status=RUNNING)
        loop = ClosesWhenCalled()

        async def make() -> Callable[[float], None]:
            return ProgressCallbacks(ledger).callback_for(record)

        progress_callback, told = loop.run_until_complete(make()), len(events)
        progress_callback(progress)
        assert loop.is_closed()
        assert (len(events), record.info().progress) == (told, 0.0)


class ClosesWhenCalled(asyncio.SelectorEventLoop):
    """A loop that its own thread closes after another thread has found it open."""

    def call_soon_threadsafe(self, *args: Any, **options: Any) -> asyncio.Handle:
        self.close()
        return super().call_soon_threadsafe(*args, **options)


class TestAdmission:
    def test_a_known_id_is_refused_and_the_first_left_alone(self, ledger: Ledger, events: list[TaskEvent]) -> None:
        for status in TaskStatus:
            record = admitted(ledger, task_id=status, status=status)
            before, told = record.info(), len(events)
            with pytest.raises(DuplicateTaskError) as caught:
                ledger.admit(new_record(task_id=status))
            assert caught.value.task_id == status
            assert ledger.get(status) is record
            assert record.info() == before
            assert len(events) == told

    def test_an_id_is_free_again_once_its_task_is_forgotten(self, clock: ManualClock) -> None:
        ledger = Ledger(clock=clock.clock, retention=60)
        first = admitted(ledger, task_id="a", status=FAILED)
        clock.advance(60)
        second = admitted(ledger, task_id="a")
        assert ledger.get("a") is second is not first
        assert ledger.counts()[PENDING] == ledger.unfinished() == 1

    def test_a_ledger_needs_nothing_to_begin_with(self) -> None:
        ledger = Ledger()
        record = admitted(ledger, status=COMPLETED)
        assert abs((record.info().created_at - datetime.now(UTC)).total_seconds()) < 5
        assert ledger.get("unknown") is None


WALK = st.lists(st.tuples(st.sampled_from(["admit", "start", *ENDINGS]), st.integers(0, 30)), max_size=60)


class TestCountsAndSelection:
    @settings(max_examples=100, deadline=None)
    @given(walk=WALK, history=st.one_of(st.none(), st.integers(0, 5)), retention=st.sampled_from([None, 0.0, 10.0]))
    def test_counts_agree_with_counting(
        self, walk: list[tuple[Any, int]], history: int | None, retention: float | None
    ) -> None:
        clock = ManualClock()
        ledger = Ledger(clock=clock.clock, max_history=history, retention=retention)
        for verb, number in walk:
            clock.advance(1)
            _walk(ledger, verb, number)
            known = ledger.select()
            assert ledger.counts() == {**dict.fromkeys(TaskStatus, 0), **Counter(r.status for r in known)}
            assert ledger.unfinished() == sum(not record.finished for record in known)

    @settings(max_examples=100, deadline=None)
    @given(
        walk=WALK,
        statuses=st.one_of(st.none(), st.sets(st.sampled_from(TaskStatus))),
        limit=st.one_of(st.none(), st.integers(0, 10)),
        older_than=st.one_of(st.none(), st.floats(0, 60)),
    )
    def test_selecting_agrees_with_looking_at_all(
        self,
        walk: list[tuple[Any, int]],
        statuses: set[TaskStatus] | None,
        limit: int | None,
        older_than: float | None,
    ) -> None:
        clock = ManualClock()
        ledger = Ledger(clock=clock.clock)
        for verb, number in walk:
            clock.advance(1)
            _walk(ledger, verb, number)
        expected = [
            record
            for record in reversed(list(ledger._records.values()))
            if (statuses is None or record.status in statuses)
            and (older_than is None or clock.mono - record.created >= older_than)
        ]
        assert ledger.select(statuses, limit, older_than) == expected[:limit]

    def test_it_looks_no_further_than_the_last_match(self, ledger: Ledger) -> None:
        for number in range(100):
            admitted(ledger, task_id=str(number), status=RUNNING if number == 90 else PENDING)
        ledger._records = counted = Counted(ledger._records)
        assert ids(ledger.select({RUNNING})) == ["90"]
        assert counted.looked_at == 10
        assert ids(ledger.select({PENDING}, limit=3)) == ["99", "98", "97"]
        assert counted.looked_at == 13
        assert ledger.select({FAILED}) == []
        assert counted.looked_at == 13


def _walk(ledger: Ledger, verb: str, number: int) -> None:
    """Admit a task, or do something to one of those there are, if that is allowed."""
    if verb == "admit":
        admitted(ledger)
        return
    known = list(ledger._records.values())
    if known and verb == "start":
        ledger.start(known[number % len(known)])
    elif known:
        ledger.settle(known[number % len(known)], ENDINGS[TaskStatus(verb)])


class Counted(dict[str, TaskRecord]):
    """Counts how many of its values were looked at."""

    looked_at = 0

    def values(self) -> Any:
        return CountedValues(self, super().values())


class CountedValues:
    def __init__(self, owner: Counted, values: ValuesView[TaskRecord]) -> None:
        self._owner, self._values = owner, values

    def __reversed__(self) -> Iterator[TaskRecord]:
        for value in reversed(self._values):
            self._owner.looked_at += 1
            yield value


class TestForgetting:
    def test_a_finished_task_is_known_until_its_retention_is_over(self, clock: ManualClock) -> None:
        ledger = Ledger(clock=clock.clock, retention=60)
        record = admitted(ledger, status=COMPLETED)
        clock.advance(59.9)
        assert ledger.get(record.id) is record
        clock.advance(0.1)
        assert ledger.get(record.id) is None
        assert ledger.select() == []
        assert set(ledger.counts().values()) == {0}

    def test_unfinished_tasks_are_never_forgotten(self, clock: ManualClock) -> None:
        ledger = Ledger(clock=clock.clock, retention=0, max_history=0)
        waiting, running = admitted(ledger), admitted(ledger, status=RUNNING)
        clock.advance(1e9)
        for _ in range(3):
            admitted(ledger, status=CANCELLED)
        assert ledger.select() == [running, waiting]

    def test_retention_counts_from_the_end(self, clock: ManualClock) -> None:
        ledger = Ledger(clock=clock.clock, retention=60)
        first, second = admitted(ledger), admitted(ledger)
        ledger.settle(second, CANCELLED_OUTCOME)
        clock.advance(59)
        ledger.settle(first, CANCELLED_OUTCOME)
        clock.advance(1)
        assert ledger.select() == [first]

    def test_setting_the_wall_clock_forgets_nothing(self, clock: ManualClock) -> None:
        ledger = Ledger(clock=clock.clock, retention=60)
        record = admitted(ledger, status=COMPLETED)
        clock.wall += 1e6
        assert ledger.get(record.id) is record

    def test_expired_tasks_are_dropped_without_a_call(self, clock: ManualClock) -> None:
        before = records_alive()
        ledger = Ledger(clock=clock.clock, retention=60)
        for _ in range(20_000):
            admitted(ledger, status=COMPLETED)
            clock.advance(1)
        assert records_alive() - before < 3000

    @pytest.mark.parametrize("kept", [0, 1, 5])
    def test_no_more_finished_tasks_are_kept_than_max_history(self, kept: int) -> None:
        before = records_alive()
        ledger = Ledger(max_history=kept)
        for number in range(20):
            admitted(ledger, task_id=str(number), status=CANCELLED)
        assert ids(ledger.select()) == [str(number) for number in range(19, 19 - kept, -1)]
        assert ledger.counts()[CANCELLED] == kept
        assert records_alive() - before == kept

    def test_what_ended_first_goes_first(self) -> None:
        ledger = Ledger(max_history=1)
        early, late = admitted(ledger), admitted(ledger)
        ledger.settle(late, CANCELLED_OUTCOME)
        ledger.settle(early, CANCELLED_OUTCOME)
        assert ledger.select() == [early]

    def test_a_listener_still_sees_a_task_that_is_not_kept(self) -> None:
        bus = EventBus(ManualClock().clock.wall)
        ledger = Ledger(bus, max_history=0)
        seen: list[TaskInfo] = []
        bus.listen(lambda event: seen.append(event.task))
        admitted(ledger, status=COMPLETED)
        assert seen[-1].status is COMPLETED

    def test_a_listener_may_end_other_tasks(self) -> None:
        bus = EventBus(ManualClock().clock.wall)
        ledger = Ledger(bus, max_history=1)
        others = [admitted(ledger) for _ in range(5)]
        bus.listen(lambda _: others and ledger.settle(others.pop(), CANCELLED_OUTCOME))
        admitted(ledger, status=COMPLETED)
        assert len(ledger.select()) == 1 + len(others)
        assert ledger.unfinished() == len(others)


class TestTimes:
    def test_they_are_facts_of_the_wall_clock(self, clock: ManualClock, ledger: Ledger) -> None:
        record = admitted(ledger)
        clock.advance(2)
        ledger.start(record)
        clock.advance(3)
        ledger.settle(record, completed(None))
        info = record.info()
        assert info.created_at == datetime(2025, 1, 1, tzinfo=UTC)
        assert (info.wait_time, info.run_time) == (pytest.approx(2), pytest.approx(3))

    @pytest.mark.parametrize("jump", [-86_400.0, -5.0, 5.0, 86_400.0])
    def test_setting_the_clock_changes_no_duration(self, clock: ManualClock, ledger: Ledger, jump: float) -> None:
        record = admitted(ledger)
        clock.advance(2)
        clock.wall += jump
        ledger.start(record)
        clock.advance(3)
        ledger.settle(record, completed(None))
        info = record.info()
        assert (info.wait_time, info.run_time) == (pytest.approx(2), pytest.approx(3))
        assert info.started_at is not None
        assert info.completed_at is not None
        assert info.created_at < info.started_at < info.completed_at

    @pytest.mark.parametrize("jump", [-86_400.0, -0.5, 0.5, 86_400.0])
    def test_tasks_added_later_follow_a_clock_that_was_set(
        self, clock: ManualClock, ledger: Ledger, jump: float
    ) -> None:
        clock.advance(10)
        clock.wall += jump
        clock.advance(1.5)
        record = admitted(ledger)
        assert record.info().created_at.timestamp() == pytest.approx(clock.wall)

    def test_a_drifting_clock_does_not_run_away(self, clock: ManualClock, ledger: Ledger) -> None:
        for _ in range(1000):
            clock.advance(60)
            clock.wall += 0.001  # an oscillator, corrected in small steps
            record = admitted(ledger)
            assert record.info().created_at.timestamp() == pytest.approx(clock.wall, abs=0.02)

    def test_the_clock_is_asked_for_nothing_else(self) -> None:
        """A ledger on a clock that stands still works as well: nothing divides by time or waits for it."""
        ledger = Ledger(clock=Clock(lambda: 0.0, lambda: 0.0), retention=1)
        record = admitted(ledger, nothing, status=COMPLETED)
        assert record.info().run_time == 0
        assert ledger.get(record.id) is record
