"""Random commands, given to a worker and to a model of it, must leave both in the same state.

After each command the invariants are asserted: (I1) every accepted id has a record until its
retention is over, (I2) a final state never changes, (I3) a cancellation answered with True
ends as cancelled, and what was pending then never starts, (I4) every future resolves,
(I5) all slots live, (I6) what runs has a living owner, (I7) a refused call leaves no record.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from async_task_worker import (
    AsyncTaskWorker,
    DuplicateTaskError,
    QueueFullError,
    TaskCancelledError,
    TaskEvent,
    TaskFailedError,
    TaskInfo,
    TaskNotFoundError,
    TaskStatus,
    WorkerNotRunningError,
    task,
)
from async_task_worker.model.clock import Clock
from async_task_worker.model.status import TRANSITIONS
from tests.properties.model import AT_ONCE, BY_GATE, BY_TIME, KINDS, SAME_TIME, Expected, Model
from tests.properties.run_length import stateful_settings
from tests.support import tasks
from tests.support.backends import BACKENDS, MEMORY_DISK, Backend
from tests.support.virtual_time import VirtualTimeLoop

T = TypeVar("T")

PRIORITIES = st.one_of(st.integers(-1, 1), st.sampled_from([-(2**63), 2**63 - 1]))
SECONDS = st.sampled_from([0.3, 1.0, 2.0, 5.0, 30.0])
SOME_GATES = st.sampled_from(["a", "b", "c"])
TIMEOUTS = st.one_of(st.none(), st.none(), SECONDS)

WISHES = st.fixed_dictionaries(
    {
        "kind": st.one_of(st.sampled_from(KINDS), st.sampled_from(sorted(BY_TIME | BY_GATE))),
        "priority": PRIORITIES,
        "timeout": TIMEOUTS,
        "seconds": SECONDS,
        "cleaning": st.sampled_from([0.2, 3.0]),
        "gate": SOME_GATES,
        "children": st.integers(1, 3),
        "by_submit": st.booleans(),
    }
)

SOME_WISHES = st.lists(WISHES, min_size=2, max_size=6)

FUNCTIONS: dict[str, Any] = {
    "quick": tasks.echo,
    "fails": tasks.fail_with,
    "exits": tasks.fail_with,
    "raises an odd error": tasks.fail_with,
    "cancels itself": tasks.cancel_itself,
    "raises a cancellation": tasks.fail_with,
    "sleeps": tasks.sleep_for,
    "swallows": tasks.swallow_cancel,
    "fails when told": tasks.fail_on_cancel,
    "cleans up": tasks.clean_up_for,
    "waits": tasks.wait_at,
    "is stubborn": tasks.stubborn,
}
ERRORS = {
    "fails": "ValueError",
    "exits": "SystemExit",
    "raises an odd error": "OddError",
    "raises a cancellation": "CancelledError",
}

workers: list[AsyncTaskWorker] = []
"""The worker of the current run, for a task that adds others."""


@task("add_children")
async def add_children(ids: list[str], priority: int) -> None:
    for child in ids:
        await workers[-1].add_task(tasks.echo, child, task_id=child, priority=priority)


BAD_CALLS: list[tuple[type[Exception], dict[str, Any]]] = [
    (TypeError, {"func": None}),
    (TypeError, {"func": len}),
    (TypeError, {"args": (1, 2, 3)}),
    (TypeError, {"kwargs": {"unknown": 1}}),
    (TypeError, {"kwargs": {1: 1}}),
    (TypeError, {"priority": 0.5}),
    (TypeError, {"priority": True}),
    (ValueError, {"priority": 2**63}),
    (ValueError, {"timeout": math.nan}),
    (ValueError, {"timeout": 0}),
    (ValueError, {"timeout": -1}),
    (ValueError, {"timeout": math.inf}),
    (TypeError, {"timeout": "5"}),
    (ValueError, {"task_id": ""}),
    (TypeError, {"task_id": 5}),
    (TypeError, {"metadata": [1]}),
    (TypeError, {"use_cache": "no"}),
]


class WorkerMachine(RuleBasedStateMachine):
    """Drives a worker on a virtual-time loop, and the model beside it."""

    backend: Backend = BACKENDS[0]
    ids = Bundle("ids")
    futures = Bundle("futures")

    def __init__(self) -> None:
        super().__init__()
        tasks.forget_everything()
        self.runner = asyncio.Runner(debug=True, loop_factory=VirtualTimeLoop)
        self.loop = self.runner.get_loop()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)
        self.made = 0
        self.gates_opened: Counter[str] = Counter()
        self.finals: dict[str, TaskInfo] = {}
        self.never_start: set[str] = set()
        self.events: list[TaskEvent] = []
        self.stop_listening: Callable[[], None] | None = None
        self.waiting: list[tuple[Expected, asyncio.Future[object]]] = []

    # -- commands

    @initialize(
        slots=st.integers(1, 3),
        limit=st.one_of(st.none(), st.none(), st.integers(1, 3)),
        retention=st.sampled_from([None, 40.123]),
        default_timeout=st.sampled_from([None, None, 20.0]),
    )
    def make(self, slots: int, limit: int | None, retention: float | None, default_timeout: float | None) -> None:
        loop: Any = self.loop
        self.slots, self.bounded, self.default_timeout = slots, limit is not None, default_timeout
        self.model = Model(slots, self.loop.time(), limit=limit, retention=retention, durable=self.backend.durable)
        self.worker = AsyncTaskWorker(
            slots,
            default_timeout,
            max_queue_size=limit,
            on_full="error",
            retention=retention,
            backend=self.backend.url(Path(self.folder.name)),
            clock=Clock(loop.wall, loop.time),
        )
        workers.append(self.worker)
        self.run(self.worker.start)
        self.model.start()

    def add(self, wishes: list[dict[str, Any]]) -> object:
        return multiple(*(task_id for wish in wishes for task_id in self.add_one(**wish)))

    # A rule is as likely as any other: what there should be much of has several.
    add_some = rule(target=ids, wishes=SOME_WISHES)(add)
    add_others = rule(target=ids, wishes=SOME_WISHES)(add)
    add_more = rule(target=ids, wishes=SOME_WISHES)(add)

    def add_one(self, kind: str, gate: str, children: int, by_submit: bool, **options: Any) -> list[str]:
        """Add a task and return its id, or nothing if it had to be refused."""
        if kind == "adds children" and self.bounded:
            kind = "quick"  # whether they find room depends on what else begins in that moment
        for name in ("timeout", "seconds", "cleaning"):
            options[name] = None if options[name] is None else self.unique(options[name])
        expected = Expected(self.name(), kind, gate=self.gate(gate) if kind in BY_GATE else None, **options)
        if kind == "adds children":
            expected.children = [Expected(self.name(), "quick", expected.priority) for _ in range(children)]
        call = self.call(expected, by_submit)
        if (refusal := self.refusal()) is not None:
            self.assert_refused(refusal, call)
            return []
        assert self.run(call) == expected.id
        if expected.timeout is None:
            expected.timeout = self.default_timeout
        self.model.add(expected)
        return [expected.id]

    @rule(known=ids, bad=st.one_of(st.none(), st.sampled_from(BAD_CALLS)))
    def add_what_is_refused(self, known: str, bad: tuple[type[Exception], dict[str, Any]] | None) -> None:
        if bad is not None:
            error, options = bad
            call: dict[str, Any] = {"func": tasks.echo, "args": (1,), **options}
            error = error if self.model.is_open else WorkerNotRunningError
            self.assert_refused(error, lambda: self.worker.submit(**call))
        elif (refusal := self.refusal(known)) is not None:
            self.assert_refused(refusal, lambda: self.worker.add_task(tasks.echo, 1, task_id=known))
        else:  # its task is past its retention
            self.run(lambda: self.worker.add_task(tasks.echo, known, task_id=known))
            self.model.add(Expected(known, "quick", 0, timeout=self.default_timeout))
            self.finals.pop(known, None)
            self.never_start.discard(known)

    @rule(task_id=ids)
    def cancel_any(self, task_id: str) -> None:
        self.cancel(task_id)

    @precondition(lambda self: self.model.of(TaskStatus.PENDING, TaskStatus.RUNNING))
    @rule(choice=st.integers(0, 100))
    def cancel_unfinished(self, choice: int) -> None:
        unfinished = self.model.of(TaskStatus.PENDING, TaskStatus.RUNNING)
        self.cancel(unfinished[choice % len(unfinished)].id)

    def cancel(self, task_id: str) -> None:
        expected = self.model.tasks.get(task_id)
        before = None if expected is None else expected.status
        begun = self.loop.time()
        if self.model.durable and not self.model.is_open and before is TaskStatus.PENDING:
            self.assert_refused(WorkerNotRunningError, lambda: self.worker.cancel_task(task_id))
            return
        answer = self.run(lambda: self.worker.cancel_task(task_id), settle=False)
        assert self.loop.time() - begun <= 1 + SAME_TIME, "a cancellation is answered within a second"
        if expected is None or before not in (TaskStatus.PENDING, TaskStatus.RUNNING):
            assert answer is False
        else:
            self.model.cancel(expected)
            self.model.advance(self.loop.time())
            assert expected.finished
            assert answer is (expected.status is TaskStatus.CANCELLED)
            if before is TaskStatus.PENDING and expected.started is None:
                self.never_start.add(task_id)
        self.settle()

    @rule(name=SOME_GATES)
    def open_gate(self, name: str) -> None:
        gate = self.gate(name)
        self.gates_opened[name] += 1

        async def open_it() -> None:
            tasks.open_gate(gate)

        self.run(open_it)
        self.model.open_gate(gate)

    @rule(seconds=SECONDS)
    def let_time_pass(self, seconds: float) -> None:
        self.run(lambda: asyncio.sleep(self.unique(seconds)))

    @rule(timeout=st.sampled_from([0.0, 0.3, 2.0, 30.0]), start_again=st.sampled_from([True, True, True, False]))
    def stop(self, timeout: float, start_again: bool) -> None:
        timeout = self.unique(timeout) if timeout else 0.0
        was_open, begun = self.model.is_open, self.loop.time()
        self.run(lambda: self.worker.stop(timeout), settle=False)
        ended = self.loop.time()
        assert ended - begun <= timeout + 1 + SAME_TIME, "a stop is bounded"
        if was_open:
            self.model.close()
            self.model.advance(min(ended, begun + timeout))
            if self.model.of(TaskStatus.RUNNING):
                assert ended >= begun + timeout - SAME_TIME, "nobody is cut off before time is up"
                self.model.cut_off()
                self.model.advance(ended)
                self.model.leave_rest_behind()
            self.let_go_of_what_waits()
        self.settle()
        if start_again:
            self.start()

    def let_go_of_what_waits(self) -> None:
        """Whoever waits for a task that is done after the next start has been told so."""
        for expected, future in self.waiting:
            if not expected.finished:
                assert type(future.exception()) is WorkerNotRunningError
        self.waiting = [pair for pair in self.waiting if pair[0].finished]

    @precondition(lambda self: not self.model.is_open)
    @rule()
    def start(self) -> None:
        self.run(self.worker.start)
        self.model.start()

    @rule(target=futures, task_id=ids)
    def ask_for_a_future(self, task_id: str) -> object:
        async def ask() -> asyncio.Future[object]:
            return self.worker.get_task_future(task_id)

        expected = self.model.tasks.get(task_id)
        if expected is None:
            with pytest.raises(TaskNotFoundError):
                self.run(ask)
            return multiple()
        pair = (expected, self.run(ask))
        self.waiting.append(pair)
        return pair

    @rule(pair=consumes(futures))
    def give_up_a_future(self, pair: tuple[Expected, asyncio.Future[object]]) -> None:
        """Which must not disturb the task, nor any other future."""
        _, future = pair

        async def give_up() -> None:
            future.cancel()

        self.run(give_up)
        self.waiting = [other for other in self.waiting if other[1] is not future]

    @rule(chosen=st.lists(ids, min_size=1, max_size=3), timeout=SECONDS)
    def wait_for_some(self, chosen: list[str], timeout: float) -> None:
        if not all(task_id in self.model.tasks for task_id in chosen):
            self.assert_refused(TaskNotFoundError, lambda: self.worker.wait_for_tasks(chosen))
            return
        wanted = [self.model.tasks[task_id] for task_id in chosen]
        timeout = self.unique(timeout)
        begun = self.loop.time()
        outcome = self.run(lambda: _outcome(self.worker.wait_for_tasks(chosen, timeout)), settle=False)
        self.model.advance(self.loop.time())
        if not all(expected.finished for expected in wanted):
            assert type(outcome) is TimeoutError
            assert self.loop.time() - begun == pytest.approx(timeout)
        elif first := next((e for e in wanted if e.status is not TaskStatus.COMPLETED), None):
            assert type(outcome) is self.failure(first, "exits", "raises an odd error")
        else:
            assert isinstance(outcome, list)
            assert len(outcome) == len(chosen)
        self.settle()

    @rule(timeout=SECONDS)
    def drain(self, timeout: float) -> None:
        timeout = self.unique(timeout)
        outcome = self.run(lambda: _outcome(self.worker.drain(timeout)), settle=False)
        self.model.advance(self.loop.time())
        left = self.model.is_open and self.model.of(TaskStatus.PENDING, TaskStatus.RUNNING)
        assert type(outcome) is (TimeoutError if left else type(None))
        self.settle()

    @rule()
    def listen_or_listen_no_more(self) -> None:
        if self.stop_listening is None:
            self.stop_listening = self.worker.events.listen(self.events.append)
            return
        self.stop_listening()
        self.stop_listening = None
        self.check_events()
        self.events.clear()

    # -- what must hold at any time

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "model"):
            self.check_that_both_are_in_the_same_state()
            self.check_that_final_states_never_change()
            self.check_that_futures_resolve_with_their_tasks()
            self.check_that_what_runs_has_an_owner()

    def check_that_both_are_in_the_same_state(self) -> None:
        known = {info.id: info.status for info in reversed(self.worker.get_all_tasks())}
        expected = {task.id: task.status for task in self.model.tasks.values()}
        assert known == expected
        if not self.model_adds_in_unknown_order():
            assert list(known) == list(expected), "listed in the order they were added"
        assert self.worker.counts() == {**dict.fromkeys(TaskStatus, 0), **Counter(expected.values())}
        assert self.worker.abandoned_tasks == len(self.model.abandoned_tasks)
        assert self.worker.is_running is self.model.is_open

    def check_that_final_states_never_change(self) -> None:
        for info in self.infos():
            if info.finished:
                assert self.finals.setdefault(info.id, info) == info
            if info.id in self.never_start:
                assert info.started_at is None

    def check_that_futures_resolve_with_their_tasks(self) -> None:
        for expected, future in self.waiting:
            assert future.done() is expected.finished
            if expected.status is TaskStatus.CANCELLED:
                assert future.cancelled()
            elif expected.finished:
                error = future.exception()
                assert (error is not None) is (expected.status is TaskStatus.FAILED)
        self.waiting = [pair for pair in self.waiting if not pair[1].done()]

    def check_that_what_runs_has_an_owner(self) -> None:
        owners = {task.get_name() for task in asyncio.all_tasks(self.loop)}
        assert {task.id for task in self.model.of(TaskStatus.RUNNING)} <= owners

    def check_events(self) -> None:
        """Each event follows from the one before it, and none comes after the last."""
        numbers = [event.seq for event in self.events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        last: dict[str, TaskInfo] = {}
        for event in self.events:
            before = last.get(event.task.id)
            if event.type == "task.created":  # again, after its retention
                assert before is None or before.finished
            elif event.type == "task.progress":
                assert event.task.status is TaskStatus.RUNNING
            elif before is not None:
                assert event.task.status in TRANSITIONS[before.status]
            last[event.task.id] = event.task

    def teardown(self) -> None:
        try:
            if hasattr(self, "worker"):
                self.finish()
        finally:
            tasks.open_all_gates()
            self.runner.close()
            workers.clear()
            self.folder.cleanup()

    def finish(self) -> None:
        """Let everything end, then have all slots used at once."""
        self.check_events()

        async def end_everything() -> None:
            await self.worker.stop(0)
            tasks.open_all_gates()
            await asyncio.sleep(100)
            assert self.backend.durable or not [info for info in self.infos() if not info.finished]
            assert self.worker.abandoned_tasks == 0
            for expected in self.model.tasks.values():
                tasks.open_gate(str(expected.gate))  # for what is run only now
            await self.worker.start()
            await self.worker.drain()
            await asyncio.sleep(100)
            tasks.call_a_meeting(of=self.slots)
            together = []
            for _ in range(self.slots):
                together.append(await self.worker.add_task(tasks.meet))
                await asyncio.sleep(0.1)
            await self.worker.wait_for_tasks(together, timeout=1)
            await self.worker.stop(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        self.runner.run(end_everything())

    # -- in support of the commands

    def run(self, main: Callable[[], Coroutine[Any, Any, T]], *, settle: bool = True) -> T:
        """Run it on the worker's loop, and everything it sets going; then both show the same time."""

        async def whole() -> T:
            try:
                return await main()
            finally:
                if settle:
                    await self.loop.settled()  # type: ignore[attr-defined]

        try:
            return self.runner.run(whole())
        finally:
            if settle and hasattr(self, "model"):
                self.model.advance(self.loop.time())

    def settle(self) -> None:
        self.run(lambda: asyncio.sleep(0))

    def infos(self) -> list[TaskInfo]:
        return self.worker.get_all_tasks() if hasattr(self, "worker") else []

    def name(self) -> str:
        self.made += 1
        return f"task-{self.made}"

    def unique(self, seconds: float) -> float:
        """Return about as many seconds, but never so that two things happen at the same moment."""
        self.made += 1
        return seconds + random.Random(self.made).random() / 100

    def gate(self, name: str) -> str:
        """Return the name of the gate that will be opened next time."""
        return f"{name}-{self.gates_opened[name]}"

    def refusal(self, task_id: str | None = None) -> type[Exception] | None:
        if not self.model.is_open:
            return WorkerNotRunningError
        if task_id in self.model.tasks:
            return DuplicateTaskError
        return QueueFullError if self.model.full else None

    def call(self, expected: Expected, by_submit: bool) -> Callable[[], Coroutine[Any, Any, str]]:
        func, args = FUNCTIONS.get(expected.kind, add_children), _arguments(expected)
        options: dict[str, Any] = {
            "task_id": expected.id,
            "priority": expected.priority,
            "timeout": expected.timeout,
            "metadata": {"kind": expected.kind},
        }
        if by_submit:
            return lambda: self.worker.submit(func, args, **options)
        return lambda: self.worker.add_task(func, *args, **options)

    def assert_refused(self, error: type[Exception], call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        before = self.infos()
        with pytest.raises(error):
            self.run(call)
        assert self.infos() == before

    def failure(self, expected: Expected, *not_exceptions: str) -> type[BaseException]:
        """Return what waiting for a task without a result raises."""
        if expected.status is TaskStatus.CANCELLED:
            return TaskCancelledError
        info = self.worker.get_task_info(expected.id)
        assert info is not None
        assert info.error_detail is not None
        return TaskFailedError if expected.kind in not_exceptions else type(info.error_detail.exception)

    def model_adds_in_unknown_order(self) -> bool:
        """Whether several tasks that add others may have done so in any order."""
        return sum(bool(expected.children) for expected in self.model.tasks.values()) > 1


def _arguments(expected: Expected) -> list[Any]:
    kind = expected.kind
    if kind in ERRORS:
        return ["wrong" * (kind != "exits"), ERRORS[kind]]
    if kind == "adds children":
        return [[child.id for child in expected.children], expected.priority]
    if kind in AT_ONCE:
        return [] if kind == "cancels itself" else [expected.id]
    if kind in BY_GATE:
        return [expected.gate, expected.id]
    if kind == "cleans up":
        return [expected.seconds, expected.cleaning]
    return [expected.seconds, expected.id]


async def _outcome(call: Coroutine[Any, Any, object]) -> object:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - what it raised is what is compared
        return error


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_worker_does_what_the_model_does(backend: Backend) -> None:
    machine = type("Machine", (WorkerMachine,), {"backend": backend})
    logger = logging.getLogger("async_task_worker")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # every failure of a task would be in the report, a thousand times
    try:
        run_state_machine_as_test(machine, settings=stateful_settings())
    finally:
        logger.setLevel(level)
